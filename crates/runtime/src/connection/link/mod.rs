//! What carries the streams of a connection: a muxer over records over a byte pipe, or QUIC.
//!
//! A link identifies streams by key only. Incoming bytes leave it as events; outgoing bytes are put
//! into it stream by stream, and flushed.

mod muxed;
mod quic;

use std::time::Duration;

use ferroswarm_proto::muxer::{MemoryBudget, OpenError, StreamErrorCode, StreamKey};
use ferroswarm_proto::stream::Pipe;

use crate::config::Limits;
use crate::error::ConnectionFault;
use crate::resources::Resources;
use crate::sync::Arc;

use super::{Connection, Facts, Layers, Scratch};

pub(super) use self::muxed::{LIGHT_TURN_BYTES, Muxed};
pub(crate) use self::quic::Quic;

/// The link of a connection.
#[expect(
    clippy::large_enum_variant,
    reason = "one per connection, and nearly always the large variant"
)]
pub(super) enum Link {
    /// A muxer, records and a pipe.
    Muxed(Muxed),
    /// QUIC, which has streams and encryption of its own.
    Quic(Box<Quic>),
}

/// Outcome of a turn of reading.
pub(super) enum Received {
    /// Nothing is left to read.
    Dry,
    /// There may be more, after other connections have had their turn.
    More,
    /// JavaScript must drain first.
    Paused,
    /// No input is accepted until the socket has taken pending output.
    Congested,
}

/// Snapshot of output progress.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    /// Stream bytes taken since the start of the connection.
    taken: u64,
    /// Of these, what has not been sent; none of QUIC, which takes what it sends.
    waiting: usize,
}

impl Mark {
    /// Returns whether output has progressed since `earlier`.
    pub(super) const fn has_moved_since(self, earlier: Self) -> bool {
        self.taken > earlier.taken || self.waiting < earlier.waiting
    }
}

/// Stream bytes put into a link.
pub(super) struct Framed {
    /// Number of bytes.
    pub(super) count: usize,
    /// Flow control, not room for this turn, keeps the rest from being sent now.
    pub(super) is_blocked: bool,
}

/// What the application has closed of a stream.
pub(super) enum Left {
    /// Its reading half.
    Reading,
    /// Both halves: the remote is about to end the stream.
    Both,
}

/// A link as the streams of its connection use it.
pub(super) trait StreamLink {
    /// Opens a stream.
    ///
    /// # Errors
    /// See [`OpenError`].
    fn open(&mut self) -> Result<StreamKey, OpenError>;

    /// Returns whether the remote has room for a stream as soon as it is opened, and does not
    /// acknowledge it.
    fn is_acknowledged(&self, key: StreamKey) -> bool;

    /// Acknowledges an inbound stream that was reported to JavaScript.
    fn accept(&mut self, key: StreamKey);

    /// Records that JavaScript has read `bytes` of the stream; returns the number of consumed bytes
    /// at which that is next worth a call.
    fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) -> u32;

    /// Discards the rest of a stream that is no longer read. Returns whether its end is not reported
    /// any more.
    fn discard(&mut self, key: StreamKey, left: Left, now: Duration) -> bool;

    /// Resets a stream.
    fn reset(&mut self, key: StreamKey, code: u32);

    /// Resets an inbound stream for which there is no room.
    fn turn_away(&mut self, key: StreamKey, code: StreamErrorCode);

    /// Removes a stream; its key may be reused.
    fn remove(&mut self, key: StreamKey);

    /// Measures the round-trip time unless it is known.
    fn measure(&mut self, now: Duration);

    /// Returns whether there is room for the bytes of a stream in this turn.
    fn has_room(&self) -> bool;

    /// Puts pending control frames where they go before the bytes that follow.
    fn put_control(&mut self);

    /// Puts some of the front of the bytes of a stream. The caller has checked
    /// [`has_room`](Self::has_room).
    fn send(&mut self, key: StreamKey, bytes: &Pipe) -> Framed;

    /// Ends our half of a stream; returns false if there is no room in this turn.
    fn finish(&mut self, key: StreamKey) -> bool;
}

