//! The `yamux` crate as a second engine: an independent implementation of `/yamux/1.0.0`.
//!
//! The crate's connection runs over an in-memory pipe and is polled with wakers that only set
//! flags. It tracks the windows, splits data into frames, acknowledges and answers pings. FIN,
//! reset and GoAway are written here: the crate's own carry no code, and the crate cannot
//! distinguish the two endings of a stream once it has ended its own half.
//!
//! ```text
//!  bytes ──> poll_event ──> pipe ──> yamux::Connection ──> streams ──> Event
//!  write ──> stream ──> yamux::Connection ──> pipe ──┐
//!  finish, reset, go_away ─────────────────────────> pipe ──> poll_control ──> bytes
//! ```
//!
//! The crate reads the system clock: it measures the round trip with its own pings and grows
//! receive windows accordingly. Everything else depends on its input alone. `docs/muxers.md` lists
//! its limitations compared with our own engine.

use super::yamux::HEADER_BYTES;
use super::{ACCEPT_BACKLOG, INBOUND_STREAMS_MAX, WINDOW_INITIAL};

pub use self::error::EndError;
pub use self::session::Session;

mod error;
mod pipe;
mod receive;
mod session;
mod streams;
mod transmit;

/// Maximum number of bytes of a stream handed out and not consumed; the rest stays in the crate,
/// which withholds its credit. As large as the initial window of a stream.
pub const UNCONSUMED_MAX: u32 = 256 << 10;

/// Maximum number of outbound streams per connection, including those that only wait for the
/// remote's FIN.
const OUTBOUND_STREAMS_MAX: u32 = 1_000;

/// Maximum growth of a connection's windows in bytes.
///
/// The crate rejects data frames of more than 1 MiB, and js-libp2p sends frames as long as the
/// window allows: with all the growth on one stream its window is 1 MiB.
const GROWTH_MAX: usize = (1 << 20) - WINDOW_INITIAL as usize;

/// Limits of a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// Maximum number of live inbound streams; one more is reset.
    pub inbound_streams_max: u32,
    /// Maximum number of live outbound streams; one more is not opened.
    pub outbound_streams_max: u32,
    /// Maximum number of inbound streams that wait for [`Session::accept`]; one more is reset.
    pub accept_backlog: u32,
    /// Maximum growth of all receive windows together, in bytes; at most 768 KiB, the default.
    pub growth_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inbound_streams_max: INBOUND_STREAMS_MAX,
            outbound_streams_max: OUTBOUND_STREAMS_MAX,
            accept_backlog: ACCEPT_BACKLOG,
            growth_max: GROWTH_MAX,
        }
    }
}

/// Holds the bytes of an event of an engine with buffers of its own, while the event borrows them.
#[derive(Debug, Default)]
pub struct Loan(Option<::yamux::Packet>);

impl Loan {
    fn keep(&mut self, packet: ::yamux::Packet) -> &[u8] {
        let packet: &::yamux::Packet = self.0.insert(packet);
        packet.as_ref()
    }
}
