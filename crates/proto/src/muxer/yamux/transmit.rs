//! Output: control frames and the headers of data frames.

use crate::muxer::StreamKey;

use super::Session;
use super::frame::{Flags, HEADER_BYTES, Header};
use super::streams::{Ending, Read, Stream, Write};

/// Maximum number of pongs queued for writing. Well-behaved remotes have one ping in flight.
const PONGS_MAX: usize = 8;

/// Pongs for the remote's pings, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Pongs {
    ids: [u32; PONGS_MAX],
    count: usize,
}

impl Pongs {
    /// Queues a pong; `false` if there are too many.
    pub(super) fn push(&mut self, id: u32) -> bool {
        let Some(slot) = self.ids.get_mut(self.count) else {
            return false;
        };
        *slot = id;
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
    /// Whether [`poll_control`](Self::poll_control) may have something to write. Only that call
    /// notices what data frames have carried in the meantime.
    pub fn has_control(&self) -> bool {
        self.pongs.count > 0
            || self.keepalive.has_unsent()
            || !self.refusals.is_empty()
            || self.streams.has_due()
            || self.goaway_due.is_some()
    }

    /// Appends control frames to `out`, at most `room` bytes and only whole frames; returns the
    /// number of bytes appended.
    ///
    /// Pongs and pings come first, then refusals, then resets, openings, acknowledgements and
    /// credit in the order in which they became due, then a GoAway.
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

    /// Number of bytes that the remote still takes on this stream.
    pub fn send_credit(&self, key: StreamKey) -> u32 {
        match self.streams.get(key) {
            Some(stream) if stream.is_open() && stream.write == Write::Open => stream.credit,
            _ => 0,
        }
    }

    /// Whether the stream is open for writing: neither finished, reset nor removed.
    pub fn is_writable(&self, key: StreamKey) -> bool {
        self.streams
            .get(key)
            .is_some_and(|stream| stream.is_open() && stream.write == Write::Open)
    }

    /// Returns the header of the stream's next data frame, to which the caller appends `len`
    /// payload bytes: at least 1, at most [`send_credit`](Self::send_credit) and the configured
    /// payload.
    ///
    /// # Panics
    /// If the stream was reset, removed or finished, which the caller knows from events and its own
    /// calls.
    pub fn data_header(&mut self, key: StreamKey, len: u32) -> [u8; HEADER_BYTES] {
        debug_assert!(
            (1..=self.config.frame_payload_max).contains(&len),
            "data frame of {len} bytes"
        );
        let stream = self.writable(key);
        stream.credit = stream
            .credit
            .checked_sub(len)
            .expect("data frames stay within the credit");
        let (flags, id) = (stream.take_opening_flag(), stream.id);
        if flags.has(Flags::ACK) {
            self.streams.acknowledged();
        }
        let header = Header::data(flags, id, len);
        self.allowances.window_updates.earn(len);
        self.stats.frames_sent += 1;
        self.stats.payload_sent += u64::from(len);
        header.encode()
    }

    /// Returns the frame that ends our half of the stream, to be sent after its last data frame.
    ///
    /// js-libp2p 3 drops the payload of a data frame with FIN when its application has read
    /// everything before it, so the FIN is sent alone; go-libp2p sends it on a window update, and
    /// some implementations count empty data frames.
    ///
    /// # Panics
    /// As [`data_header`](Self::data_header).
    pub fn fin_frame(&mut self, key: StreamKey) -> [u8; HEADER_BYTES] {
        let stream = self.writable(key);
        stream.write = Write::Finished;
        let is_over = stream.read == Read::Finished;
        let flags = stream.take_opening_flag().with(Flags::FIN);
        let header = Header::window_update(flags, stream.id, 0);
        if flags.has(Flags::ACK) {
            self.streams.acknowledged();
        }
        if is_over {
            self.end_in_order(key);
        }
        self.stats.frames_sent += 1;
        header.encode()
    }

    fn writable(&mut self, key: StreamKey) -> &mut Stream {
        self.streams
            .get_mut(key)
            .filter(|stream| stream.is_open() && stream.write == Write::Open)
            .expect("frames are made only for streams that are open for writing")
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

    /// Returns everything due on one stream in a single frame.
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
                if flags.has(Flags::ACK) {
                    self.streams.acknowledged();
                }
                is_due.then(|| Header::window_update(flags, id, delta))
            }
        }
    }
}
