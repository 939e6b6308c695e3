//! The transport given to the crate: two in-memory buffers.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;

use super::HEADER_BYTES;
use crate::muxer::yamux::{Flags, Header, Kind};

/// Number of unsent bytes at which the crate gets no more input, which bounds its responses.
const UNSENT_MAX: usize = 64 << 10;

/// Capacity in bytes that an empty buffer keeps.
const KEPT_MAX: usize = 4 << 10;

/// Frame types on the wire.
const DATA: u8 = 0;
const GO_AWAY: u8 = 3;

/// Both directions; a clone is another handle to the same buffers.
///
/// No waker is kept: whichever call changes the buffers also polls the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe(Arc<Mutex<Buffers>>);

#[derive(Debug, Default)]
struct Buffers {
    input: Buffer,
    output: Buffer,
    /// The crate's next write is the payload of a frame.
    in_body: bool,
    /// Code of the GoAway that the crate tried to send.
    refusal: Option<u32>,
    incoming: Incoming,
    /// Inbound streams whose acknowledgement is withheld from the crate's frames or still to be
    /// added.
    acks: HashMap<u32, Ack>,
}

/// Parses the frames of the input to intercept GoAways: on one the crate would end every stream at
/// once, including those whose FIN it has received and not handed out.
#[derive(Debug, Default)]
struct Incoming {
    header: [u8; HEADER_BYTES],
    filled: usize,
    /// Payload bytes that have not arrived yet.
    body: usize,
    /// Code of the first GoAway.
    goaway: Option<u32>,
}

impl Incoming {
    /// Appends the crate's share to `input`: whole headers, and payloads as they arrive.
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
            // Only these two fields matter here, as in the crate, which rejects otherwise invalid
            // headers.
            let [_, kind, .., l0, l1, l2, l3] = self.header;
            let length = u32::from_be_bytes([l0, l1, l2, l3]);
            match kind {
                DATA => self.body = length as usize,
                GO_AWAY => {
                    self.goaway.get_or_insert(length);
                    continue;
                }
                _ => {}
            }
            input.push(&self.header);
        }
    }
}

/// State of an inbound stream's acknowledgement. The crate puts it on its first frame, whether the
/// stream was accepted or not.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Ack {
    /// The stream is not accepted; no frame of the crate has carried it.
    Withheld,
    /// The same, and it was stripped from a frame.
    Stripped,
    /// The stream was accepted: its next frame gets the acknowledgement, which the crate sends only
    /// once.
    Due,
}

/// FIFO of bytes; a consumed prefix is freed once everything is consumed.
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

    /// Returns the header to send: the acknowledgement of a stream waits until the stream is
    /// accepted.
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

    /// Whether a frame of the crate is sent. FIN, reset and GoAway are not: the session writes
    /// them.
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
    /// Feeds bytes to the crate.
    pub(super) fn feed(&self, bytes: &[u8]) {
        let mut buffers = self.0.lock();
        let Buffers {
            incoming, input, ..
        } = &mut *buffers;
        incoming.pass(bytes, input);
    }

    /// Code of the GoAway received from the remote.
    pub(super) fn goaway(&self) -> Option<u32> {
        self.0.lock().incoming.goaway
    }

    /// Whether a read by the crate would return bytes.
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

    /// Appends a frame of the session after the crate's output, which consists of whole frames.
    pub(super) fn send(&self, header: Header) {
        let mut buffers = self.0.lock();
        debug_assert!(!buffers.in_body, "a frame of the crate is split");
        buffers.output.push(&header.encode());
    }

    /// Withholds the acknowledgement of the stream until [`release_ack`](Self::release_ack).
    pub(super) fn withhold_ack(&self, id: u32) {
        self.0.lock().acks.insert(id, Ack::Withheld);
    }

    /// Lets the stream's next frame acknowledge it.
    pub(super) fn release_ack(&self, id: u32) {
        let mut buffers = self.0.lock();
        match buffers.acks.get_mut(&id) {
            Some(ack @ Ack::Stripped) => *ack = Ack::Due,
            // The crate's own frame carries it.
            _ => drop(buffers.acks.remove(&id)),
        }
    }

    /// Stops tracking the acknowledgement: it was sent otherwise, or the stream is over.
    pub(super) fn remove_ack(&self, id: u32) {
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

    /// Code of the GoAway that the crate tried to send.
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
    /// Takes everything: the crate writes a header in one call and its payload, if any, in the
    /// next.
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