/// Forwards a call to the link, whichever it is.
macro_rules! either {
    ($link:expr, $inner:ident => $call:expr) => {
        match $link {
            Self::Muxed($inner) => $call,
            Self::Quic($inner) => $call,
        }
    };
}

impl Link {
    /// Creates the link of a new connection.
    pub(super) fn new(
        facts: &Facts,
        limits: &Limits,
        resources: &Resources,
        layers: Layers,
    ) -> Self {
        match layers {
            Layers::Muxed {
                pipe,
                channel,
                leftover,
                plaintext,
            } => Self::Muxed(Muxed::new(
                facts, limits, resources, pipe, channel, leftover, plaintext,
            )),
            Layers::Quic(quic) => Self::Quic(quic),
        }
    }

    pub(super) fn streams(&mut self) -> &mut dyn StreamLink {
        match self {
            Self::Muxed(muxed) => muxed,
            Self::Quic(quic) => &mut **quic,
        }
    }

    /// Seals what `fill` puts into the link, until it puts nothing or at least `target` bytes are
    /// sealed; returns the number of bytes sealed. They wait for [`flush`](Self::flush), which must
    /// have left none before.
    ///
    /// # Errors
    /// [`ConnectionFault::Record`] if the channel has failed.
    pub(super) fn seal(
        &mut self,
        connection: &Connection,
        scratch: &mut Scratch,
        target: usize,
        mut fill: impl FnMut(&mut dyn StreamLink),
    ) -> Result<usize, ConnectionFault> {
        match self {
            Self::Muxed(muxed) => muxed.seal(connection, scratch, target, |link| fill(link)),
            Self::Quic(quic) => Ok(quic.fill(target, |link| fill(link))),
        }
    }

    /// Sends what is sealed, of QUIC about `max` bytes; returns false if some is left or a write has
    /// failed.
    pub(super) fn flush(
        &mut self,
        connection: &Connection,
        scratch: &mut Scratch,
        max: usize,
        now: Duration,
    ) -> bool {
        match self {
            Self::Muxed(muxed) => muxed.flush(connection, scratch, now),
            Self::Quic(quic) => quic.flush(connection, scratch, max, now),
        }
    }

    /// Returns whether output waits for the socket.
    pub(super) const fn wants_write(&self) -> bool {
        either!(self, link => link.wants_write())
    }

    /// Returns whether a write has failed.
    pub(super) const fn has_write_failed(&self) -> bool {
        matches!(self, Self::Muxed(muxed) if muxed.has_write_failed())
    }

    /// Returns whether streams that have ended wait for the remote to acknowledge that: what follows
    /// would discard it.
    pub(super) fn is_delivering(&self) -> bool {
        matches!(self, Self::Quic(quic) if quic.is_delivering())
    }

    /// Returns whether bytes that were sent may be lost with the connection. The kernel delivers those
    /// of a pipe.
    pub(super) fn has_unacknowledged(&mut self, now: Duration) -> bool {
        match self {
            Self::Muxed(_) => false,
            Self::Quic(quic) => quic.has_unacknowledged(now),
        }
    }

    /// Tells the remote that the connection is closed, after everything before.
    pub(super) fn go_away(&mut self, code: u32, now: Duration) {
        match self {
            Self::Muxed(muxed) => muxed.go_away(code),
            Self::Quic(quic) => quic.go_away(code, now),
        }
    }

    /// Closes the channel right after the last control frame.
    pub(super) fn close_channel(&mut self) {
        either!(self, link => link.close_channel());
    }

    /// Returns whether the channel is closed: nothing can be sent after that.
    pub(super) const fn is_closed(&self) -> bool {
        either!(self, link => link.is_closed())
    }

    /// Returns whether all output is flushed, the end of the channel included, or no more can be
    /// sent.
    pub(super) const fn is_flushed(&self) -> bool {
        either!(self, link => link.is_flushed())
    }

    /// Returns whether the connection can end with its flush: the close of QUIC is sent. Over a byte pipe
    /// the driver waits for the remote.
    pub(super) const fn ends_when_flushed(&self) -> bool {
        matches!(self, Self::Quic(quic) if quic.is_flushed())
    }

