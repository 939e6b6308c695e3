//! The header of a frame (RFC 6455, section 5.2).

use crate::Role;
use crate::error::FrameError;

/// Maximum payload of a frame, in both directions.
///
/// A frame is passed on piece by piece, so a large one costs no memory; but control frames, which
/// keep the connection alive, wait for its end. js-libp2p sends frames of up to its muxer's output,
/// go-libp2p of one write, both far below this.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Maximum length of a header: two bytes, an extended length of eight, a mask of four.
pub const HEADER_BYTES_MAX: usize = 14;

/// Maximum payload of a control frame.
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// Values of the 7-bit length that announce an extended one.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// Meaning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn decode(bits: u8) -> Result<Self, FrameError> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return Err(FrameError::Opcode(bits)),
        })
    }

    const fn encode(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) is_final: bool,
    pub(crate) opcode: Opcode,
    /// At most [`FRAME_BYTES_MAX`].
    pub(crate) length: usize,
    pub(crate) mask: Option<[u8; 4]>,
}

impl Header {
    /// Decodes the front of `bytes`, a frame sent by `sender`; returns the header and its length, or
    /// `None` if it is incomplete. A violation is found as soon as its bytes are there.
    pub(crate) fn decode(bytes: &[u8], sender: Role) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        if first & RESERVED != 0 {
            return Err(FrameError::ReservedBit);
        }
        let opcode = Opcode::decode(first & 0x0F)?;
        let is_final = first & FINAL != 0;
        let short = second & !MASKED;
        if opcode.is_control() {
            if !is_final {
                return Err(FrameError::ControlFragmented);
            }
            if usize::from(short) > CONTROL_BYTES_MAX {
                return Err(FrameError::ControlTooLarge);
            }
        }
        let is_masked = second & MASKED != 0;
        match sender {
            Role::Dialer if !is_masked => return Err(FrameError::Unmasked),
            Role::Listener if is_masked => return Err(FrameError::Masked),
            Role::Dialer | Role::Listener => {}
        }
        let Some((length, rest)) = decode_length(short, rest)? else {
            return Ok(None);
        };
        let (mask, rest) = match rest.split_first_chunk() {
            _ if !is_masked => (None, rest),
            Some((key, rest)) => (Some(*key), rest),
            None => return Ok(None),
        };
        let header = Self {
            is_final,
            opcode,
            length,
            mask,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Appends the header to `out`.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        let last = if self.is_final { FINAL } else { 0 };
        out.push(last | self.opcode.encode());
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(length), _) if length < LENGTH_16 => out.push(masked | length),
            (_, Ok(length)) => {
                out.push(masked | LENGTH_16);
                out.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                out.push(masked | LENGTH_64);
                out.extend_from_slice(&(self.length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(self.mask.as_ref().map_or(&[], |key| &key[..]));
    }
}

/// Decodes the length of a payload, of which `short` is the 7-bit form; returns it and what follows,
/// or `None` if it is incomplete.
fn decode_length(short: u8, rest: &[u8]) -> Result<Option<(usize, &[u8])>, FrameError> {
    let (length, least, rest) = match short {
        LENGTH_16 => match rest.split_first_chunk() {
            Some((length, rest)) => (u16::from_be_bytes(*length).into(), LENGTH_16.into(), rest),
            None => return Ok(None),
        },
        LENGTH_64 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), 1 << 16, rest),
            None => return Ok(None),
        },
        short => (short.into(), 0, rest),
    };
    if length < least {
        return Err(FrameError::LengthNotMinimal);
    }
    match usize::try_from(length) {
        Ok(length) if length <= FRAME_BYTES_MAX => Ok(Some((length, rest))),
        _ => Err(FrameError::TooLarge { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6455, section 5.7, without their payloads.
    #[test]
    fn headers_have_the_layout_of_the_specification() {
        let header = |is_final, opcode, length, mask| Header {
            is_final,
            opcode,
            length,
            mask,
        };
        let key = Some([0x37, 0xFA, 0x21, 0x3D]);
        let cases: [(Header, &[u8]); 6] = [
            (header(true, Opcode::Text, 5, None), &[0x81, 0x05]),
            (
                header(true, Opcode::Text, 5, key),
                &[0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D],
            ),
            (header(false, Opcode::Text, 3, None), &[0x01, 0x03]),
            (header(true, Opcode::Continuation, 2, None), &[0x80, 0x02]),
            (
                header(true, Opcode::Binary, 256, None),
                &[0x82, 0x7E, 0x01, 0x00],
            ),
            (
                header(true, Opcode::Binary, 65_536, None),
                &[0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0],
            ),
        ];
        for (header, bytes) in cases {
            let mut encoded = Vec::new();
            header.encode(&mut encoded);
            assert_eq!(encoded, bytes);
            let sender = match header.mask {
                Some(_) => Role::Dialer,
                None => Role::Listener,
            };
            let decoded = Header::decode(bytes, sender);
            assert_eq!(decoded, Ok(Some((header, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(Header::decode(&bytes[..cut], sender), Ok(None), "{cut}");
            }
        }
    }

    #[test]
    fn every_first_pair_of_bytes_is_accepted_or_refused_by_the_specification() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                // Enough for the longest header, and the shortest values of both extended lengths.
                let extended: &[u8] = match second & 0x7F {
                    126 => &[0, 126, 1, 2, 3, 4],
                    127 => &[0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4],
                    _ => &[1, 2, 3, 4],
                };
                let bytes = [&[first, second], extended].concat();
                let known = matches!(first & 0x0F, 0..=2 | 8..=10);
                let control = first & 0x08 != 0;
                let fine = first & 0x70 == 0
                    && known
                    && (!control || (first & 0x80 != 0 && second & 0x7F <= 125));
                for sender in [Role::Dialer, Role::Listener] {
                    let masked = second & 0x80 != 0;
                    let decoded = Header::decode(&bytes, sender);
                    let expected = fine && masked == (sender == Role::Dialer);
                    assert_eq!(
                        decoded.is_ok(),
                        expected,
                        "{first:#x} {second:#x} {sender:?}"
                    );
                    if let Ok(decoded) = decoded {
                        assert!(decoded.is_some());
                    }
                }
            }
        }
    }

    #[test]
    fn refuses_lengths_that_are_not_minimal_or_too_large() {
        let decode = |bytes: &[u8]| Header::decode(bytes, Role::Listener);
        let minimal = Err(FrameError::LengthNotMinimal);
        assert_eq!(decode(&[0x82, 126, 0, 125]), minimal);
        assert_eq!(decode(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), minimal);
        let length = 1 << 20;
        let bytes = |length: u64| [&[0x82, 127], &length.to_be_bytes()[..]].concat();
        assert!(matches!(decode(&bytes(length)), Ok(Some(_))));
        for length in [length + 1, 1 << 32, 1 << 63, u64::MAX] {
            assert_eq!(decode(&bytes(length)), Err(FrameError::TooLarge { length }));
        }
    }
}
