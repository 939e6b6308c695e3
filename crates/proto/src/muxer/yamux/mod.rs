//! Yamux, the default muxer: `/yamux/1.0.0`.
//!
//! A [`Session`] parses what the remote sends, keeps the windows of every stream and writes control
//! frames. It holds no payload: the bytes of a data frame are handed out as they arrive, and a data
//! frame that goes out is a header from here followed by bytes of the caller.
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

/// Payload bytes of the data frames that are sent: with its header such a frame fills 16 KiB.
///
/// One more byte would cost a second TLS record, and records of 16 KiB stay in the first cache.
pub const FRAME_PAYLOAD_MAX: usize = (16 << 10) - HEADER_BYTES;

/// Limits and intervals of a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// Live inbound streams; the next one is reset.
    pub inbound_streams_max: u32,
    /// Inbound streams that wait for [`Session::accept`]; the next one is reset.
    pub accept_backlog: u32,
    /// Outbound streams that wait for their acknowledgement.
    pub unacked_max: u32,
    /// Ceiling of a stream's receive window in bytes; at least 256 KiB, which every stream starts with.
    pub window_max: u32,
    /// Payload bytes of a data frame that is sent.
    pub frame_payload_max: u32,
    /// Time from one keepalive ping to the next; zero for none.
    pub keepalive_interval: Duration,
    /// Silence after a keepalive ping that ends the connection.
    pub keepalive_timeout: Duration,
    /// The same where data of ours waits for the remote, or was last seen to be taken.
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
