//! Output: the crate's frames and our own.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::AsyncWrite;

use crate::muxer::StreamKey;
use crate::muxer::yamux::{Flags, Header};

use super::streams::Opening;
use super::{HEADER_BYTES, Session};

impl Session {
    /// Whether [`poll_control`](Self::poll_control) may have something to write.
    pub fn has_control(&self) -> bool {
        !self.unannounced.is_empty() || self.alarm.is_set() || self.pipe.has_output()
    }

    /// Appends what there is to send besides new data to `out`, at most `room` bytes; frames may be
    /// cut anywhere.
    pub fn poll_control(&mut self, out: &mut Vec<u8>, room: usize) {
        self.announce();
        self.pump();
        self.pipe.take(out, room);
        // There may be room for answers to more input.
        self.pump();
    }

    /// Whether the crate may take data of this stream: nothing, or an unknown number of bytes.
    pub fn send_credit(&self, key: StreamKey) -> u32 {
        match self.streams.get(key) {
            Some(entry) if entry.stream.is_some() && !entry.fin && !entry.blocked => u32::MAX,
            _ => 0,
        }
    }

    /// Gives the crate one frame of data; returns how many bytes it took, as far as the remote's credit
    /// goes. `out` gets what there is to send, within the bytes of the whole frame.
    pub fn write(
        &mut self,
        key: StreamKey,
        count: usize,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut [u8]),
    ) -> usize {
        let from = out.len();
        out.resize(from + count, 0);
        fill(&mut out[from..]);
        let taken = self.offer(key, &out[from..]);
        out.truncate(from);
        if taken > 0 {
            self.pump();
            self.pipe.take(out, count + HEADER_BYTES);
        }
        taken
    }

    /// Ends our half of the stream, behind its last data frame; `out` gets as many bytes as a frame
    /// without payload has.
    pub fn finish(&mut self, key: StreamKey, out: &mut Vec<u8>) {
        self.introduce(key);
        self.pump();
        let Some(entry) = self.streams.get_mut(key) else {
            return;
        };
        entry.fin = true;
        let mut flags = Flags::FIN;
        if entry.opening == Opening::AckDue {
            entry.opening = Opening::Established;
            self.pipe.forget_ack(entry.id);
            flags = flags.with(Flags::ACK);
        }
        let id = entry.id;
        if entry.is_done() {
            self.settle(key);
        }
        self.pipe.send(Header::window_update(flags, id, 0));
        self.pipe.take(out, HEADER_BYTES);
    }

    /// Writes the SYN of streams that have not sent anything.
    pub(super) fn announce(&mut self) {
        for key in std::mem::take(&mut self.unannounced) {
            self.introduce(key);
        }
    }

    /// Writes the SYN of a stream that has not sent anything: an empty data frame carries it.
    pub(super) fn introduce(&mut self, key: StreamKey) {
        if self
            .streams
            .get(key)
            .is_some_and(|entry| entry.opening == Opening::SynDue)
        {
            self.offer(key, &[]);
        }
    }

    /// Gives the crate data of a stream; returns how much it took.
    pub(super) fn offer(&mut self, key: StreamKey, bytes: &[u8]) -> usize {
        let Some(entry) = self.streams.get_mut(key) else {
            return 0;
        };
        let Some(stream) = &mut entry.stream else {
            return 0;
        };
        let mut taken = 0;
        let mut cx = Context::from_waker(entry.writer.waker());
        loop {
            match Pin::new(&mut *stream).poll_write(&mut cx, &bytes[taken..]) {
                Poll::Ready(Ok(count)) => {
                    taken += count;
                    entry.opening = match entry.opening {
                        Opening::SynDue => Opening::AwaitingAck,
                        Opening::AckDue => Opening::Established,
                        opening => opening,
                    };
                }
                Poll::Ready(Err(_)) => {
                    entry.look_again();
                    break;
                }
                Poll::Pending => {
                    entry.blocked = true;
                    break;
                }
            }
            if taken == bytes.len() {
                break;
            }
        }
        taken
    }
}
