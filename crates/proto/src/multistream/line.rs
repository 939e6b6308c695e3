//! One line on the wire.

use crate::framing::{VARINT_BYTES_MAX, decode_varint, encode_varint};

use super::NegotiationError;

/// Longest line, newline included: go's and js's limit.
pub const LINE_BYTES_MAX: usize = 1_024;

/// First line of both sides.
pub(super) const HEADER: &[u8] = b"/multistream/1.0.0";

/// The answer that refuses a proposal.
pub(super) const NOT_AVAILABLE: &[u8] = b"na";

/// The question for a list of protocols.
pub(super) const LIST: &[u8] = b"ls";

/// Appends `text` as a line.
pub(super) fn append_line(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(line_bytes(text));
    append_length(out, text.len() + 1);
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Appends the length of a line, its newline counted.
pub(super) fn append_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(encode_varint(length as u64, &mut [0; VARINT_BYTES_MAX]));
}

/// Bytes of the line that has `text` in it.
pub(super) fn line_bytes(text: &[u8]) -> usize {
    let length = text.len() + 1;
    encode_varint(length as u64, &mut [0; VARINT_BYTES_MAX]).len() + length
}

/// Collects one line from pieces of any size.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    bytes: Vec<u8>,
}

impl LineReader {
    /// Takes what the present line needs from the front of `input`; true when it is complete.
    ///
    /// # Errors
    /// As soon as the bytes cannot become a valid line; nothing is held beyond its limit.
    pub(super) fn fill(&mut self, input: &mut &[u8]) -> Result<bool, NegotiationError> {
        loop {
            let wanted = match decode_varint(&self.bytes)? {
                Some((length, prefix)) => {
                    if length > LINE_BYTES_MAX as u64 {
                        return Err(NegotiationError::LineTooLong { length });
                    }
                    // At most LINE_BYTES_MAX.
                    let total = prefix + length as usize;
                    if self.bytes.len() == total {
                        return self.check(prefix);
                    }
                    total - self.bytes.len()
                }
                None => 1,
            };
            let (now, later) = input.split_at(wanted.min(input.len()));
            if now.is_empty() {
                return Ok(false);
            }
            self.bytes.extend_from_slice(now);
            *input = later;
        }
    }

    fn check(&self, prefix: usize) -> Result<bool, NegotiationError> {
        match self.bytes[prefix..].last() {
            Some(b'\n') => Ok(true),
            _ => Err(NegotiationError::NoNewline),
        }
    }

    /// Whether the part of a line that has come can be the front of the header.
    pub(super) fn may_become_header(&self) -> bool {
        let header = [HEADER.len() as u8 + 1];
        let header = header.iter().chain(HEADER).chain(b"\n");
        self.bytes.iter().zip(header).all(|(byte, own)| byte == own)
    }

    /// The complete line without its length and newline.
    pub(super) fn text(&self) -> &[u8] {
        let prefix = if self.bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            2
        } else {
            1
        };
        &self.bytes[prefix..self.bytes.len() - 1]
    }

    /// Makes room for the next line.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Memory of the line so far.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
