//! Reading: how far streams are read ahead of the application, and what nobody reads any more.

use std::time::Duration;

use ferroswarm_proto::muxer::{MemoryBudget, StreamKey};
use quinn_proto::{ReadError, StreamId};

use super::{CHUNKS_MAX, Event, Session};
use crate::close::code_of;

/// Bytes of a stream that may be passed on before the application has read them; the initial window of
/// yamux. The rest waits in the windows, where the remote has to stop at the end of one.
pub(super) const AHEAD_MIN: u32 = 256 << 10;

/// The same of a stream that is read fast.
pub(super) const AHEAD_MAX: u32 = 4 << 20;

/// A stream that is read within this time as far as it may be ahead is read fast: the application would
/// wait for the I/O thread, and that for it.
pub(super) const AHEAD_TIME: Duration = Duration::from_millis(16);

/// Time for a remote to end a half that nobody reads any more, before it is told to. js-libp2p and
/// py-libp2p lose the rest of the stream when they are told.
pub(super) const LEFT_TIME: Duration = Duration::from_secs(5);

/// Bytes of such a half that are discarded before the remote is told.
pub(super) const LEFT_BYTES_MAX: u32 = 64 << 10;

/// Deadlines of such halves before those that have ended by themselves are swept.
pub(super) const LEFT_MIN: usize = 64;

