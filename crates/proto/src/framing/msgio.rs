//! Length prefixes: unsigned varints, or 1, 2, 4 or 8 bytes in network order.

use thiserror::Error;

use super::varint::{VARINT_BYTES_MAX, VarintError, decode_varint, encode_varint};

/// Default message size limit: 8 MiB, as in go-msgio.
pub const MESSAGE_BYTES_MAX_DEFAULT: usize = 8 << 20;

/// Format of the length prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Unsigned varint.
    Varint,
    /// One byte.
    Fixed8,
    /// Two bytes, network order.
    Fixed16,
    /// Four bytes, network order.
    Fixed32,
    /// Eight bytes, network order.
    Fixed64,
}

/// A decoded length prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Length of the prefix itself.
    pub prefix_bytes: usize,
    /// Length of the message after it.
    pub message_bytes: usize,
}

/// Error decoding or encoding a prefix.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramingError {
    /// The message is longer than the limit.
    #[error("message of {length} bytes exceeds limit of {max}")]
    MessageTooLarge {
        /// Length announced by the prefix.
        length: u64,
        /// The limit.
        max: usize,
    },
    /// The prefix is not a valid varint.
    #[error(transparent)]
    Varint(#[from] VarintError),
    /// The length does not fit in the prefix.
    #[error("message of {length} bytes does not fit its prefix")]
    TooLongForPrefix {
        /// Length of the message.
        length: usize,
    },
}

impl Framing {
    /// Maximum prefix length of any framing.
    pub const PREFIX_BYTES_MAX: usize = VARINT_BYTES_MAX;

    /// Returns the length of the prefix, or `None` if it depends on the message.
    pub const fn prefix_bytes(self) -> Option<usize> {
        match self {
            Self::Varint => None,
            Self::Fixed8 => Some(1),
            Self::Fixed16 => Some(2),
            Self::Fixed32 => Some(4),
            Self::Fixed64 => Some(8),
        }
    }

    /// Decodes the prefix at the front of `bytes`; returns `None` while it is incomplete.
    ///
    /// The limit is enforced here, before any of the message arrives.
    ///
    /// # Errors
    /// [`FramingError::MessageTooLarge`] and [`FramingError::Varint`].
    pub fn decode_prefix(
        self,
        bytes: &[u8],
        message_bytes_max: usize,
    ) -> Result<Option<Prefix>, FramingError> {
        let (length, prefix_bytes) = match self.prefix_bytes() {
            None => match decode_varint(bytes)? {
                Some(found) => found,
                None => return Ok(None),
            },
            Some(count) => {
                let Some(prefix) = bytes.get(..count) else {
                    return Ok(None);
                };
                (
                    prefix
                        .iter()
                        .fold(0, |length, &byte| length << 8 | u64::from(byte)),
                    count,
                )
            }
        };
        match usize::try_from(length) {
            Ok(message_bytes) if message_bytes <= message_bytes_max => Ok(Some(Prefix {
                prefix_bytes,
                message_bytes,
            })),
            _ => Err(FramingError::MessageTooLarge {
                length,
                max: message_bytes_max,
            }),
        }
    }

    /// Encodes the prefix of a message of `length` bytes into `buffer`; returns the bytes used.
    ///
    /// # Errors
    /// [`FramingError::TooLongForPrefix`].
    pub fn encode_prefix(
        self,
        length: usize,
        buffer: &mut [u8; Self::PREFIX_BYTES_MAX],
    ) -> Result<&[u8], FramingError> {
        let Some(count) = self.prefix_bytes() else {
            if length as u64 >= 1 << 63 {
                return Err(FramingError::TooLongForPrefix { length });
            }
            return Ok(encode_varint(length as u64, buffer));
        };
        let bytes = (length as u64).to_be_bytes();
        let (high, low) = bytes.split_at(bytes.len() - count);
        if high.iter().any(|&byte| byte != 0) {
            return Err(FramingError::TooLongForPrefix { length });
        }
        buffer[..count].copy_from_slice(low);
        Ok(&buffer[..count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Framing; 5] = [
        Framing::Varint,
        Framing::Fixed8,
        Framing::Fixed16,
        Framing::Fixed32,
        Framing::Fixed64,
    ];

    // A112
    #[test]
    fn round_trips_and_needs_every_byte() {
        for framing in ALL {
            for length in [0, 1, 127, 128, 255] {
                let mut buffer = [0; Framing::PREFIX_BYTES_MAX];
                let bytes = framing.encode_prefix(length, &mut buffer).unwrap();
                for end in 0..bytes.len() {
                    assert_eq!(framing.decode_prefix(&bytes[..end], 255), Ok(None));
                }
                let prefix = Prefix {
                    prefix_bytes: bytes.len(),
                    message_bytes: length,
                };
                assert_eq!(
                    framing.decode_prefix(bytes, 255),
                    Ok(Some(prefix)),
                    "{framing:?}"
                );
            }
        }
    }

    // A108, A109
    #[test]
    fn rejects_a_message_over_the_limit_at_its_prefix() {
        for first in [0x7f, 0x80, 0xff] {
            let refused = Framing::Fixed32.decode_prefix(&[first, 0xff, 0xff, 0xff], 8 << 20);
            assert!(matches!(refused, Err(FramingError::MessageTooLarge { .. })));
        }
        let at_limit = Framing::Fixed16.decode_prefix(&[1, 0], 256);
        assert_eq!(
            at_limit,
            Ok(Some(Prefix {
                prefix_bytes: 2,
                message_bytes: 256
            }))
        );
        let over = FramingError::MessageTooLarge {
            length: 257,
            max: 256,
        };
        assert_eq!(Framing::Fixed16.decode_prefix(&[1, 1], 256), Err(over));
        assert!(
            Framing::Fixed64
                .decode_prefix(&[0xff; 8], usize::MAX - 1)
                .is_err()
        );
    }

    #[test]
    fn rejects_a_message_too_long_for_its_prefix() {
        let mut buffer = [0; Framing::PREFIX_BYTES_MAX];
        assert!(Framing::Fixed8.encode_prefix(255, &mut buffer).is_ok());
        assert!(Framing::Fixed8.encode_prefix(256, &mut buffer).is_err());
        assert!(Framing::Fixed16.encode_prefix(65_536, &mut buffer).is_err());
    }
}
