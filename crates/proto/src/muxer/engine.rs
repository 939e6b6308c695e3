//! The seam: what a connection asks of its engine, whichever it is.

use std::time::Duration;

use super::{
    Event, Loan, MemoryBudget, OpenError, Outgoing, StreamErrorCode, StreamKey, yamux, yamux_crate,
};

/// The engine of one connection.
///
/// Every method is the engine's own of the same name; [`yamux::Session`] tells what each does.
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
        match self {
            Self::Yamux(session) => session.open(),
            Self::YamuxCrate(session) => session.open(),
        }
    }

    /// The application took an inbound stream.
    pub fn accept(&mut self, key: StreamKey) {
        match self {
            Self::Yamux(session) => session.accept(key),
            Self::YamuxCrate(session) => session.accept(key),
        }
    }

    /// The application consumed `bytes` of a stream's data: the remote may send more.
    pub fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) {
        match self {
            Self::Yamux(session) => session.consumed(key, bytes, now, budget),
            Self::YamuxCrate(session) => session.consumed(key, bytes, now),
        }
    }

    /// Closes the reading half here: of this stream only the end is told.
    pub fn discard(&mut self, key: StreamKey) {
        match self {
            Self::Yamux(session) => session.discard(key),
            Self::YamuxCrate(session) => session.discard(key),
        }
    }

    /// Resets a stream; nothing more is told of it.
    pub fn reset(&mut self, key: StreamKey, code: u32) {
        match self {
            Self::Yamux(session) => session.reset(key, code),
            Self::YamuxCrate(session) => session.reset(key, code),
        }
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

    /// The caller is done with the entry; its key may come back for another stream.
    pub fn remove(&mut self, key: StreamKey) {
        match self {
            Self::Yamux(session) => session.remove(key),
            Self::YamuxCrate(session) => session.remove(key),
        }
    }

    /// Queues a GoAway: from here on streams are neither opened nor taken.
    pub fn go_away(&mut self, code: u32) {
        match self {
            Self::Yamux(session) => session.go_away(code),
            Self::YamuxCrate(session) => session.go_away(code),
        }
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
    /// back until the application had consumed more, or until more was sent.
    pub fn has_events(&self) -> bool {
        match self {
            Self::Yamux(_) => false,
            Self::YamuxCrate(session) => session.has_events(),
        }
    }

    /// Inbound streams refused because there were as many as there may be.
    pub fn beyond_inbound_max(&self) -> u64 {
        match self {
            Self::Yamux(session) => session.stats().beyond_inbound_max,
            Self::YamuxCrate(session) => session.beyond_inbound_max(),
        }
    }

    /// Inbound streams that wait for [`accept`](Self::accept).
    pub fn unaccepted(&self) -> u32 {
        match self {
            Self::Yamux(session) => session.unaccepted(),
            Self::YamuxCrate(session) => session.unaccepted(),
        }
    }

    /// Whether there is input that waits until more has been sent. The caller holds further input back.
    pub fn is_congested(&self) -> bool {
        match self {
            Self::Yamux(session) => session.is_congested(),
            Self::YamuxCrate(session) => session.is_congested(),
        }
    }

    /// Nothing more comes: what was received is told, however much the application has not consumed.
    pub fn end_input(&mut self) {
        match self {
            Self::Yamux(_) => {}
            Self::YamuxCrate(session) => session.end_input(),
        }
    }

    /// Whether [`poll_control`](Self::poll_control) may have something to write.
    pub fn has_control(&self) -> bool {
        match self {
            Self::Yamux(session) => session.has_control(),
            Self::YamuxCrate(session) => session.has_control(),
        }
    }

    /// Appends what the engine has to send besides data to `out`, at most `room` bytes.
    pub fn poll_control(&mut self, out: &mut Vec<u8>, room: usize) {
        match self {
            Self::Yamux(session) => {
                session.poll_control(out, room);
            }
            Self::YamuxCrate(session) => session.poll_control(out, room),
        }
    }

    /// Bytes of the stream that the engine takes at present.
    pub fn send_credit(&self, key: StreamKey) -> u32 {
        match self {
            Self::Yamux(session) => session.send_credit(key),
            Self::YamuxCrate(session) => session.send_credit(key),
        }
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
        match self {
            Self::Yamux(session) => session.stream_id(key),
            Self::YamuxCrate(session) => session.stream_id(key),
        }
    }

    /// Consumed bytes for which credit goes back at once; zero for a key nobody knows.
    pub fn update_step(&self, key: StreamKey) -> u32 {
        match self {
            Self::Yamux(session) => session.update_step(key),
            Self::YamuxCrate(session) => session.update_step(key),
        }
    }

    /// Gives the window growth of removed streams back.
    pub fn release_windows(&mut self, budget: &mut dyn MemoryBudget) {
        match self {
            Self::Yamux(session) => session.release_windows(budget),
            // The crate asks nobody.
            Self::YamuxCrate(_) => {}
        }
    }

    /// Round trip as its pings tell, smoothed; `None` before the first answer, and with the `yamux` crate.
    pub const fn rtt(&self) -> Option<Duration> {
        match self {
            Self::Yamux(session) => session.rtt(),
            Self::YamuxCrate(_) => None,
        }
    }

    /// Measures the round trip, unless a ping is on its way; the `yamux` crate does so by itself.
    pub fn ping(&mut self, now: Duration) {
        match self {
            Self::Yamux(session) => session.ping(now),
            Self::YamuxCrate(_) => {}
        }
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
        match self {
            Self::Yamux(session) => session.poll_deadline(),
            Self::YamuxCrate(session) => session.poll_deadline(),
        }
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

    /// Bytes came, whole frames or not.
    pub fn heard(&mut self, now: Duration) {
        match self {
            Self::Yamux(session) => session.heard(now),
            Self::YamuxCrate(_) => {}
        }
    }

    /// What is to be seen of the data that was sent, while a ping is on its way.
    pub fn outgoing(&mut self, outgoing: Outgoing, now: Duration) {
        match self {
            Self::Yamux(session) => session.outgoing(outgoing, now),
            Self::YamuxCrate(_) => {}
        }
    }

    /// When the ping was begun that waits for its answer; the `yamux` crate does not give up.
    pub fn pinged_at(&self) -> Option<Duration> {
        match self {
            Self::Yamux(session) => session.pinged_at(),
            Self::YamuxCrate(_) => None,
        }
    }

    /// Stops the clock of the keepalive: we stop reading, and silence is our own doing.
    pub const fn pause_clock(&mut self) {
        match self {
            Self::Yamux(session) => session.pause_clock(),
            Self::YamuxCrate(_) => {}
        }
    }

    /// Starts the clock of the keepalive again.
    pub fn resume_clock(&mut self, now: Duration) {
        match self {
            Self::Yamux(session) => session.resume_clock(now),
            Self::YamuxCrate(_) => {}
        }
    }
}
