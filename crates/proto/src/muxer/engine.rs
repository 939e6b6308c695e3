//! The seam: what a connection asks of its engine, whichever it is.

use std::time::Duration;

use super::{
    Event, Loan, MemoryBudget, OpenError, Outgoing, StreamErrorCode, StreamKey, yamux, yamux_crate,
};

/// The same call on whichever session an [`Engine`] is.
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
/// A method is the session's own of the same name; [`yamux::Session`] tells what each does. Where only one of the
/// sessions has it, the other one has nothing to do, or nothing to tell.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one of a connection, and as good as always the large one"
)]
pub enum Engine {
    /// Ours.
    Yamux(yamux::Session),
    /// The `yamux` crate.
    YamuxCrate(Box<yamux_crate::Session>),
}

/// What ends a connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EndError {
    /// Of our engine.
    #[error(transparent)]
    Yamux(#[from] yamux::ProtocolError),
    /// Of the `yamux` crate.
    #[error(transparent)]
    YamuxCrate(#[from] yamux_crate::EndError),
}

impl EndError {
    /// Code for the GoAway frame that tells the remote.
    pub const fn goaway_code(self) -> u32 {
        match self {
            Self::Yamux(error) => error.goaway_code(),
            Self::YamuxCrate(error) => error.goaway_code(),
        }
    }

    /// The remote did something that is allowed, and more of it than is good for us.
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

    /// A frame began and its rest did not come in time.
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

    /// The application took an inbound stream.
    pub fn accept(&mut self, key: StreamKey) {
        either!(self, session => session.accept(key));
    }

    /// The application consumed `bytes` of a stream's data: the remote may send more. Returns the consumed bytes for
    /// which credit goes back at once; zero for a key nobody knows.
    pub fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) -> u32 {
        match self {
            Self::Yamux(session) => session.consumed(key, bytes, now, budget),
            // The crate grows its windows without asking.
            Self::YamuxCrate(session) => session.consumed(key, bytes, now),
        }
        either!(self, session => session.update_step(key))
    }

    /// Closes the reading half here: of this stream only the end is told.
    pub fn discard(&mut self, key: StreamKey) {
        either!(self, session => session.discard(key));
    }

    /// Resets a stream; nothing more is told of it.
    pub fn reset(&mut self, key: StreamKey, code: u32) {
        either!(self, session => session.reset(key, code));
    }

    /// Resets and removes an inbound stream for which the caller has no place.
    pub fn turn_away(&mut self, key: StreamKey, code: StreamErrorCode) {
        match self {
            Self::Yamux(session) => session.turn_away(key, code),
            Self::YamuxCrate(session) => {
                session.reset(key, code as u32);
                session.remove(key);
            }
        }
    }

    /// The caller is done with the entry; its key may come back for another stream. What its window has grown by
    /// goes back to `budget`.
    pub fn remove(&mut self, key: StreamKey, budget: &mut dyn MemoryBudget) {
        either!(self, session => session.remove(key));
        if let Self::Yamux(session) = self {
            session.release_windows(budget);
        }
    }

    /// Queues a GoAway: from here on streams are neither opened nor taken.
    pub fn go_away(&mut self, code: u32) {
        either!(self, session => session.go_away(code));
    }

    /// Takes bytes off the front of `input` and returns what they tell; `None` when they are used up.
    /// Bytes of an event are in `input` or in `loan`.
    ///
    /// # Errors
    /// What ends the connection, once everything that came before it is told.
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

    /// Whether [`poll_event`](Self::poll_event) may have something to tell without input: what it held
    /// back until the application had consumed more, or until more was sent. Ours holds nothing back.
    pub fn has_events(&self) -> bool {
        matches!(self, Self::YamuxCrate(session) if session.has_events())
    }

    /// Inbound streams refused because there were as many as there may be.
    pub fn beyond_inbound_max(&self) -> u64 {
        either!(self, session => session.beyond_inbound_max())
    }

    /// Inbound streams that wait for [`accept`](Self::accept).
    pub fn unaccepted(&self) -> u32 {
        either!(self, session => session.unaccepted())
    }

    /// Whether there is input that waits until more has been sent. The caller holds further input back.
    pub fn is_congested(&self) -> bool {
        either!(self, session => session.is_congested())
    }

    /// Nothing more comes: what was received is told, however much the application has not consumed.
    pub fn end_input(&mut self) {
        if let Self::YamuxCrate(session) = self {
            session.end_input();
        }
    }

    /// Whether [`poll_control`](Self::poll_control) may have something to write.
    pub fn has_control(&self) -> bool {
        either!(self, session => session.has_control())
    }

    /// Appends what the engine has to send besides data to `out`, at most `room` bytes.
    pub fn poll_control(&mut self, out: &mut Vec<u8>, room: usize) {
        either!(self, session => { session.poll_control(out, room); });
    }

    /// Bytes of the stream that the engine takes at present.
    pub fn send_credit(&self, key: StreamKey) -> u32 {
        either!(self, session => session.send_credit(key))
    }

    /// Appends one data frame of `count` bytes, which `fill` puts in, to `out`; returns how many the
    /// engine took.
    ///
    /// `count` is at least 1, no more than [`send_credit`](Self::send_credit) and
    /// [`FRAME_PAYLOAD_MAX`](super::FRAME_PAYLOAD_MAX).
    ///
    /// # Panics
    /// When the stream was reset or removed, or is finished already: the caller reads of the former in
    /// events and does the latter itself.
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

    /// Appends the frame that ends our half of the stream, behind its last data frame, to `out`.
    ///
    /// # Panics
    /// As [`write`](Self::write).
    pub fn finish(&mut self, key: StreamKey, out: &mut Vec<u8>) {
        match self {
            Self::Yamux(session) => out.extend_from_slice(&session.fin_frame(key)),
            Self::YamuxCrate(session) => session.finish(key, out),
        }
    }

    /// The stream's number on the wire.
    pub fn stream_id(&self, key: StreamKey) -> Option<u32> {
        either!(self, session => session.stream_id(key))
    }

    /// Frames received and sent so far; the `yamux` crate does not tell.
    pub const fn frames(&self) -> [u64; 2] {
        match self {
            Self::Yamux(session) => {
                let stats = session.stats();
                [stats.frames_received, stats.frames_sent]
            }
            Self::YamuxCrate(_) => [0; 2],
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline).
    pub fn poll_deadline(&self) -> Option<Duration> {
        either!(self, session => session.poll_deadline())
    }

    /// Does what is due at `now`.
    ///
    /// # Errors
    /// What the remote failed to do in time.
    pub fn handle_deadline(&mut self, now: Duration) -> Result<(), EndError> {
        match self {
            Self::Yamux(session) => session.handle_deadline(now)?,
            Self::YamuxCrate(session) => session.handle_deadline(now),
        }
        Ok(())
    }
}

/// Pings of our own. The `yamux` crate measures the round trip for itself, tells nobody, and gives nobody up.
impl Engine {
    /// Round trip as the pings tell, smoothed; `None` before the first answer.
    pub const fn rtt(&self) -> Option<Duration> {
        match self {
            Self::Yamux(session) => session.rtt(),
            Self::YamuxCrate(_) => None,
        }
    }

    /// Measures the round trip, unless a ping is on its way.
    pub fn ping(&mut self, now: Duration) {
        if let Self::Yamux(session) = self {
            session.ping(now);
        }
    }

    /// When the ping was begun that waits for its answer.
    pub fn pinged_at(&self) -> Option<Duration> {
        match self {
            Self::Yamux(session) => session.pinged_at(),
            Self::YamuxCrate(_) => None,
        }
    }

    /// Bytes came, whole frames or not.
    pub fn heard(&mut self, now: Duration) {
        if let Self::Yamux(session) = self {
            session.heard(now);
        }
    }

    /// What is to be seen of the data that was sent, while a ping is on its way.
    pub fn outgoing(&mut self, outgoing: Outgoing, now: Duration) {
        if let Self::Yamux(session) = self {
            session.outgoing(outgoing, now);
        }
    }

    /// Stops the clock of the keepalive: we stop reading, and silence is our own doing.
    pub const fn pause_clock(&mut self) {
        if let Self::Yamux(session) = self {
            session.pause_clock();
        }
    }

    /// Starts the clock of the keepalive again.
    pub fn resume_clock(&mut self, now: Duration) {
        if let Self::Yamux(session) = self {
            session.resume_clock(now);
        }
    }
}
