//! The `yamux` crate as a second engine: `/yamux/1.0.0` from another hand.
//!
//! The crate's connection sits on a pipe in memory and is polled with wakers that only take notes.
//! It keeps the windows, cuts data into frames, acknowledges and answers pings. What ends something
//! is written here: a FIN, a reset and a GoAway of the crate's own carry no code, and the crate
//! cannot tell the two endings of a stream apart once it has ended its own half.
//!
//! ```text
//!  bytes ──> poll_event ──> pipe ──> yamux::Connection ──> streams ──> Event
//!  write ──> stream ──> yamux::Connection ──> pipe ──┐
//!  finish, reset, go_away ─────────────────────────> pipe ──> poll_control ──> bytes
//! ```
//!
//! The crate reads the system's clock: it measures the round trip by pings of its own and widens
//! receive windows by that. Everything else depends on its input alone. What it cannot do, where our
//! own engine can, stands in `docs/muxers.md`.

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

/// Bytes of a stream that are handed out and not consumed; beyond it the rest stays in the crate,
/// and with it the credit. As large as the window a stream opens with.
pub const UNCONSUMED_MAX: u32 = 256 << 10;

/// Outbound streams of one connection, those included that are only waiting for the remote's end.
const OUTBOUND_STREAMS_MAX: u32 = 1_000;

/// Growth of a connection's windows in bytes.
///
/// The crate takes no data frame of more than 1 MiB, and js-libp2p sends as long a frame as the window
/// lets it: with all the growth on one stream its window is 1 MiB.
const GROWTH_MAX: usize = (1 << 20) - WINDOW_INITIAL as usize;

/// Limits of a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// Live inbound streams; the next one is reset.
    pub inbound_streams_max: u32,
    /// Live outbound streams; the next one is not opened.
    pub outbound_streams_max: u32,
    /// Inbound streams that wait for [`Session::accept`]; the next one is reset.
    pub accept_backlog: u32,
    /// What the receive windows of all streams together may grow by, in bytes; 768 KiB at most, and the
    /// default.
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

/// Keeps the bytes of an event whose engine has buffers of its own, for as long as they are looked at.
#[derive(Debug, Default)]
pub struct Loan(Option<::yamux::Packet>);

impl Loan {
    fn keep(&mut self, packet: ::yamux::Packet) -> &[u8] {
        let packet: &::yamux::Packet = self.0.insert(packet);
        packet.as_ref()
    }
}
