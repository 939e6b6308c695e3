//! The remote's frames: encoded by hand, so that they can be invalid, and decoded.

use std::collections::BTreeMap;

pub(crate) const SYN: u16 = 1;
pub(crate) const ACK: u16 = 2;
pub(crate) const FIN: u16 = 4;
pub(crate) const RST: u16 = 8;

pub(crate) const WINDOW: u64 = 256 << 10;

#[derive(Copy, Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    pub(crate) flags: u16,
    pub(crate) id: u32,
    pub(crate) length: u32,
    /// Offset of a data frame's payload in its stream.
    pub(crate) at: u64,
}

impl Frame {
    pub(crate) const fn of(kind: u8, flags: u16, id: u32, length: u32) -> Self {
        Self {
            version: 0,
            kind,
            flags,
            id,
            length,
            at: 0,
        }
    }

    pub(crate) const fn data(flags: u16, id: u32, length: u32, at: u64) -> Self {
        Self {
            at,
            ..Self::of(0, flags, id, length)
        }
    }

    pub(crate) const fn update(flags: u16, id: u32, length: u32) -> Self {
        Self::of(1, flags, id, length)
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        into.extend([self.version, self.kind]);
        into.extend(self.flags.to_be_bytes());
        into.extend(self.id.to_be_bytes());
        into.extend(self.length.to_be_bytes());
        if self.kind == 0 {
            into.extend((0..u64::from(self.length)).map(|at| pattern(self.id, self.at + at)));
        }
    }
}

/// Returns the byte at offset `at` of the data that either side sends on a stream.
pub(crate) const fn pattern(id: u32, at: u64) -> u8 {
    (at.wrapping_mul(31) ^ (at >> 8) ^ (id as u64).wrapping_mul(97)) as u8
}

/// A remote's view of a stream, from the frames sent to it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct FarStream {
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    pub(crate) fin: bool,
    pub(crate) reset: Option<u32>,
    /// Payload bytes.
    pub(crate) received: u64,
    /// Credit beyond the initial window.
    pub(crate) credit: u64,
}

/// A remote's view of a connection, from the frames sent to it.
#[derive(Default, Debug)]
pub(crate) struct Far {
    pub(crate) streams: BTreeMap<u32, FarStream>,
    pub(crate) pongs: Vec<u32>,
    pub(crate) goaway: Vec<u32>,
    pub(crate) own: Vec<u32>,
    rest: Vec<u8>,
}

impl Far {
    /// Decodes the output of a session; panics on invalid frames.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((header, rest)) = self.rest[at..].split_first_chunk::<12>() {
            let [version, kind, f0, f1, i0, i1, i2, i3, l0, l1, l2, l3] = *header;
            assert_eq!(version, 0);
            let flags = u16::from_be_bytes([f0, f1]);
            let (id, length) = (
                u32::from_be_bytes([i0, i1, i2, i3]),
                u32::from_be_bytes([l0, l1, l2, l3]),
            );
            let body = if kind == 0 { length as usize } else { 0 };
            if rest.len() < body {
                break;
            }
            let payload = &rest[..body];
            match kind {
                0 | 1 => {
                    let stream = self.streams.entry(id).or_default();
                    stream.take(kind, flags, id, length, payload);
                }
                2 if flags & ACK != 0 => self.pongs.push(length),
                2 => {}
                3 => self.goaway.push(length),
                _ => panic!("frame of kind {kind}"),
            }
            at += 12 + body;
        }
        self.rest.drain(..at);
    }

    pub(crate) fn is_between_frames(&self) -> bool {
        self.rest.is_empty()
    }
}

impl FarStream {
    fn take(&mut self, kind: u8, flags: u16, id: u32, length: u32, payload: &[u8]) {
        assert_eq!(self.reset, None, "stream {id} continues after its reset");
        if flags & SYN != 0 {
            assert!(!self.syn, "stream {id} is opened twice");
            self.syn = true;
        }
        self.ack |= flags & ACK != 0;
        if kind == 0 {
            assert!(!self.fin || length == 0, "data of {id} after its FIN");
            for byte in payload {
                assert_eq!(*byte, pattern(id, self.received), "stream {id}");
                self.received += 1;
            }
        } else if flags & RST == 0 {
            self.credit += u64::from(length);
        }
        if flags & RST != 0 {
            self.reset = Some(length);
        }
        if flags & FIN != 0 {
            assert!(!self.fin, "stream {id} ends twice");
            self.fin = true;
        }
    }
}
