//! The incoming frame: its partial header, its payload and its pending events.

use crate::muxer::StreamKey;

use super::Event;
use super::frame::HEADER_BYTES;

/// The incoming frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Reception {
    /// Received part of a fragmented header.
    header: [u8; HEADER_BYTES],
    filled: usize,
    /// Stream of the frame; `None` drops the rest of it.
    target: Option<StreamKey>,
    /// Payload bytes that have not arrived yet.
    body: u32,
    /// The payload is dropped.
    is_muted: bool,
    pending: PendingEvents,
    /// Code of a reset.
    code: u32,
}

/// Events of a frame not yet returned, besides its payload.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct PendingEvents(u8);

impl PendingEvents {
    pub(super) const OPENED: Self = Self(1);
    pub(super) const ACKED: Self = Self(2);
    pub(super) const WRITABLE: Self = Self(4);
    const RESET: Self = Self(8);
    /// Returned after the payload.
    pub(super) const FINISHED: Self = Self(16);

    const fn take(&mut self, event: Self) -> bool {
        let had = self.0 & event.0 != 0;
        self.0 &= !event.0;
        had
    }
}

impl Reception {
    pub(super) const fn is_mid_frame(&self) -> bool {
        self.body > 0 || self.filled > 0
    }

    /// Drops all further events of the stream.
    pub(super) fn detach(&mut self, key: StreamKey) {
        if self.target == Some(key) {
            self.target = None;
            self.pending = PendingEvents::default();
        }
    }

    pub(super) const fn has_body(&self) -> bool {
        self.body > 0
    }

    /// Drops the rest of the stream's payload.
    pub(super) fn mute(&mut self, key: StreamKey) {
        if self.target == Some(key) {
            self.is_muted = true;
        }
    }

    /// Begins a frame without pending events.
    pub(super) const fn begin(&mut self, target: Option<StreamKey>, body: u32) {
        self.target = target;
        self.body = body;
        self.is_muted = false;
        self.pending = PendingEvents(0);
    }

    /// Records that the frame opened a stream.
    pub(super) const fn open(&mut self, key: StreamKey) {
        self.target = Some(key);
        self.report(PendingEvents::OPENED);
    }

    pub(super) const fn report(&mut self, event: PendingEvents) {
        self.pending.0 |= event.0;
    }

    /// Records that the frame reset the stream, which voids its payload and other flags.
    pub(super) const fn report_reset(&mut self, code: u32) {
        self.pending = PendingEvents::RESET;
        self.code = code;
    }

    /// Returns the next event apart from the payload: all but the end precede it.
    pub(super) const fn next_pending(&mut self) -> Option<Event<'static>> {
        if self.pending.0 == 0 {
            return None;
        }
        let Some(key) = self.target else { return None };
        if self.pending.take(PendingEvents::OPENED) {
            return Some(Event::Opened { key });
        }
        if self.pending.take(PendingEvents::ACKED) {
            return Some(Event::Acked { key });
        }
        if self.pending.take(PendingEvents::WRITABLE) {
            return Some(Event::Writable { key });
        }
        if self.pending.take(PendingEvents::RESET) {
            self.target = None;
            return Some(Event::Reset {
                key,
                code: self.code,
            });
        }
        if self.body == 0 && self.pending.take(PendingEvents::FINISHED) {
            return Some(Event::Finished { key });
        }
        None
    }

    /// Consumes payload from `input`; `None` if it is dropped.
    pub(super) fn take_body<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        let count = input.len().min(self.body as usize);
        let (bytes, rest) = input.split_at(count);
        *input = rest;
        // At most `body`, so it fits.
        self.body -= count as u32;
        let key = self.target?;
        (!self.is_muted).then_some(Event::Data { key, bytes })
    }

    /// Consumes a header, or the available part of one, from `input`.
    pub(super) fn take_header(&mut self, input: &mut &[u8]) -> Option<[u8; HEADER_BYTES]> {
        if self.filled == 0
            && let Some((header, rest)) = input.split_first_chunk()
        {
            *input = rest;
            return Some(*header);
        }
        let count = input.len().min(HEADER_BYTES - self.filled);
        let (bytes, rest) = input.split_at(count);
        *input = rest;
        self.header[self.filled..self.filled + count].copy_from_slice(bytes);
        self.filled += count;
        if self.filled < HEADER_BYTES {
            return None;
        }
        self.filled = 0;
        Some(self.header)
    }
}
