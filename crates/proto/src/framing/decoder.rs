//! Message boundaries of one stream, in a buffer that the caller owns.

use super::{Framing, FramingError, Prefix};

/// Tracks the message boundaries of one stream.
///
/// The bytes stay with the caller, who repeats one of two patterns:
/// - **whole messages**: [`peek`](Self::peek), wait until the buffer holds the prefix and the
///   message, remove both;
/// - **a message larger than the buffer**: `peek`, remove the prefix and call
///   [`begin`](Self::begin), then remove parts of the message as they arrive, calling
///   [`advance`](Self::advance) for each. Until the end of the message `peek` returns the
///   remaining length.
///
/// `peek` does not change the state, so a reader may stop at any point and resume later.
#[derive(Debug, Clone)]
pub struct Decoder {
    framing: Framing,
    message_bytes_max: usize,
    /// Remaining bytes of the current message; zero between messages.
    left: usize,
}

impl Decoder {
    /// Creates a decoder positioned between messages.
    pub const fn new(framing: Framing, message_bytes_max: usize) -> Self {
        Self {
            framing,
            message_bytes_max,
            left: 0,
        }
    }

    /// Returns the prefix at the front of the buffer, or `None` while it is incomplete.
    ///
    /// `head` is the front of the buffer: [`Framing::PREFIX_BYTES_MAX`] bytes, or all available.
    /// Inside a message the prefix has zero bytes.
    ///
    /// # Errors
    /// Those of [`Framing::decode_prefix`]. They are final: no later boundary can be found.
    pub fn peek(&self, head: &[u8]) -> Result<Option<Prefix>, FramingError> {
        if self.is_inside_message() {
            return Ok(Some(Prefix {
                prefix_bytes: 0,
                message_bytes: self.left,
            }));
        }
        self.framing.decode_prefix(head, self.message_bytes_max)
    }

    /// Records that the prefix was removed; the message follows in parts.
    pub const fn begin(&mut self, prefix: Prefix) {
        self.left = prefix.message_bytes;
    }

    /// Records that `count` bytes of the current message were removed.
    pub const fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.left);
        self.left = self.left.saturating_sub(count);
    }

    /// Returns whether the current message has bytes left; an end of stream here truncates it.
    pub const fn is_inside_message(&self) -> bool {
        self.left > 0
    }
}
