//! The seam: what a connection asks of its engine, whichever it is.

use std::time::Duration;

use super::yamux::{ProtocolError, Session};
use super::{Event, MemoryBudget, OpenError, StreamKey};

/// The engine of one connection.
///
/// Every method is the engine's own of the same name; [`Session`] tells what each does.
#[derive(Debug)]
pub enum Engine {
    /// Ours.
    Yamux(Session),
}

impl Engine {
    /// Opens a stream.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self) -> Result<StreamKey, OpenError> {
        match self {
            Self::Yamux(session) => session.open(),
        }
    }

    /// The application took an inbound stream.
    pub fn accept(&mut self, key: StreamKey) {
        match self {
            Self::Yamux(session) => session.accept(key),
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
        }
    }

    /// Closes the reading half here: of this stream only the end is told.
    pub fn discard(&mut self, key: StreamKey) {
        match self {
            Self::Yamux(session) => session.discard(key),
        }
    }

    /// Resets a stream; nothing more is told of it.
    pub fn reset(&mut self, key: StreamKey, code: u32) {
        match self {
            Self::Yamux(session) => session.reset(key, code),
        }
    }

    /// The caller is done with the entry; its key may come back for another stream.
    pub fn remove(&mut self, key: StreamKey) {
        match self {
            Self::Yamux(session) => session.remove(key),
        }
    }

    /// Queues a GoAway: from here on streams are neither opened nor taken.
    pub fn go_away(&mut self, code: u32) {
        match self {
            Self::Yamux(session) => session.go_away(code),
        }
    }

    /// Takes bytes off the front of `input` and returns what they tell; `None` when they are used up.
    ///
    /// # Errors
    /// What the remote did that ends the connection.
    pub fn poll_event<'a>(
        &mut self,
        input: &mut &'a [u8],
        now: Duration,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        match self {
            Self::Yamux(session) => session.poll_event(input, now),
        }
    }

    /// Whether [`poll_control`](Self::poll_control) may have something to write.
    pub fn has_control(&self) -> bool {
        match self {
            Self::Yamux(session) => session.has_control(),
        }
    }

    /// Appends what the engine has to send besides data to `out`, at most `room` bytes.
    pub fn poll_control(&mut self, out: &mut Vec<u8>, room: usize) {
        match self {
            Self::Yamux(session) => {
                session.poll_control(out, room);
            }
        }
    }

    /// Bytes of the stream that the engine takes at present.
    pub fn send_credit(&self, key: StreamKey) -> u32 {
        match self {
            Self::Yamux(session) => session.send_credit(key),
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
        }
    }

    /// Appends the frame that ends our half of the stream, behind its last data frame, to `out`.
    ///
    /// # Panics
    /// As [`write`](Self::write).
    pub fn finish(&mut self, key: StreamKey, out: &mut Vec<u8>) {
        match self {
            Self::Yamux(session) => out.extend_from_slice(&session.fin_frame(key)),
        }
    }

    /// Consumed bytes for which credit goes back at once; zero for a key nobody knows.
    pub fn update_step(&self, key: StreamKey) -> u32 {
        match self {
            Self::Yamux(session) => session.update_step(key),
        }
    }

    /// Gives the window growth of removed streams back.
    pub fn release_windows(&mut self, budget: &mut dyn MemoryBudget) {
        match self {
            Self::Yamux(session) => session.release_windows(budget),
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline).
    pub fn poll_deadline(&self) -> Option<Duration> {
        match self {
            Self::Yamux(session) => session.poll_deadline(),
        }
    }

    /// Does what is due at `now`.
    ///
    /// # Errors
    /// What the remote failed to do in time.
    pub fn handle_deadline(&mut self, now: Duration) -> Result<(), ProtocolError> {
        match self {
            Self::Yamux(session) => session.handle_deadline(now),
        }
    }

    /// Stops the clock of the keepalive: we stop reading, and silence is our own doing.
    pub const fn pause_clock(&mut self) {
        match self {
            Self::Yamux(session) => session.pause_clock(),
        }
    }

    /// Starts the clock of the keepalive again.
    pub fn resume_clock(&mut self, now: Duration) {
        match self {
            Self::Yamux(session) => session.resume_clock(now),
        }
    }
}
