//! The payload of control frames, which is gathered: RFC 6455 bounds it.

use crate::frame::CONTROL_BYTES_MAX;

/// The payload of a control frame.
#[derive(Clone, Copy)]
pub(crate) struct ControlPayload {
    bytes: [u8; CONTROL_BYTES_MAX],
    length: usize,
}

impl ControlPayload {
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; CONTROL_BYTES_MAX],
        length: 0,
    };

    /// Appends as much of `bytes` as fits within `length` in total; returns the number taken.
    pub(crate) fn fill(&mut self, bytes: &[u8], length: usize) -> usize {
        let length = length.min(CONTROL_BYTES_MAX);
        let count = bytes.len().min(length - self.length);
        self.bytes[self.length..self.length + count].copy_from_slice(&bytes[..count]);
        self.length += count;
        count
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    pub(crate) fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
