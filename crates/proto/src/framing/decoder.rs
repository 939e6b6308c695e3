//! Where the messages of one stream begin and end, in a buffer that somebody else holds.

use super::{Framing, FramingError, Prefix};

/// Follows the messages of one stream through its buffer.
///
/// The bytes stay with the caller, who repeats one of two patterns:
/// - **whole messages**: [`peek`](Self::peek), wait until the buffer holds the prefix and the message,
///   remove both;
/// - **a message larger than the buffer**: `peek`, remove the prefix and say so with
///   [`begin`](Self::begin), then remove parts of the message as they come, each told to
///   [`advance`](Self::advance). Until its end `peek` gives what is left of it.
///
/// Since `peek` changes nothing, a reader that stops anywhere goes on exactly where it was.
#[derive(Debug, Clone)]
pub struct Decoder {
    framing: Framing,
    message_bytes_max: usize,
    /// Bytes to come of a message that was begun; zero between messages.
    left: usize,
}

impl Decoder {
    /// A decoder at the start of a message.
    pub const fn new(framing: Framing, message_bytes_max: usize) -> Self {
        Self {
            framing,
            message_bytes_max,
            left: 0,
        }
    }

    /// What lies at the front of the buffer; `None` while the prefix is incomplete.
    ///
    /// `head` is the front of the buffer: [`Framing::PREFIX_BYTES_MAX`] bytes, or all there are.
    /// Inside a message that was begun the prefix has no bytes.
    ///
    /// # Errors
    /// Those of [`Framing::decode_prefix`]. They stay: no later message can be found.
    pub fn peek(&self, head: &[u8]) -> Result<Option<Prefix>, FramingError> {
        if self.is_inside_message() {
            return Ok(Some(Prefix {
                prefix_bytes: 0,
                message_bytes: self.left,
            }));
        }
        self.framing.decode_prefix(head, self.message_bytes_max)
    }

    /// The prefix was removed and the message will be, in parts.
    pub const fn begin(&mut self, prefix: Prefix) {
        self.left = prefix.message_bytes;
    }

    /// `count` bytes of the message that was begun were removed.
    pub const fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.left);
        self.left = self.left.saturating_sub(count);
    }

    /// A message was begun and has bytes to come: an end here cuts it short.
    pub const fn is_inside_message(&self) -> bool {
        self.left > 0
    }
}
