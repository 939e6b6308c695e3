//! The interface between a connection and its engine, whichever it is.

use std::time::Duration;

use super::{
    Event, Loan, MemoryBudget, OpenError, Outgoing, StreamErrorCode, StreamKey, yamux, yamux_crate,
};

/// Forwards a call to the session inside an [`Engine`].
macro_rules! either {
    ($engine:expr, $session:ident => $call:expr) => {
        match $engine {
            Engine::Yamux($session) => $call,
            Engine::YamuxCrate($session) => $call,
        }
    };
}

/// The engine of one connection.
///
/// Each method forwards to the session's method of the same name, documented on [`yamux::Session`].
/// Where only one of the sessions has it, it does nothing or returns nothing for the other.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per connection, and nearly always the large variant"
)]
pub enum Engine {
    /// Our own engine.
    Yamux(yamux::Session),
    /// The `yamux` crate.
    YamuxCrate(Box<yamux_crate::Session>),
}

/// Error that ends a connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EndError {
    /// From our engine.
    #[error(transparent)]
    Yamux(#[from] yamux::ProtocolError),
    /// From the `yamux` crate.
    #[error(transparent)]
    YamuxCrate(#[from] yamux_crate::EndError),
}

impl EndError {
    /// Code for the GoAway frame sent to the remote.
    pub const fn goaway_code(self) -> u32 {
        match self {
            Self::Yamux(error) => error.goaway_code(),
            Self::YamuxCrate(error) => error.goaway_code(),
        }
    }

    /// Whether the remote exceeded a budget for behaviour that is legal in itself.
    pub const fn is_budget(self) -> bool {
        matches!(
            self,
            Self::Yamux(
                yamux::ProtocolError::IdleFlood
                    | yamux::ProtocolError::WindowUpdateFlood
                    | yamux::ProtocolError::RapidReset
                    | yamux::ProtocolError::RefusalFlood
                    | yamux::ProtocolError::ResetBacklog { .. }
            )
        )
    }

    /// Whether the rest of a frame did not arrive in time.
    pub const fn is_frame_stall(self) -> bool {
        matches!(self, Self::Yamux(yamux::ProtocolError::FrameStalled))
    }
}

impl Engine {
    /// Opens a stream.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self) -> Result<StreamKey, OpenError> {
        either!(self, session => session.open())
    }

    /// Accepts an inbound stream for the application.
    pub fn accept(&mut self, key: StreamKey) {
        either!(self, session => session.accept(key));
    }

    /// Records that the application consumed `bytes` of a stream's data, so that the remote may
    /// send more. Returns the number of consumed bytes that triggers a window update; zero for an
    /// unknown key.
    pub fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) -> u32 {
        match self {
            Self::Yamux(session) => session.consumed(key, bytes, now, budget),
            // The crate grows its windows without consulting the budget.
            Self::YamuxCrate(session) => session.consumed(key, bytes, now),
        }
    }

    /// Closes the reading half locally: only the end of the stream is still reported.
    pub fn discard(&mut self, key: StreamKey) {
        either!(self, session => session.discard(key));
    }

    /// Resets a stream; no further events are returned for it.
    pub fn reset(&mut self, key: StreamKey, code: u32) {
        either!(self, session => session.reset(key, code));
    }

    /// Resets and removes an inbound stream for which the caller has no room.
    pub fn turn_away(&mut self, key: StreamKey, code: StreamErrorCode) {
        match self {
            Self::Yamux(session) => session.turn_away(key, code),
            Self::YamuxCrate(session) => {
                session.reset(key, code as u32);
                session.remove(key);
            }
        }
    }

    /// Removes the entry; its key may be reused for another stream.
    pub fn remove(&mut self, key: StreamKey) {
        either!(self, session => session.remove(key));
    }

    /// Queues a GoAway: from now on streams are neither opened nor accepted.
    pub fn go_away(&mut self, code: u32) {
        either!(self, session => session.go_away(code));
    }

    /// Consumes bytes from the front of `input` and returns the next event; `None` once `input` is
    /// empty. The bytes of an event are borrowed from `input` or from `loan`.
    ///
    /// # Errors
    /// The error that ends the connection, after all events that precede it.
    pub fn poll_event<'e, 'a: 'e>(
        &mut self,
        input: &mut &'a [u8],
        now: Duration,
        loan: &'e mut Loan,
    ) -> Result<Option<Event<'e>>, EndError> {
        match self {
            Self::Yamux(session) => Ok(session.poll_event(input, now)?),
            Self::YamuxCrate(session) => Ok(session.poll_event(input, now, loan)?),
        }
    }

    /// Whether [`poll_event`](Self::poll_event) may return an event without input: one held back
    /// until the application has consumed more, or until more has been sent. Our engine holds none
    /// back.
    pub fn has_events(&self) -> bool {
        matches!(self, Self::YamuxCrate(session) if session.has_events())
    }

    /// Number of inbound streams refused because the limit on live ones was reached.
    pub fn beyond_inbound_max(&self) -> u64 {
        either!(self, session => session.beyond_inbound_max())
    }

    /// Number of inbound streams that wait for [`accept`](Self::accept).
    pub fn unaccepted(&self) -> u32 {
        either!(self, session => session.unaccepted())
    }

    /// Whether input is held back until more has been sent. The caller must stop feeding input.
    pub fn is_congested(&self) -> bool {
        either!(self, session => session.is_congested())
    }

    /// Marks the end of input: everything received is reported, however much the application has
    /// left unconsumed.
    pub fn end_input(&mut self) {
        if let Self::YamuxCrate(session) = self {
            session.end_input();
        }
    }

    /// Whether [`poll_control`](Self::poll_control) may have something to write.
    pub fn has_control(&self) -> bool {
        either!(self, session => session.has_control())
    }

    /// Appends everything the engine has to send except data to `out`, at most `room` bytes.
    pub fn poll_control(&mut self, out: &mut Vec<u8>, room: usize) {
        either!(self, session => { session.poll_control(out, room); });
    }

    /// Number of bytes that the engine currently takes for the stream.
    pub fn send_credit(&self, key: StreamKey) -> u32 {
        either!(self, session => session.send_credit(key))
    }

    /// Appends one data frame of `count` bytes, written by `fill`, to `out`; returns the number of
    /// bytes the engine took.
    ///
    /// `count` is at least 1, no more than [`send_credit`](Self::send_credit) and
    /// [`FRAME_PAYLOAD_MAX`](super::FRAME_PAYLOAD_MAX).
    ///
    /// # Panics
    /// If the stream was reset, removed or finished, which the caller knows from events and its own
    /// calls.
    pub fn write(
        &mut self,
        key: StreamKey,
        count: usize,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut [u8]),
    ) -> usize {
        match self {
            Self::Yamux(session) => {
                // The count is at most a frame, so it fits the header.
                out.extend_from_slice(&session.data_header(key, count as u32));
                let from = out.len();
                out.resize(from + count, 0);
                fill(&mut out[from..]);
                count
            }
            Self::YamuxCrate(session) => session.write(key, count, out, fill),
        }
    }

    /// Appends the frame that ends our half of the stream to `out`, after its last data frame.
    ///
    /// # Panics
    /// As [`write`](Self::write).
    pub fn finish(&mut self, key: StreamKey, out: &mut Vec<u8>) {
        match self {
            Self::Yamux(session) => out.extend_from_slice(&session.fin_frame(key)),
            Self::YamuxCrate(session) => session.finish(key, out),
        }
    }

    /// Returns the stream's id on the wire.
    pub fn stream_id(&self, key: StreamKey) -> Option<u32> {
        either!(self, session => session.stream_id(key))
    }

    /// Number of frames received and sent so far; zeros for the `yamux` crate, which does not
    /// expose them.
    pub const fn frames(&self) -> [u64; 2] {
        match self {
            Self::Yamux(session) => {
                let stats = session.stats();
                [stats.frames_received, stats.frames_sent]
            }
            Self::YamuxCrate(_) => [0; 2],
        }
    }

    /// Returns the time at which to call [`handle_deadline`](Self::handle_deadline).
    pub fn poll_deadline(&self) -> Option<Duration> {
        either!(self, session => session.poll_deadline())
    }

    /// Handles everything due at `now`.
    ///
    /// # Errors
    /// The timeout that the remote has missed.
    pub fn handle_deadline(&mut self, now: Duration) -> Result<(), EndError> {
        match self {
            Self::Yamux(session) => session.handle_deadline(now)?,
            Self::YamuxCrate(session) => session.handle_deadline(now),
        }
        Ok(())
    }
}

