//! Encoding and decoding of lines.

use crate::framing::{VARINT_BYTES_MAX, decode_varint, encode_varint};

use super::NegotiationError;

/// Maximum line length, newline included: the limit of go and js.
pub const LINE_BYTES_MAX: usize = 1_024;

/// First line sent by either side.
pub(super) const HEADER: &[u8] = b"/multistream/1.0.0";

/// Answer that refuses a proposal.
pub(super) const NOT_AVAILABLE: &[u8] = b"na";

/// Request for a list of protocols.
pub(super) const LIST: &[u8] = b"ls";

/// Appends `text` as a line.
pub(super) fn append_line(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(line_bytes(text));
    append_length(out, text.len() + 1);
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Appends the length prefix of a line; `length` includes the newline.
pub(super) fn append_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(encode_varint(length as u64, &mut [0; VARINT_BYTES_MAX]));
}

/// Returns the encoded length of the line with `text`.
pub(super) fn line_bytes(text: &[u8]) -> usize {
    let length = text.len() + 1;
    encode_varint(length as u64, &mut [0; VARINT_BYTES_MAX]).len() + length
}

/// Assembles one line from pieces of any size.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    bytes: Vec<u8>,
}

impl LineReader {
    /// Consumes the bytes of the current line from the front of `input`; returns whether it is
    /// complete.
    ///
    /// # Errors
    /// As soon as the bytes cannot become a valid line; no more than one line is buffered.
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

    /// Returns whether the buffered bytes are a prefix of the header.
    pub(super) fn may_become_header(&self) -> bool {
        let header = [HEADER.len() as u8 + 1];
        let header = header.iter().chain(HEADER).chain(b"\n");
        self.bytes
            .iter()
            .zip(header)
            .all(|(byte, expected)| byte == expected)
    }

    /// Returns the complete line without its length and newline.
    pub(super) fn text(&self) -> &[u8] {
        let prefix = if self.bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            2
        } else {
            1
        };
        &self.bytes[prefix..self.bytes.len() - 1]
    }

    /// Resets the reader for the next line.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Returns the capacity of the buffer.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