impl Session {
    /// Records that the application has read bytes of a stream, so that more of it is passed on.
    /// Returns the bytes after which that is next of use.
    pub fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) -> u32 {
        let Some(stream) = self.stream_mut(key) else {
            return AHEAD_MIN;
        };
        stream.unread = stream.unread.saturating_sub(bytes);
        stream.consumed = stream.consumed.saturating_add(bytes);
        if stream.consumed >= stream.ahead_max {
            let is_fast = now.saturating_sub(stream.since) < AHEAD_TIME;
            let growth = stream.ahead_max.min(AHEAD_MAX - stream.ahead_max);
            if is_fast && growth > 0 && budget.reserve(growth) {
                stream.ahead_max += growth;
            }
            (stream.consumed, stream.since) = (0, now);
        }
        let step = stream.ahead_max / 4;
        if std::mem::take(&mut stream.is_full) {
            self.full -= 1;
            self.queue(key);
        }
        step
    }

    /// Tells the remote that nothing more of a stream is read.
    pub fn stop(&mut self, key: StreamKey, code: u32) {
        let Some(stream) = self.stream_mut(key) else {
            return;
        };
        let id = stream.id;
        let was_full = std::mem::take(&mut stream.is_full);
        if std::mem::take(&mut stream.receives) {
            // The remote may have ended it meanwhile.
            self.connection.recv_stream(id).stop(code.into()).ok();
        }
        self.full -= u32::from(was_full);
    }

    /// Discards the rest of what the remote sends on a stream. It is told only if it does not end its
    /// half by itself.
    pub fn leave(&mut self, key: StreamKey, now: Duration) {
        let Some(stream) = self.stream_mut(key) else {
            return;
        };
        if !std::mem::take(&mut stream.receives) {
            return;
        }
        let id = stream.id;
        self.full -= u32::from(std::mem::take(&mut stream.is_full));
        self.leaving.insert(id, 0);
        self.discard(id);
        if self.leaving.contains_key(&id) {
            if self.leaving_until.len() > 2 * self.leaving.len() + LEFT_MIN {
                let leaving = &self.leaving;
                self.leaving_until
                    .retain(|(_, id)| leaving.contains_key(id));
            }
            self.leaving_until.push_back((now + LEFT_TIME, id));
        }
    }

    /// Discards what has arrived on a half that nobody reads.
    pub(super) fn discard(&mut self, id: StreamId) {
        let Some(discarded) = self.leaving.get_mut(&id) else {
            return;
        };
        let mut receiver = self.connection.recv_stream(id);
        let Ok(mut chunks) = receiver.read(true) else {
            self.leaving.remove(&id);
            return;
        };
        let is_over = loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) => {
                    *discarded = discarded.saturating_add(chunk.bytes.len() as u32);
                    self.passed_on += chunk.bytes.len() as u64;
                }
                Err(ReadError::Blocked) => break false,
                Ok(None) | Err(ReadError::Reset(_)) => break true,
            }
        };
        let _ = chunks.finalize();
        let is_long = *discarded > LEFT_BYTES_MAX;
        if is_long && !is_over {
            receiver.stop(0u32.into()).ok();
        }
        if is_over || is_long {
            self.leaving.remove(&id);
        }
    }

    /// Returns the next bytes of the stream that is being read, and then its end.
    pub(super) fn poll_chunk(&mut self) -> Option<Event> {
        let (key, _) = self.reading.as_ref()?;
        match self.chunks.pop_front() {
            Some(bytes) => Some(Event::Data { key: *key, bytes }),
            None => self.reading.take()?.1,
        }
    }

    /// Reads a stream as far as the application may be ahead.
    pub(super) fn read(&mut self, key: StreamKey) {
        let is_over = self.ended.is_some();
        let Some(Some(stream)) = self.streams.get_mut(key.0 as usize) else {
            return;
        };
        stream.is_queued = false;
        if !stream.receives {
            return;
        }
        let mut receiver = self.connection.recv_stream(stream.id);
        // Fails for a stream that has ended.
        let Ok(mut chunks) = receiver.read(true) else {
            return;
        };
        let mut read = 0;
        let end = loop {
            let room = if is_over {
                usize::MAX
            } else {
                stream.ahead_max.saturating_sub(stream.unread) as usize
            };
            // Without room, it is read on when bytes are consumed.
            if room == 0 {
                if !std::mem::replace(&mut stream.is_full, true) {
                    self.full += 1;
                }
                break None;
            }
            if self.chunks.len() == CHUNKS_MAX {
                stream.is_queued = true;
                self.readable.push_back(key);
                break None;
            }
            match chunks.next(room) {
                Ok(Some(chunk)) => {
                    read += chunk.bytes.len();
                    stream.unread = stream.unread.saturating_add(chunk.bytes.len() as u32);
                    self.chunks.push_back(chunk.bytes);
                }
                Ok(None) => break Some(Event::Finished { key }),
                Err(ReadError::Blocked) => break None,
                Err(ReadError::Reset(code)) => {
                    let code = code_of(code);
                    break Some(Event::Reset { key, code });
                }
            }
        };
        // Credit is sent with the next datagram in any case.
        let _ = chunks.finalize();
        self.passed_on += read as u64;
        stream.receives = end.is_none();
        self.reading = Some((key, end));
    }

    /// Queues a stream to be read.
    pub(super) fn queue(&mut self, key: StreamKey) {
        let Some(stream) = self.stream_mut(key) else {
            return;
        };
        if !std::mem::replace(&mut stream.is_queued, true) {
            self.readable.push_back(key);
        }
    }

    /// Adapts what the remote may send on all streams together. What exceeds the first window is asked
    /// of `reserve`; returns the bytes to release.
    pub fn adapt_window(&mut self, now: Duration, reserve: impl FnOnce(u32) -> bool) -> u32 {
        let released = self.window.take_used(self.passed_on);
        if self.window.has_excess() {
            return released;
        }
        if self.keys.is_empty() {
            self.window.forget();
        } else {
            let round_trip = self.connection.rtt();
            self.window.observe(self.passed_on, round_trip, now);
        }
        let granted = self.window.granted();
        let unread = self.full.saturating_mul(self.stream_window);
        let target = self.window.target(unread);
        if target != granted && (target < granted || reserve(target - granted)) {
            self.window.grant(target, self.passed_on);
            self.connection.set_receive_window(target.into());
        }
        released
    }

    /// Returns the bytes that were reserved and are not released.
    pub const fn reserved(&self) -> u32 {
        self.window.reserved()
    }
}