/// Our own pings. The `yamux` crate measures the round trip internally, does not expose it, and
/// never times a peer out.
impl Engine {
    /// Smoothed round trip measured by pings; `None` before the first pong.
    pub const fn rtt(&self) -> Option<Duration> {
        match self {
            Self::Yamux(session) => session.rtt(),
            Self::YamuxCrate(_) => None,
        }
    }

    /// Measures the round trip, unless a ping is in flight.
    pub fn ping(&mut self, now: Duration) {
        if let Self::Yamux(session) = self {
            session.ping(now);
        }
    }

    /// Returns the start time of the ping in flight.
    pub fn pinged_at(&self) -> Option<Duration> {
        match self {
            Self::Yamux(session) => session.pinged_at(),
            Self::YamuxCrate(_) => None,
        }
    }

    /// Records that bytes arrived, whole frames or not.
    pub fn heard(&mut self, now: Duration) {
        if let Self::Yamux(session) = self {
            session.heard(now);
        }
    }

    /// Records the progress of sent data while a ping is in flight.
    pub fn outgoing(&mut self, outgoing: Outgoing, now: Duration) {
        if let Self::Yamux(session) = self {
            session.outgoing(outgoing, now);
        }
    }

    /// Pauses the keepalive clock: we stop reading, so silence is our own doing.
    pub const fn pause_clock(&mut self) {
        if let Self::Yamux(session) = self {
            session.pause_clock();
        }
    }

    /// Resumes the keepalive clock.
    pub fn resume_clock(&mut self, now: Duration) {
        if let Self::Yamux(session) = self {
            session.resume_clock(now);
        }
    }
}
