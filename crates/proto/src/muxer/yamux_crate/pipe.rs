//! The socket that the crate believes in: two buffers in memory.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;

use super::HEADER_BYTES;
use crate::muxer::yamux::{Flags, Header, Kind};

/// Unsent bytes beyond which the crate gets no more input, so that what it answers stays bounded.
const UNSENT_MAX: usize = 64 << 10;

/// Memory that an empty buffer keeps.
const KEPT_MAX: usize = 4 << 10;

/// Kinds of frames as on the wire.
const DATA: u8 = 0;
const GO_AWAY: u8 = 3;

/// Both directions; a clone is another handle to the same.
///
/// No waker is kept: who changes something polls the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe(Arc<Mutex<Buffers>>);

#[derive(Debug, Default)]
struct Buffers {
    input: Buffer,
    output: Buffer,
    /// The crate is about to write the payload of a frame.
    in_body: bool,
    /// Code of the GoAway that the crate wanted to send.
    refusal: Option<u32>,
    incoming: Incoming,
    /// Inbound streams whose acknowledgement the crate may not say, or has not been able to say.
    acks: HashMap<u32, Ack>,
}

/// Follows the frames of the input, for the sake of GoAways: the crate would end every stream at once, those
/// included whose end it has received and not handed out.
#[derive(Debug, Default)]
struct Incoming {
    header: [u8; HEADER_BYTES],
    filled: usize,
    /// Bytes of a payload that are to come.
    body: usize,
    /// Code of the first GoAway.
    goodbye: Option<u32>,
}

impl Incoming {
    /// Appends what is for the crate to `input`: whole headers and payloads as they come.
    fn pass(&mut self, mut bytes: &[u8], input: &mut Buffer) {
        while !bytes.is_empty() {
            if self.body > 0 {
                let (part, rest) = bytes.split_at(bytes.len().min(self.body));
                input.push(part);
                self.body -= part.len();
                bytes = rest;
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - self.filled));
            self.header[self.filled..][..part.len()].copy_from_slice(part);
            self.filled += part.len();
            bytes = rest;
            if self.filled < HEADER_BYTES {
                return;
            }
            self.filled = 0;
            // By these two fields alone, as the crate does: what makes no sense otherwise is its to refuse.
            let [_, kind, .., l0, l1, l2, l3] = self.header;
            let length = u32::from_be_bytes([l0, l1, l2, l3]);
            match kind {
                DATA => self.body = length as usize,
                GO_AWAY => {
                    self.goodbye.get_or_insert(length);
                    continue;
                }
                _ => {}
            }
            input.push(&self.header);
        }
    }
}

/// The acknowledgement of an inbound stream. The crate puts it on the first frame it sends, taken or not.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Ack {
    /// Nobody has taken the stream; no frame of the crate has carried it.
    Withheld,
    /// The same, and a frame had to go without it.
    Stripped,
    /// The stream was taken: its next frame gets what the crate says only once.
    Due,
}

/// Bytes in the order in which they came; a front that was taken goes when all is taken.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl Buffer {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn advance(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.bytes.len() {
            self.taken = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_MAX);
        }
    }
}

impl Buffers {
    fn is_readable(&self) -> bool {
        !self.input.rest().is_empty()
            && self.output.rest().len() < UNSENT_MAX
            && self.refusal.is_none()
    }

    /// The header as it goes out: the acknowledgement of a stream waits until that is taken.
    fn acknowledge(&mut self, header: Header) -> Header {
        let Some(ack) = self.acks.get_mut(&header.id) else {
            return header;
        };
        match *ack {
            Ack::Withheld | Ack::Stripped => {
                if !header.flags.has(Flags::ACK) {
                    return header;
                }
                *ack = Ack::Stripped;
                Header {
                    flags: header.flags.without(Flags::ACK),
                    ..header
                }
            }
            Ack::Due => {
                self.acks.remove(&header.id);
                Header {
                    flags: header.flags.with(Flags::ACK),
                    ..header
                }
            }
        }
    }

    /// Whether a frame of the crate goes out. Its endings do not: they are the session's to write.
    fn admits(&mut self, header: Header) -> bool {
        match header.kind {
            Kind::GoAway => {
                self.refusal.get_or_insert(header.length);
                false
            }
            Kind::Data | Kind::WindowUpdate | Kind::Ping => {
                !header.flags.has(Flags::FIN) && !header.flags.has(Flags::RST)
            }
        }
    }
}

impl Pipe {
    /// Gives the crate bytes to read.
    pub(super) fn feed(&self, bytes: &[u8]) {
        let mut buffers = self.0.lock();
        let Buffers {
            incoming, input, ..
        } = &mut *buffers;
        incoming.pass(bytes, input);
    }

    /// Code of the GoAway that the remote has sent.
    pub(super) fn goaway(&self) -> Option<u32> {
        self.0.lock().incoming.goodbye
    }

    /// Whether the crate would get bytes if it read.
    pub(super) fn is_readable(&self) -> bool {
        self.0.lock().is_readable()
    }

    /// Whether there are bytes that the crate has not read.
    pub(super) fn has_input(&self) -> bool {
        !self.0.lock().input.rest().is_empty()
    }

    /// Whether there are bytes to send.
    pub(super) fn has_output(&self) -> bool {
        !self.0.lock().output.rest().is_empty()
    }

    /// Appends a frame of the session's own behind what the crate wrote, which is whole frames.
    pub(super) fn send(&self, header: Header) {
        let mut buffers = self.0.lock();
        debug_assert!(!buffers.in_body, "a frame of the crate is cut in two");
        buffers.output.push(&header.encode());
    }

    /// From here on no frame acknowledges the stream, until [`release_ack`](Self::release_ack).
    pub(super) fn withhold_ack(&self, id: u32) {
        self.0.lock().acks.insert(id, Ack::Withheld);
    }

    /// The stream's next frame may acknowledge it.
    pub(super) fn release_ack(&self, id: u32) {
        let mut buffers = self.0.lock();
        match buffers.acks.get_mut(&id) {
            Some(ack @ Ack::Stripped) => *ack = Ack::Due,
            // The crate says it by itself.
            _ => drop(buffers.acks.remove(&id)),
        }
    }

    /// The stream was acknowledged otherwise, or is over.
    pub(super) fn forget_ack(&self, id: u32) {
        self.0.lock().acks.remove(&id);
    }

    /// Moves at most `room` bytes to the end of `out`.
    pub(super) fn take(&self, out: &mut Vec<u8>, room: usize) {
        let mut buffers = self.0.lock();
        let rest = buffers.output.rest();
        let count = rest.len().min(room);
        out.extend_from_slice(&rest[..count]);
        buffers.output.advance(count);
    }

    /// Code of the GoAway that the crate wanted to send.
    pub(super) fn refusal(&self) -> Option<u32> {
        self.0.lock().refusal
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffers = self.0.lock();
        if !buffers.is_readable() {
            return Poll::Pending;
        }
        let rest = buffers.input.rest();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        buffers.input.advance(count);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Pipe {
    /// Takes everything: the crate writes a header in one call and its payload, if any, in the next.
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffers = self.0.lock();
        if !std::mem::take(&mut buffers.in_body) {
            let header = <[u8; HEADER_BYTES]>::try_from(bytes)
                .ok()
                .and_then(|header| Header::decode(header).ok())
                .ok_or(io::ErrorKind::InvalidData)?;
            buffers.in_body = header.kind == Kind::Data && header.length > 0;
            if buffers.admits(header) {
                let header = buffers.acknowledge(header);
                buffers.output.push(&header.encode());
            }
        } else {
            buffers.output.push(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
