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
        !self.pending_syns.is_empty() || self.wake_flag.is_set() || self.pipe.has_output()
    }

    /// Appends everything to send except new data to `out`, at most `room` bytes; frames may be
    /// split anywhere.
    pub fn poll_control(&mut self, out: &mut Vec<u8>, room: usize) {
        self.send_syns();
        self.pump();
        self.pipe.take(out, room);
        // There may be room for responses to more input.
        self.pump();
    }

    /// Returns zero if the crate takes no data of this stream, [`u32::MAX`] if it takes an unknown
    /// amount.
    pub fn send_credit(&self, key: StreamKey) -> u32 {
        match self.streams.get(key) {
            Some(entry) if entry.stream.is_some() && !entry.fin && !entry.blocked => u32::MAX,
            _ => 0,
        }
    }

    /// Passes one frame of data to the crate; returns the number of bytes it took, limited by the
    /// remote's credit. Appends pending output to `out`, at most the size of the whole frame.
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

    /// Ends our half of the stream, after its last data frame; appends at most one header's bytes
    /// to `out`.
    pub fn finish(&mut self, key: StreamKey, out: &mut Vec<u8>) {
        self.send_syn(key);
        self.pump();
        let Some(entry) = self.streams.get_mut(key) else {
            return;
        };
        entry.fin = true;
        let mut flags = Flags::FIN;
        if entry.opening == Opening::AckDue {
            entry.opening = Opening::Established;
            self.pipe.remove_ack(entry.id);
            flags = flags.with(Flags::ACK);
        }
        let id = entry.id;
        if entry.is_done() {
            self.retire(key);
        }
        self.pipe.send(Header::window_update(flags, id, 0));
        self.pipe.take(out, HEADER_BYTES);
    }

    /// Writes the SYN of streams that have not sent anything.
    pub(super) fn send_syns(&mut self) {
        for key in std::mem::take(&mut self.pending_syns) {
            self.send_syn(key);
        }
    }

    /// Writes the SYN of a stream that has not sent anything: an empty data frame carries it.
    pub(super) fn send_syn(&mut self, key: StreamKey) {
        if self
            .streams
            .get(key)
            .is_some_and(|entry| entry.opening == Opening::SynDue)
        {
            self.offer(key, &[]);
        }
    }

    /// Passes data of a stream to the crate; returns the number of bytes it took.
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
                    entry.wake_reader();
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