    /// Takes a snapshot of output progress.
    pub(super) fn mark(&self) -> Mark {
        either!(self, link => link.mark())
    }

    /// Returns whether control frames may be pending.
    pub(super) fn has_control(&self) -> bool {
        matches!(self, Self::Muxed(muxed) if muxed.has_control())
    }

    /// Returns whether there may be events without further input.
    pub(super) fn has_events(&self) -> bool {
        either!(self, link => link.has_events())
    }

    /// Returns whether too many replies wait for the socket, which is not read until it takes them.
    pub(super) fn is_congested(&self, connection: &Connection) -> bool {
        matches!(self, Self::Muxed(muxed) if muxed.is_congested(connection))
    }

    /// Returns the earliest deadline.
    pub(super) fn next_deadline(&mut self, connection: &Connection) -> Option<Duration> {
        match self {
            Self::Muxed(muxed) => muxed.next_deadline(&connection.limits),
            Self::Quic(quic) => quic.next_deadline(),
        }
    }

    /// Handles the deadlines due at `now`.
    ///
    /// # Errors
    /// The timeout that the remote has exceeded.
    pub(super) fn handle_deadlines(
        &mut self,
        connection: &Connection,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        match self {
            Self::Muxed(muxed) => muxed.handle_deadlines(connection, now),
            Self::Quic(quic) => {
                quic.handle_deadlines(now);
                Ok(())
            }
        }
    }

    /// Adds what this turn has carried to the counters of the environment and the connection.
    pub(super) fn count_frames(&mut self, connection: &Connection) {
        either!(self, link => link.count_frames(connection));
    }

    /// Releases memory and the place on the event loop at the end of the connection. QUIC tells the
    /// remote the code, unless it knows.
    pub(super) fn end(&mut self, connection: &Connection, code: u32) {
        match self {
            Self::Muxed(muxed) => muxed.end(connection),
            // Late datagrams of the remote are still answered.
            Self::Quic(quic) => quic.end(connection, code),
        }
    }

    /// Makes the channel fail: a failed channel cannot seal any more.
    #[cfg(test)]
    pub(super) fn break_channel(&mut self) {
        if let Self::Muxed(muxed) = self {
            muxed.break_channel();
        }
    }
}

/// The thread that waits for the socket. Datagrams are always received by an I/O thread.
impl Link {
    pub(super) const fn is_on_loop(&self) -> bool {
        matches!(self, Self::Muxed(muxed) if muxed.is_on_loop())
    }

    /// Decides on the owner of the socket at the end of a turn of the driver.
    pub(super) fn choose_owner(
        &mut self,
        connection: &Arc<Connection>,
        received: &Received,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        match self {
            Self::Muxed(muxed) => muxed.choose_owner(connection, received, now),
            Self::Quic(_) => Ok(()),
        }
    }

    /// Portion of a read buffer of `length` bytes that leaves room for `bytes` from the socket.
    pub(super) fn buffer_for(&self, bytes: usize, length: usize) -> usize {
        match self {
            Self::Muxed(muxed) => muxed.buffer_for(bytes, length),
            Self::Quic(_) => length,
        }
    }

    /// Ends a turn on JavaScript's thread, in which the socket was read until it was `dry` or not;
    /// returns whether the driver must take over.
    pub(super) fn end_loop_turn(
        &mut self,
        connection: &Connection,
        dry: bool,
        may_stay: bool,
    ) -> bool {
        match self {
            Self::Muxed(muxed) => muxed.end_loop_turn(connection, dry, may_stay),
            Self::Quic(_) => true,
        }
    }

    /// Leaves the event loop; the driver must then take the socket back.
    pub(super) fn leave(&mut self, connection: &Connection) {
        if let Self::Muxed(muxed) = self {
            muxed.leave(connection);
        }
    }

    /// Returns the socket to the current I/O thread.
    pub(super) fn return_to_thread(
        &mut self,
        connection: &Connection,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        match self {
            Self::Muxed(muxed) => muxed.return_to_thread(connection, now),
            Self::Quic(_) => Ok(()),
        }
    }
}
