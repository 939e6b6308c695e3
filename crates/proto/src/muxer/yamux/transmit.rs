//! Output: control frames and the headers of data frames.

use crate::muxer::StreamKey;

use super::frame::{Flags, HEADER_BYTES, Header};
use super::streams::{Ending, Read, Write};
use super::{Fin, Session};

/// Pings whose answers wait to be written. Honest remotes have one on its way.
const PONGS_MAX: usize = 8;

/// Answers to the remote's pings, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pongs {
    ids: [u32; PONGS_MAX],
    count: usize,
}

impl Pongs {
    /// Takes a ping; `false` when there are too many.
    pub(super) fn push(&mut self, id: u32) -> bool {
        let Some(place) = self.ids.get_mut(self.count) else {
            return false;
        };
        *place = id;
        self.count += 1;
        true
    }

    fn pop(&mut self) -> Option<u32> {
        self.count = self.count.checked_sub(1)?;
        let first = self.ids[0];
        self.ids.rotate_left(1);
        Some(first)
    }
}

impl Session {
    /// Whether [`poll_control`](Self::poll_control) may have something to write. What a data frame has
    /// carried in the meantime is noticed only there.
    pub fn has_control(&self) -> bool {
        self.pongs.count > 0
            || self.keepalive.has_unsent()
            || !self.refusals.is_empty()
            || self.streams.has_due()
            || self.goaway_due.is_some()
    }

    /// Appends control frames to `out`, at most `room` bytes and only whole frames; returns the bytes
    /// appended.
    ///
    /// Pongs and pings first, then resets, openings, acknowledgements and credit in the order in which
    /// the streams asked, then a GoAway.
    pub fn poll_control(&mut self, out: &mut Vec<u8>, room: usize) -> usize {
        let start = out.len();
        while room - (out.len() - start) >= HEADER_BYTES {
            let Some(header) = self.next_control() else {
                break;
            };
            self.write(header, out);
        }
        out.len() - start
    }

    /// Bytes that the remote still takes on this stream.
    pub fn send_credit(&self, key: StreamKey) -> u32 {
        match self.streams.get(key) {
            Some(stream) if stream.is_open() && stream.write == Write::Open => stream.credit,
            _ => 0,
        }
    }

    /// Header of the stream's next data frame, whose `len` payload bytes the caller puts behind it:
    /// no more than [`send_credit`](Self::send_credit) and the configured payload allow. With `len` 0
    /// it is a frame of its own that carries the flags that are due.
    ///
    /// # Panics
    /// When the stream was reset or removed, or is finished already: the caller reads of the former in
    /// events and does the latter itself.
    pub fn data_header(&mut self, key: StreamKey, len: u32, fin: Fin) -> [u8; HEADER_BYTES] {
        debug_assert!(
            len <= self.config.frame_payload_max,
            "data frame of {len} bytes"
        );
        let stream = self
            .streams
            .get_mut(key)
            .filter(|stream| stream.is_open() && stream.write == Write::Open)
            .expect("data is framed only for streams that are open for writing");
        stream.credit = stream
            .credit
            .checked_sub(len)
            .expect("data frames stay within the credit");
        let mut flags = stream.take_opening_flag();
        let is_over = match fin {
            Fin::Yes => {
                flags = flags.with(Flags::FIN);
                stream.write = Write::Finished;
                stream.read == Read::Finished
            }
            Fin::No => false,
        };
        // go-libp2p sends flags without payload on window updates, and some count empty data frames.
        let header = match len {
            0 => Header::window_update(flags, stream.id, 0),
            _ => Header::data(flags, stream.id, len),
        };
        if is_over {
            self.end_in_order(key);
        }
        self.allowances.window_updates.earn(len);
        self.stats.frames_sent += 1;
        self.stats.payload_sent += u64::from(len);
        header.encode()
    }

    fn next_control(&mut self) -> Option<Header> {
        if let Some(id) = self.pongs.pop() {
            return Some(Header::ping(Flags::ACK, id));
        }
        if let Some(id) = self.keepalive.take_unsent() {
            return Some(Header::ping(Flags::SYN, id));
        }
        if let Some((id, code)) = self.refusals.pop_front() {
            self.stats.resets_sent += 1;
            return Some(Header::window_update(Flags::RST, id, code as u32));
        }
        while let Some(key) = self.streams.pop_due() {
            if let Some(header) = self.stream_control(key) {
                return Some(header);
            }
        }
        self.goaway_due.take().map(Header::go_away)
    }

    /// Everything that one stream has to say, in one frame.
    fn stream_control(&mut self, key: StreamKey) -> Option<Header> {
        let stream = self.streams.get_mut(key)?;
        let id = stream.id;
        match stream.ending {
            Ending::Over => None,
            Ending::ResetDue(code) => {
                self.stats.resets_sent += 1;
                self.end(key, Ending::Over);
                Some(Header::window_update(Flags::RST, id, code))
            }
            Ending::Open => {
                let flags = stream.take_opening_flag();
                let is_credit = stream.read != Read::Finished && stream.window.is_update_due();
                let delta = if is_credit {
                    stream.window.take_update()
                } else {
                    0
                };
                let is_due = !flags.is_empty() || delta > 0;
                is_due.then(|| Header::window_update(flags, id, delta))
            }
        }
    }
}
