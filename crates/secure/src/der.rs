//! A strict DER reader: definite, minimal lengths only, no recursion, no reads past its input.

/// Tags used by this crate.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
}

/// The bytes are not the expected DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed DER")]
pub(crate) struct DerError;

/// Reads consecutive values.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// One value: its contents, and the whole encoding with tag and length.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    pub(crate) contents: &'a [u8],
    pub(crate) encoded: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Returns the contents of the single value that `input` consists of.
    pub(crate) fn single(input: &'a [u8], tag: u8) -> Result<&'a [u8], DerError> {
        let mut reader = Self::new(input);
        let value = reader.read(tag)?;
        reader.finish()?;
        Ok(value.contents)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek_tag(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn read(&mut self, tag: u8) -> Result<Value<'a>, DerError> {
        if self.peek_tag() != Some(tag) {
            return Err(DerError);
        }
        let (header_length, length) = read_length(self.rest)?;
        let end = header_length.checked_add(length).ok_or(DerError)?;
        if end > self.rest.len() {
            return Err(DerError);
        }
        let (encoded, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Value {
            contents: &encoded[header_length..],
            encoded,
        })
    }

    pub(crate) fn read_if(&mut self, tag: u8) -> Result<Option<Value<'a>>, DerError> {
        if self.peek_tag() == Some(tag) {
            self.read(tag).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Reads a nested SEQUENCE.
    pub(crate) fn sequence(&mut self) -> Result<Self, DerError> {
        Ok(Self::new(self.read(tag::SEQUENCE)?.contents))
    }

    /// Reads a BIT STRING of whole bytes.
    pub(crate) fn bit_string(&mut self) -> Result<&'a [u8], DerError> {
        match self.read(tag::BIT_STRING)?.contents.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(DerError),
        }
    }

    /// Reads the magnitude of a minimally encoded positive INTEGER, without the sign byte.
    pub(crate) fn positive_integer(&mut self) -> Result<&'a [u8], DerError> {
        match self.read(tag::INTEGER)?.contents {
            [0, magnitude @ ..] if magnitude.first().is_some_and(|byte| byte & 0x80 != 0) => {
                Ok(magnitude)
            }
            magnitude @ [first, ..] if *first != 0 && first & 0x80 == 0 => Ok(magnitude),
            _ => Err(DerError),
        }
    }

    pub(crate) fn finish(&self) -> Result<(), DerError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(DerError)
        }
    }
}

/// Returns the lengths of the header and the contents of the value at the front of `input`.
fn read_length(input: &[u8]) -> Result<(usize, usize), DerError> {
    // Two length bytes encode up to 65,535, more than any accepted certificate or key.
    match *input {
        [_, length @ 0..=0x7F, ..] => Ok((2, usize::from(length))),
        [_, 0x81, length @ 0x80..=0xFF, ..] => Ok((3, usize::from(length))),
        [_, 0x82, high @ 1..=0xFF, low, ..] => {
            Ok((4, usize::from(u16::from_be_bytes([high, low]))))
        }
        _ => Err(DerError),
    }
}

/// Appends a value whose contents are the concatenation of `parts`.
///
/// Callers write keys and extensions, far below the 65,535 bytes that two length bytes can encode.
pub(crate) fn write(out: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(tag);
    let [high, low] = u16::try_from(length)
        .expect("values written here are at most 64 KiB")
        .to_be_bytes();
    match length {
        0..=0x7F => out.push(low),
        0x80..=0xFF => out.extend_from_slice(&[0x81, low]),
        _ => out.extend_from_slice(&[0x82, high, low]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_every_length_form() {
        for length in [0, 1, 127, 128, 255, 256, 65_535] {
            let contents = vec![7; length];
            let mut encoded = Vec::new();
            write(&mut encoded, tag::OCTET_STRING, &[&contents]);
            assert_eq!(
                Reader::single(&encoded, tag::OCTET_STRING).unwrap(),
                contents
            );
        }
    }

    #[test]
    fn rejects_indefinite_overlong_and_false_lengths() {
        let inputs: [&[u8]; 7] = [
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 0x01, 0],
            &[0x30, 0x82, 0x00, 0x80],
            &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x30, 0x84, 0x80, 0, 0, 0],
            &[0x30, 0x05, 0],
            &[0x30],
        ];
        for input in inputs {
            assert_eq!(
                Reader::single(input, tag::SEQUENCE),
                Err(DerError),
                "{input:02x?}"
            );
        }
    }

    #[test]
    fn rejects_negative_zero_padded_and_empty_integers() {
        for contents in [&[][..], &[0], &[0x80], &[0, 0x7F], &[0, 0, 0x80]] {
            let mut encoded = Vec::new();
            write(&mut encoded, tag::INTEGER, &[contents]);
            assert!(
                Reader::new(&encoded).positive_integer().is_err(),
                "{contents:02x?}"
            );
        }
    }
}
