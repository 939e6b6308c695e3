//! Yamux, the default muxer: `/yamux/1.0.0`.
//!
//! A [`Session`] parses the remote's frames, tracks the windows of every stream and writes control
//! frames. It buffers no payload: the bytes of a data frame are handed out as they arrive, and an
//! outgoing data frame is a header from the session followed by the caller's bytes.
//!
//! ```text
//!  bytes ──> poll_event ──> Event          open, accept, consumed, reset … ──> Session
//!  poll_control, data_header, fin_frame ──> bytes     poll_deadline, handle_deadline <── clock
//! ```

use std::time::Duration;

use super::{
    ACCEPT_BACKLOG, DELIVERY_TIMEOUT, INBOUND_STREAMS_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    WINDOW_MAX,
};

pub use self::allowance::Allowance;
pub use self::error::{OpenError, ProtocolError};
pub use self::event::Event;
pub use self::frame::HEADER_BYTES;
pub(super) use self::frame::{Flags, Header, Kind};
pub use self::session::Session;
pub use self::stats::Stats;
pub use super::UNACKED_MAX;

mod allowance;
mod error;
mod event;
mod flow;
mod frame;
mod keepalive;
mod receive;
mod reception;
mod session;
mod stats;
mod streams;
mod transmit;

#[cfg(test)]
mod tests;

/// Maximum payload of a sent data frame in bytes: with its header such a frame fills 16 KiB.
///
/// One more byte would cost a second TLS record, and records of 16 KiB stay in the L1 cache.
pub const FRAME_PAYLOAD_MAX: usize = (16 << 10) - HEADER_BYTES;

/// Returns a GoAway, for a connection that ends before it has a session. Every engine speaks it.
pub const fn go_away(code: u32) -> [u8; HEADER_BYTES] {
    Header::go_away(code).encode()
}

/// Limits and intervals of a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// Maximum number of live inbound streams; one more is reset.
    pub inbound_streams_max: u32,
    /// Maximum number of inbound streams that wait for [`Session::accept`]; one more is reset.
    pub accept_backlog: u32,
    /// Maximum number of unacknowledged outbound streams.
    pub unacked_max: u32,
    /// Maximum receive window of a stream in bytes; at least 256 KiB, the initial window of every
    /// stream.
    pub window_max: u32,
    /// Maximum payload of a sent data frame in bytes.
    pub frame_payload_max: u32,
    /// Interval between keepalive pings; zero disables them.
    pub keepalive_interval: Duration,
    /// Maximum silence after a keepalive ping before the connection is closed.
    pub keepalive_timeout: Duration,
    /// The same while the remote has not taken all our data, and after it was last seen to take
    /// some.
    pub delivery_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inbound_streams_max: INBOUND_STREAMS_MAX,
            accept_backlog: ACCEPT_BACKLOG,
            unacked_max: UNACKED_MAX,
            window_max: WINDOW_MAX,
            frame_payload_max: FRAME_PAYLOAD_MAX as u32,
            keepalive_interval: KEEPALIVE_INTERVAL,
            keepalive_timeout: KEEPALIVE_TIMEOUT,
            delivery_timeout: DELIVERY_TIMEOUT,
        }
    }
}
