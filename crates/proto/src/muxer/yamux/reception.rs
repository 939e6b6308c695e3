//! The frame that is coming in: its header in pieces, its payload, what it has to tell.

use crate::muxer::StreamKey;

use super::Event;
use super::frame::HEADER_BYTES;

/// The frame that is coming in.
#[derive(Clone, Debug, Default)]
pub(super) struct Reception {
    /// The front of a header that came in pieces.
    header: [u8; HEADER_BYTES],
    filled: usize,
    /// Whose frame it is; `None` drops what is left of it.
    target: Option<StreamKey>,
    /// Payload that has not come yet.
    body: u32,
    /// Nobody wants the payload.
    muted: bool,
    steps: Steps,
    /// Code of a reset.
    code: u32,
}

/// What one frame still has to tell, besides its payload.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Steps(u8);

impl Steps {
    pub(super) const OPENED: Self = Self(1);
    pub(super) const ACKED: Self = Self(2);
    pub(super) const WRITABLE: Self = Self(4);
    const RESET: Self = Self(8);
    /// Told after the payload.
    pub(super) const FINISHED: Self = Self(16);

    const fn take(&mut self, step: Self) -> bool {
        let had = self.0 & step.0 != 0;
        self.0 &= !step.0;
        had
    }
}

impl Reception {
    pub(super) const fn is_mid_frame(&self) -> bool {
        self.body > 0 || self.filled > 0
    }

    /// Nothing more is told of the stream.
    pub(super) fn detach(&mut self, key: StreamKey) {
        if self.target == Some(key) {
            self.target = None;
            self.steps = Steps::default();
        }
    }

    pub(super) const fn has_body(&self) -> bool {
        self.body > 0
    }

    /// What is left of the stream's payload is dropped.
    pub(super) fn mute(&mut self, key: StreamKey) {
        if self.target == Some(key) {
            self.muted = true;
        }
    }

    /// Starts with a frame that has nothing to tell yet.
    pub(super) const fn begin(&mut self, target: Option<StreamKey>, body: u32) {
        self.target = target;
        self.body = body;
        self.muted = false;
        self.steps = Steps(0);
    }

    /// The frame opened a stream.
    pub(super) const fn open(&mut self, key: StreamKey) {
        self.target = Some(key);
        self.report(Steps::OPENED);
    }

    pub(super) const fn report(&mut self, step: Steps) {
        self.steps.0 |= step.0;
    }

    /// The stream ends with this frame: its payload and its other flags count for nothing.
    pub(super) const fn report_reset(&mut self, code: u32) {
        self.steps = Steps::RESET;
        self.code = code;
    }

    /// The next thing to tell apart from the payload: all but the end comes before it.
    pub(super) const fn next_step(&mut self) -> Option<Event<'static>> {
        if self.steps.0 == 0 {
            return None;
        }
        let Some(key) = self.target else { return None };
        if self.steps.take(Steps::OPENED) {
            return Some(Event::Opened { key });
        }
        if self.steps.take(Steps::ACKED) {
            return Some(Event::Acked { key });
        }
        if self.steps.take(Steps::WRITABLE) {
            return Some(Event::Writable { key });
        }
        if self.steps.take(Steps::RESET) {
            self.target = None;
            return Some(Event::Reset {
                key,
                code: self.code,
            });
        }
        if self.body == 0 && self.steps.take(Steps::FINISHED) {
            return Some(Event::Finished { key });
        }
        None
    }

    /// Takes payload off `input`; `None` when nobody wants it.
    pub(super) fn take_body<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        let count = input.len().min(self.body as usize);
        let (bytes, rest) = input.split_at(count);
        *input = rest;
        // At most `body`, so it fits.
        self.body -= count as u32;
        let key = self.target?;
        (!self.muted).then_some(Event::Data { key, bytes })
    }

    /// Takes a header off `input`, or what there is of one.
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
