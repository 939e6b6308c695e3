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

/// Assembles lines from pieces of any size. One that arrives whole is not copied.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    /// Start of a line, or one that is complete and was returned.
    bytes: Vec<u8>,
    complete: bool,
}

impl LineReader {
    /// Consumes the bytes of the current line from the front of `input`; returns the text of the
    /// line once it is complete.
    ///
    /// # Errors
    /// As soon as the bytes cannot become a valid line; no more than one line is buffered.
    pub(super) fn read<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, NegotiationError> {
        if std::mem::take(&mut self.complete) {
            self.bytes.clear();
        }
        if self.bytes.is_empty()
            && let Some(line) = Line::at_start(input)?
            && line.end() <= input.len()
        {
            let (whole, later) = input.split_at(line.end());
            *input = later;
            return line.text(whole).map(Some);
        }
        loop {
            let line = Line::at_start(&self.bytes)?;
            // Byte by byte until the length is known.
            let end = line.as_ref().map_or(self.bytes.len() + 1, Line::end);
            let (now, later) = input.split_at((end - self.bytes.len()).min(input.len()));
            self.bytes.extend_from_slice(now);
            *input = later;
            match line {
                Some(line) if self.bytes.len() == end => {
                    self.complete = true;
                    return line.text(&self.bytes).map(Some);
                }
                _ if now.is_empty() => return Ok(None),
                _ => {}
            }
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

    /// Returns the capacity of the buffer.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Extent of a line.
struct Line {
    /// Bytes of the length prefix.
    prefix: usize,
    /// Bytes of the text and the newline.
    length: usize,
}

impl Line {
    /// Reads the length of the line at the start of `bytes`, if they are enough for it.
    fn at_start(bytes: &[u8]) -> Result<Option<Self>, NegotiationError> {
        match decode_varint(bytes)? {
            Some((length, _)) if length > LINE_BYTES_MAX as u64 => {
                Err(NegotiationError::LineTooLong { length })
            }
            Some((length, prefix)) => Ok(Some(Self {
                prefix,
                length: length as usize,
            })),
            None => Ok(None),
        }
    }

    const fn end(&self) -> usize {
        self.prefix + self.length
    }

    /// Returns the line without its length and newline.
    fn text<'a>(&self, line: &'a [u8]) -> Result<&'a [u8], NegotiationError> {
        line[self.prefix..]
            .strip_suffix(b"\n")
            .ok_or(NegotiationError::NoNewline)
    }
}
