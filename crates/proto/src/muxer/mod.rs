//! Multiplexing: many streams over one secured connection.
//!
//! This module holds what every engine shares: roles, stream keys, the error codes that go over the
//! wire, the memory budget and the limits. An engine is a module below: bytes in, events and frames
//! out, time as a [`Duration`] since an epoch of the caller. [`Engine`] is the seam above them.

use std::time::Duration;

pub use self::engine::{EndError, Engine};
pub use self::yamux::{Event, FRAME_PAYLOAD_MAX, HEADER_BYTES, OpenError};
pub use self::yamux_crate::Loan;

mod engine;
pub mod yamux;
pub mod yamux_crate;

/// Live inbound streams of one connection; the next one is reset, the connection stays.
pub const INBOUND_STREAMS_MAX: u32 = 1_000;

/// Inbound streams that the application has not taken yet; the next one is reset.
pub const ACCEPT_BACKLOG: u32 = 256;

/// Outbound streams that the remote has not acknowledged; go-libp2p resets a stream beyond that.
pub const UNACKED_MAX: u32 = 256;

/// Receive window of a stream when it opens, in bytes. The yamux specification fixes it.
pub const WINDOW_INITIAL: u32 = 256 << 10;

/// Ceiling of a stream's receive window in bytes: 1 GiB, far beyond what a budget grants.
pub const WINDOW_MAX: u32 = 1 << 30;

/// Time from one keepalive ping to the next, as in go-libp2p.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Silence after a keepalive ping that ends the connection, as in go-libp2p.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// As [`KEEPALIVE_TIMEOUT`], where the answer may wait behind data of ours. A host that takes 4 KiB/s opens
/// its window again in pieces of half its buffer, which come 27 s apart where that has 64 KiB.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is to be seen of the data that was sent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Outgoing {
    /// The remote has taken some since the last look.
    Moves,
    /// The remote has not taken all of it, and nothing since the last look.
    Waits,
    /// The remote has taken all of it.
    Gone,
}

/// Which side of the connection this is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// Dialled the connection.
    Dialer,
    /// Accepted the connection.
    Listener,
}

/// Index of a stream within its session.
///
/// Stable from the event or command that created the stream until `remove`; dense and reused, so
/// that a caller can keep its own entries in a `Vec`.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Hash)]
pub struct StreamKey(pub u32);

impl StreamKey {
    pub(crate) const fn index(self) -> usize {
        // A usize holds 32 bits on every supported target.
        self.0 as usize
    }
}

/// Decides whether receive windows may grow beyond [`WINDOW_INITIAL`].
pub trait MemoryBudget {
    /// Asks for `bytes` more of receive window; `false` leaves the window as it is.
    fn reserve(&mut self, bytes: u32) -> bool;

    /// Gives `bytes` of an earlier reservation back.
    fn release(&mut self, bytes: u32);
}

/// Why a stream is reset, as go-libp2p numbers it on the wire.
///
/// The connection codes have the same names and are smaller by one.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u32)]
#[non_exhaustive]
pub enum StreamErrorCode {
    /// No reason given.
    NoError = 0,
    /// No protocol in common.
    ProtocolNegotiationFailed = 0x1001,
    /// A bound on streams or memory was reached.
    ResourceLimitExceeded = 0x1002,
    /// The peer asks too often.
    RateLimited = 0x1003,
    /// The peer broke a protocol.
    ProtocolViolation = 0x1004,
    /// Another stream took its place.
    Supplanted = 0x1005,
    /// Closed to free resources.
    GarbageCollected = 0x1006,
    /// The node is shutting down.
    Shutdown = 0x1007,
    /// A connection gater refused.
    Gated = 0x1008,
    /// The remote's code did not fit 32 bits.
    CodeOutOfRange = 0x1009,
}

/// Why a connection is closed, as go-libp2p numbers it on the wire.
///
/// The stream codes have the same names and are larger by one.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u32)]
#[non_exhaustive]
pub enum ConnectionErrorCode {
    /// No reason given.
    NoError = 0,
    /// No security protocol or muxer in common.
    ProtocolNegotiationFailed = 0x1000,
    /// A bound on connections or memory was reached.
    ResourceLimitExceeded = 0x1001,
    /// The peer asks too often.
    RateLimited = 0x1002,
    /// The peer broke a protocol.
    ProtocolViolation = 0x1003,
    /// Another connection took its place.
    Supplanted = 0x1004,
    /// Closed to free resources.
    GarbageCollected = 0x1005,
    /// The node is shutting down.
    Shutdown = 0x1006,
    /// A connection gater refused.
    Gated = 0x1007,
    /// The remote's code did not fit 32 bits.
    CodeOutOfRange = 0x1008,
}
