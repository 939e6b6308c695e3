//! What a node is told before it starts: limits and their defaults.

use std::time::Duration;

/// What multiplexes connections. Remotes see no difference: both are `/yamux/1.0.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Muxer {
    /// Our own engine.
    #[default]
    Yamux,
    /// The `yamux` crate.
    YamuxCrate,
}

impl Muxer {
    /// The protocol that is negotiated.
    pub const fn protocol_id(self) -> &'static str {
        match self {
            Self::Yamux | Self::YamuxCrate => "/yamux/1.0.0",
        }
    }

    /// The option that chooses it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yamux => "yamux",
            Self::YamuxCrate => "yamux-crate",
        }
    }
}

/// Bounds on what peers may make a node do; every one is an option of the facade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the accepted or dialled socket to a muxed connection, in all.
    pub upgrade_timeout: Duration,
    /// From the first byte of a stream to its negotiated protocol.
    pub stream_negotiation_timeout: Duration,
    /// Connections of the node, dialled and accepted, those under way included.
    pub connections_max: usize,
    /// Inbound connections that are still being upgraded, or that JavaScript has not been told of, over
    /// all listeners.
    pub pending_inbound_max: usize,
    /// The same for one remote host (an IPv4 address or an IPv6 /56), eight times as many for an IPv6
    /// /48; loopback is free.
    pub pending_inbound_per_host_max: usize,
    /// Inbound streams that the application has not taken yet, per connection.
    pub accept_backlog: u32,
    /// Open inbound streams per connection; past it the new stream is reset.
    pub inbound_streams_max: u32,
    /// Open outbound streams per connection; past it `open` is refused.
    pub outbound_streams_max: u32,
    /// Ceiling of a stream's receive window, in bytes; the budgets usually end its growth earlier.
    pub window_bytes_max: u32,
    /// What receive windows of the process may grow by in all, in bytes; those of one connection by
    /// half of `connection_bytes_max`.
    pub window_memory_bytes: usize,
    /// Memory of received bytes that a connection may hold; past it the stream that holds most is reset.
    pub connection_bytes_max: usize,
    /// Silence after which a connection is pinged.
    pub keepalive_interval: Duration,
    /// Silence after such a ping that closes the connection, where its answer does not wait behind data.
    pub keepalive_timeout: Duration,
    /// How long the remote may take none of the bytes that wait for it before the connection is closed.
    pub write_stall_timeout: Duration,
    /// How long a stream that is closed here waits for the remote to end its half, and to take any of
    /// what was written before.
    pub linger_timeout: Duration,
    /// How long an event loop may poll behind an event of a connection before it sleeps. Zero is off.
    pub busy_poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upgrade_timeout: Duration::from_secs(10),
            stream_negotiation_timeout: Duration::from_secs(10),
            // Some 50 MiB of idle connections; go's default for 16 GiB of memory is of this order.
            connections_max: 16_384,
            pending_inbound_max: 256,
            pending_inbound_per_host_max: 8,
            accept_backlog: 256,
            inbound_streams_max: 1_000,
            outbound_streams_max: 500,
            window_bytes_max: 1 << 30,
            window_memory_bytes: 256 << 20,
            connection_bytes_max: 32 << 20,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            write_stall_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(60),
            // More than an answer from the same machine takes whose event loop sleeps, and a tenth of
            // the shortest timer.
            busy_poll: Duration::from_micros(100),
        }
    }
}

/// Received bytes that may wait for a JavaScript thread that does not drain.
///
/// They bound what a stalled event loop can be made to hold without counting paused streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AwaitingBounds {
    /// Over all connections: past it a connection that holds more than its share stops reading its
    /// socket.
    pub(crate) total: usize,
    /// What every connection may hold whatever the others hold.
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

/// Bytes written to a stream and not sealed yet; measured best of 256 KiB, 1 MiB and 4 MiB.
pub(crate) const SEND_PIPE_MAX: usize = 256 << 10;

/// The same over all streams of a connection.
pub(crate) const UNSEALED_MAX: usize = 4 << 20;

/// What every stream may hold unsealed even when its connection is at [`UNSEALED_MAX`], so that
/// streams which wait for their peer's window cannot silence the others.
pub(crate) const UNSEALED_SHARE: usize = 16 << 10;

/// Sealed bytes that a connection's socket has not taken yet.
pub(crate) const UNSENT_MAX: usize = 256 << 10;
