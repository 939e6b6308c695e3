//! A bounded protobuf reader, and the few writers this crate needs.
//!
//! Varints must be minimal and groups are rejected; no recursion, no copying.

/// The bytes are not a protobuf message in the form that libp2p uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf message")]
pub(crate) struct ProtobufError;

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A fixed 32 or 64-bit value; no message here defines one, so it is only skipped.
    Fixed,
}

/// Reads the fields of a message in wire order.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Returns the next field's number and value, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(ProtobufError),
        };
        match key >> 3 {
            0 => Err(ProtobufError),
            number => Ok(Some((number, value))),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            // The tenth byte holds the last of 64 bits.
            if index == 9 && byte > 1 {
                return Err(ProtobufError);
            }
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(ProtobufError);
                }
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(ProtobufError)
    }
}

/// Stores `value` in `slot`; an error if it is already set, as for a field that appears twice.
pub(crate) fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), ProtobufError> {
    if slot.is_some() {
        return Err(ProtobufError);
    }
    *slot = Some(value);
    Ok(())
}

/// Appends a varint field.
pub(crate) fn write_varint(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    push_varint(out, value);
}

/// Appends a length-delimited field.
pub(crate) fn write_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_fields_and_skips_fixed_ones() {
        let mut message = Vec::new();
        write_varint(&mut message, 1, u64::MAX);
        message.extend_from_slice(&[3 << 3 | 5, 1, 2, 3, 4]);
        write_bytes(&mut message, 2, &[9; 300]);
        let mut fields = Fields::new(&message);
        assert_eq!(fields.next(), Ok(Some((1, Value::Varint(u64::MAX)))));
        assert_eq!(fields.next(), Ok(Some((3, Value::Fixed))));
        assert_eq!(fields.next(), Ok(Some((2, Value::Bytes(&[9; 300])))));
        assert_eq!(fields.next(), Ok(None));
    }

    #[test]
    fn rejects_overlong_varints_groups_field_zero_and_false_lengths() {
        let inputs: [&[u8]; 7] = [
            &[0x08, 0x81, 0x00],
            &[
                0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02,
            ],
            &[0x0B],
            &[0x0C],
            &[0x00, 0x01],
            &[0x12, 0x05, 1],
            &[
                0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01,
            ],
        ];
        for input in inputs {
            assert_eq!(
                Fields::new(input).next(),
                Err(ProtobufError),
                "{input:02x?}"
            );
        }
    }
}
