//! Multiplexing: many streams over one secured connection.
//!
//! This module holds the parts common to every engine: roles, stream keys, the error codes on the
//! wire, the memory budget and the limits. An engine is a submodule: bytes in, events and frames
//! out, time as a [`Duration`] since an epoch chosen by the caller. [`Engine`] dispatches to one of
//! them.

use std::time::Duration;

pub use self::engine::{EndError, Engine};
pub use self::yamux::{Allowance, Event, FRAME_PAYLOAD_MAX, HEADER_BYTES, OpenError};
pub use self::yamux_crate::Loan;

mod engine;
pub mod yamux;
pub mod yamux_crate;

/// Maximum number of live inbound streams per connection; one more is reset, the connection stays
/// open.
pub const INBOUND_STREAMS_MAX: u32 = 1_000;

/// Maximum number of inbound streams that wait to be accepted; one more is reset.
pub const ACCEPT_BACKLOG: u32 = 256;

/// Maximum number of unacknowledged outbound streams; go-libp2p resets streams beyond that.
pub const UNACKED_MAX: u32 = 256;

/// Initial receive window of a stream in bytes, fixed by the yamux specification.
pub const WINDOW_INITIAL: u32 = 256 << 10;

/// Maximum receive window of a stream in bytes: 1 GiB, far beyond any budget.
pub const WINDOW_MAX: u32 = 1 << 30;

/// Interval between keepalive pings, as in go-libp2p.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Maximum silence after a keepalive ping before the connection is closed, as in go-libp2p.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// [`KEEPALIVE_TIMEOUT`] while our data may delay the pong: a Linux host that reads 4 KiB/s reopens
/// its window in steps that were measured 26 s apart with default buffers.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Observed progress of sent data.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Outgoing {
    /// The remote has taken some of it since the last poll.
    Moves,
    /// Some of it is outstanding, and the remote has taken none since the last poll.
    Waits,
    /// The remote has taken all of it.
    Gone,
}

/// Side of the connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// Dialled the connection.
    Dialer,
    /// Accepted the connection.
    Listener,
}

/// Index of a stream within its session.
///
/// Stable from the event or call that created the stream until `remove`; dense and reused, so that
/// a caller can keep its own entries in a `Vec`.
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
    /// Reserves `bytes` more of receive window until the stream ends; `false` leaves the window as
    /// it is.
    fn reserve(&mut self, bytes: u32) -> bool;
}

/// Reason for a stream reset, with go-libp2p's numbering on the wire.
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
    /// The peer sends requests too often.
    RateLimited = 0x1003,
    /// The peer broke a protocol.
    ProtocolViolation = 0x1004,
    /// Another stream replaced it.
    Supplanted = 0x1005,
    /// Closed to free resources.
    GarbageCollected = 0x1006,
    /// The node is shutting down.
    Shutdown = 0x1007,
    /// A connection gater refused it.
    Gated = 0x1008,
    /// The remote's code did not fit 32 bits.
    CodeOutOfRange = 0x1009,
}

/// Reason for closing a connection, with go-libp2p's numbering on the wire.
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
    /// The peer sends requests too often.
    RateLimited = 0x1002,
    /// The peer broke a protocol.
    ProtocolViolation = 0x1003,
    /// Another connection replaced it.
    Supplanted = 0x1004,
    /// Closed to free resources.
    GarbageCollected = 0x1005,
    /// The node is shutting down.
    Shutdown = 0x1006,
    /// A connection gater refused it.
    Gated = 0x1007,
    /// The remote's code did not fit 32 bits.
    CodeOutOfRange = 0x1008,
}
