//! Configuration of a node: limits and their defaults.

use std::time::Duration;

/// Multiplexer of connections. Remotes see no difference: both are `/yamux/1.0.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Muxer {
    /// Our own engine.
    #[default]
    Yamux,
    /// The `yamux` crate.
    YamuxCrate,
}

impl Muxer {
    /// Returns the protocol that is negotiated.
    pub const fn protocol_id(self) -> &'static str {
        match self {
            Self::Yamux | Self::YamuxCrate => "/yamux/1.0.0",
        }
    }

    /// Returns the option value that selects it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yamux => "yamux",
            Self::YamuxCrate => "yamux-crate",
        }
    }
}

/// Timeouts and bounds of each connection; each is an option of the facade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time from the accepted socket to a muxed connection.
    pub inbound_upgrade_timeout: Duration,
    /// Time from the dialled socket to a muxed connection.
    pub outbound_upgrade_timeout: Duration,
    /// Time from the first byte of a stream to its negotiated protocol.
    pub stream_negotiation_timeout: Duration,
    /// Inbound streams not yet accepted by the application, per connection.
    pub accept_backlog: u32,
    /// Maximum receive window of a stream, in bytes; memory limits usually end its growth
    /// earlier.
    pub window_bytes_max: u32,
    /// Silence after which a connection is pinged.
    pub keepalive_interval: Duration,
    /// Silence after such a ping that closes the connection, unless the answer is queued behind
    /// data.
    pub keepalive_timeout: Duration,
    /// Time without the remote accepting any pending byte after which the connection is closed.
    pub write_stall_timeout: Duration,
    /// Time that a stream closed here waits for the remote to end its half, and to accept any of
    /// the bytes written before.
    pub linger_timeout: Duration,
    /// Maximum duration of an event loop's busy polling after an event of a connection. Zero
    /// disables it.
    pub busy_poll: Duration,
    /// Whether [`read_left`](crate::Environment::read_left) has what was unread when a stream ended.
    /// It counts as held by the connection until that end has been drained. Otherwise it is
    /// dropped at once.
    pub keep_unread: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound_upgrade_timeout: Duration::from_secs(10),
            outbound_upgrade_timeout: Duration::from_secs(10),
            stream_negotiation_timeout: Duration::from_secs(10),
            accept_backlog: 256,
            window_bytes_max: 1 << 30,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            write_stall_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(60),
            // Longer than a process on the same machine takes to answer when its event loop sleeps,
            // and a tenth of the shortest timer.
            busy_poll: Duration::from_micros(100),
            keep_unread: false,
        }
    }
}

/// Received bytes that may wait for a JavaScript thread that does not drain.
///
/// They bound the memory that a stalled event loop can be made to hold, not counting paused
/// streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AwaitingBounds {
    /// Over all connections: past it a connection that holds more than its share stops reading its
    /// socket.
    pub(crate) total: usize,
    /// Bytes that every connection may hold regardless of the others.
    pub(crate) share: usize,
}

impl Default for AwaitingBounds {
    fn default() -> Self {
        Self {
            total: 64 << 20,
            share: 256 << 10,
        }
    }
}

/// Bytes written to a stream and not sealed yet; best of 256 KiB, 1 MiB and 4 MiB as measured.
pub(crate) const SEND_PIPE_MAX: usize = 256 << 10;

/// The same over all streams of a connection.
pub(crate) const UNSEALED_MAX: usize = 4 << 20;

/// Bytes that every stream may hold unsealed even when its connection is at [`UNSEALED_MAX`], so
/// that streams waiting for their peer's window cannot starve the others.
pub(crate) const UNSEALED_SHARE: usize = 16 << 10;

/// Sealed bytes not yet accepted by a connection's socket.
pub(crate) const UNSENT_MAX: usize = 256 << 10;
