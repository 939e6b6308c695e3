//! Unsigned varints: LEB128, minimal, at most nine bytes (63 bits).
//!
//! Spec: multiformats unsigned-varint.

use thiserror::Error;

/// Longest varint: 63 bits.
pub const VARINT_BYTES_MAX: usize = 9;

/// Error decoding a varint.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VarintError {
    /// The varint continues past nine bytes.
    #[error("varint is longer than 9 bytes")]
    TooLong,
    /// The encoding is not minimal: its last byte is zero.
    #[error("varint is not minimal")]
    NotMinimal,
}

/// Decodes the varint at the front of `bytes`; returns its value and length, or `None` while it is
/// incomplete.
///
/// # Errors
/// As soon as the bytes cannot become a valid varint.
pub fn decode_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, VarintError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(VarintError::NotMinimal);
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= VARINT_BYTES_MAX {
        Err(VarintError::TooLong)
    } else {
        Ok(None)
    }
}

/// Encodes `value` (at most 63 bits) into `buffer`; returns the bytes used.
pub fn encode_varint(mut value: u64, buffer: &mut [u8; VARINT_BYTES_MAX]) -> &[u8] {
    debug_assert!(value < 1 << 63);
    let mut length = 0;
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 || length == VARINT_BYTES_MAX - 1 {
            buffer[length] = low;
            return &buffer[..=length];
        }
        buffer[length] = low | 0x80;
        length += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Examples of the unsigned-varint specification.
    const VECTORS: [(u64, &[u8]); 7] = [
        (1, &[0x01]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (255, &[0xff, 0x01]),
        (300, &[0xac, 0x02]),
        (16_384, &[0x80, 0x80, 0x01]),
        (
            (1 << 63) - 1,
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ),
    ];

    // V1
    #[test]
    fn matches_the_examples_of_the_specification() {
        for (value, bytes) in VECTORS {
            assert_eq!(encode_varint(value, &mut [0; VARINT_BYTES_MAX]), bytes);
            assert_eq!(decode_varint(bytes), Ok(Some((value, bytes.len()))));
        }
    }

    // A004, A105, A106
    #[test]
    fn rejects_a_varint_of_more_than_nine_bytes_at_the_ninth() {
        assert_eq!(decode_varint(&[0x80; 8]), Ok(None));
        assert_eq!(decode_varint(&[0x80; 9]), Err(VarintError::TooLong));
        assert_eq!(decode_varint(&[0xff; 11]), Err(VarintError::TooLong));
    }

    // A005, A107
    #[test]
    fn rejects_an_overlong_varint() {
        assert_eq!(decode_varint(&[0x94, 0x00]), Err(VarintError::NotMinimal));
        assert_eq!(
            decode_varint(&[0x81, 0x80, 0x00]),
            Err(VarintError::NotMinimal)
        );
        assert_eq!(decode_varint(&[0x00]), Ok(Some((0, 1))));
    }

    proptest! {
        #[test]
        fn prop_round_trips_and_needs_every_byte(value in 0..1_u64 << 63) {
            let mut buffer = [0; VARINT_BYTES_MAX];
            let bytes = encode_varint(value, &mut buffer);
            for end in 0..bytes.len() {
                prop_assert_eq!(decode_varint(&bytes[..end]), Ok(None));
            }
            prop_assert_eq!(decode_varint(bytes), Ok(Some((value, bytes.len()))));
        }
    }
}
