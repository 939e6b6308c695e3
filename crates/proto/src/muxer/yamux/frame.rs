//! The 12-byte frame header.

use super::ProtocolError;

/// Length of a frame's header: version, type, flags (2), stream id (4), length (4), big-endian.
pub const HEADER_BYTES: usize = 12;

/// The only version defined.
const VERSION: u8 = 0;

/// Frame type.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::muxer) enum Kind {
    /// `length` bytes of payload follow.
    Data,
    /// `length` is credit for the receiver of the frame or, with RST, an error code.
    WindowUpdate,
    /// `length` is an opaque number: SYN marks a ping, ACK its pong.
    Ping,
    /// `length` is an error code.
    GoAway,
}

/// The flags of a frame; they combine freely.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::muxer) struct Flags(u16);

impl Flags {
    pub(in crate::muxer) const NONE: Self = Self(0);
    pub(in crate::muxer) const SYN: Self = Self(1);
    pub(in crate::muxer) const ACK: Self = Self(2);
    pub(in crate::muxer) const FIN: Self = Self(4);
    pub(in crate::muxer) const RST: Self = Self(8);
    const KNOWN: u16 = 0xF;

    pub(in crate::muxer) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(in crate::muxer) const fn with(self, flag: Self) -> Self {
        Self(self.0 | flag.0)
    }

    pub(in crate::muxer) const fn without(self, flag: Self) -> Self {
        Self(self.0 & !flag.0)
    }

    pub(in crate::muxer) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A frame without its payload.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::muxer) struct Header {
    pub(in crate::muxer) kind: Kind,
    pub(in crate::muxer) flags: Flags,
    /// Zero for frames about the session.
    pub(in crate::muxer) id: u32,
    pub(in crate::muxer) length: u32,
}

impl Header {
    pub(in crate::muxer) const fn data(flags: Flags, id: u32, length: u32) -> Self {
        Self {
            kind: Kind::Data,
            flags,
            id,
            length,
        }
    }

    pub(in crate::muxer) const fn window_update(flags: Flags, id: u32, length: u32) -> Self {
        Self {
            kind: Kind::WindowUpdate,
            flags,
            id,
            length,
        }
    }

    pub(in crate::muxer) const fn ping(flags: Flags, length: u32) -> Self {
        Self {
            kind: Kind::Ping,
            flags,
            id: 0,
            length,
        }
    }

    pub(in crate::muxer) const fn go_away(code: u32) -> Self {
        Self {
            kind: Kind::GoAway,
            flags: Flags::NONE,
            id: 0,
            length: code,
        }
    }

    /// Decodes a header; validates it in isolation, not against the session.
    pub(in crate::muxer) fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, ProtocolError> {
        let [version, kind, f0, f1, i0, i1, i2, i3, l0, l1, l2, l3] = bytes;
        if version != VERSION {
            return Err(ProtocolError::InvalidVersion { version });
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            kind => return Err(ProtocolError::InvalidType { kind }),
        };
        let flags = u16::from_be_bytes([f0, f1]);
        if flags & !Flags::KNOWN != 0 {
            return Err(ProtocolError::UnknownFlags { flags });
        }
        Ok(Self {
            kind,
            flags: Flags(flags),
            id: u32::from_be_bytes([i0, i1, i2, i3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    pub(in crate::muxer) const fn encode(self) -> [u8; HEADER_BYTES] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        let [f0, f1] = self.flags.0.to_be_bytes();
        let [i0, i1, i2, i3] = self.id.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [VERSION, kind, f0, f1, i0, i1, i2, i3, l0, l1, l2, l3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_has_the_layout_of_the_specification() {
        let header = Header::window_update(Flags::SYN.with(Flags::FIN), 0x0102_0304, 0x0506_0708);
        assert_eq!(header.encode(), [0, 1, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn rejects_unknown_versions_types_and_flags() {
        let with = |index: usize, value: u8| {
            let mut bytes = Header::data(Flags::NONE, 1, 0).encode();
            bytes[index] = value;
            Header::decode(bytes)
        };
        assert_eq!(
            with(0, 1),
            Err(ProtocolError::InvalidVersion { version: 1 })
        );
        for kind in 4..=255 {
            assert_eq!(with(1, kind), Err(ProtocolError::InvalidType { kind }));
        }
        assert_eq!(
            with(3, 0x10),
            Err(ProtocolError::UnknownFlags { flags: 0x10 })
        );
        assert_eq!(
            with(2, 0x80),
            Err(ProtocolError::UnknownFlags { flags: 0x8000 })
        );
    }

    proptest! {
        #[test]
        fn prop_decoded_headers_encode_to_the_same_bytes(bytes: [u8; HEADER_BYTES]) {
            if let Ok(header) = Header::decode(bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }
}
