//! The session: calls, time and bookkeeping.

use std::collections::VecDeque;
use std::time::Duration;

use crate::muxer::{MemoryBudget, Outgoing, Role, StreamErrorCode, StreamKey, UNACKED_MAX};

use super::allowance::{Allowance, STRAYS_PER_STREAM};
use super::flow::GrowthLimits;
use super::frame::Header;
use super::keepalive::Keepalive;
use super::receive::REFUSALS_MAX;
use super::reception::Reception;
use super::streams::{Ending, Opening, Origin, Read, Stream, Streams};
use super::transmit::Pongs;
use super::{Config, OpenError, ProtocolError, Stats};

/// Maximum time that an acknowledgement waits for another frame to carry it.
///
/// A response usually comes sooner. The remote notices the delay only once 256 of its streams are
/// unacknowledged.
const ACK_DELAY: Duration = Duration::from_millis(20);

/// Maximum number of acknowledgements held for other frames to carry: a quarter of the streams that
/// the remote may have unacknowledged, so that it can keep opening more.
const ACKS_HELD_MAX: usize = UNACKED_MAX as usize / 4;

/// Maximum number of data bytes for unknown streams, beyond those legitimately in flight.
const STRAY_BYTES: u64 = 1 << 20;

/// One end of a yamux connection, without the connection.
///
/// The memory of a session is bounded by its streams (some 100 bytes each) and the constants of
/// this module, whatever the remote sends and however little it reads. Every call ignores an
/// unknown key.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Session {
    pub(super) role: Role,
    pub(super) config: Config,
    pub(super) streams: Streams,
    pub(super) reception: Reception,
    pub(super) keepalive: Keepalive,
    pub(super) stats: Stats,
    next_id: Option<u32>,
    /// Number of unacknowledged outbound streams.
    pub(super) unacked: u32,
    /// Number of inbound streams that wait for [`accept`](Self::accept).
    pub(super) unaccepted: u32,
    pub(super) remote_going_away: bool,
    pub(super) going_away: bool,
    /// Code of the GoAway to write.
    pub(super) goaway_due: Option<u32>,
    pub(super) pongs: Pongs,
    /// Ids and codes of the resets for streams that never got an entry.
    pub(super) refusals: VecDeque<(u32, StreamErrorCode)>,
    pub(super) allowances: Allowances,
    failure: Option<ProtocolError>,
    /// The latest time supplied by the caller.
    clock: Duration,
    acks_due_at: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(super) struct Allowances {
    pub(super) idle_frames: Allowance,
    pub(super) window_updates: Allowance,
    pub(super) rapid_resets: Allowance,
    pub(super) refusals: Allowance,
    pub(super) pongs: Allowance,
    /// In bytes. The remaining windows of streams that we reset or refuse are added to it.
    pub(super) stray_bytes: u64,
}

impl Session {
    /// Creates the session of a new connection. Its first deadline is due immediately and starts
    /// the clock.
    pub fn new(role: Role, config: Config) -> Self {
        Self {
            role,
            streams: Streams::default(),
            reception: Reception::default(),
            keepalive: Keepalive::new(&config),
            stats: Stats::default(),
            next_id: Some(match role {
                Role::Dialer => 1,
                Role::Listener => 2,
            }),
            unacked: 0,
            unaccepted: 0,
            remote_going_away: false,
            going_away: false,
            goaway_due: None,
            pongs: Pongs::default(),
            refusals: VecDeque::new(),
            allowances: Allowances {
                idle_frames: Allowance::idle_frames(),
                window_updates: Allowance::window_updates(),
                rapid_resets: Allowance::rapid_resets(),
                refusals: Allowance::refusals(),
                pongs: Allowance::pongs(),
                stray_bytes: STRAY_BYTES,
            },
            failure: None,
            clock: Duration::ZERO,
            acks_due_at: None,
            config,
        }
    }

    /// Opens a stream. Its SYN is carried by its first data frame or, if there is none by then,
    /// written by the next [`poll_control`](Self::poll_control).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self) -> Result<StreamKey, OpenError> {
        if self.going_away || self.remote_going_away {
            return Err(OpenError::GoingAway);
        }
        if self.unacked >= self.config.unacked_max {
            return Err(OpenError::Unacked);
        }
        let id = self.next_id.ok_or(OpenError::IdsExhausted)?;
        self.next_id = id.checked_add(2);
        let key = self
            .streams
            .insert(Stream::new(id, Origin::Outbound, self.clock));
        self.streams.mark_due(key);
        self.unacked += 1;
        self.stats.outbound_opened += 1;
        Ok(key)
    }

    /// Whether so many refusals are queued that the caller should stop feeding input: a remote that
    /// does not take them is not read, and one that does keeps its connection.
    pub fn is_congested(&self) -> bool {
        self.refusals.len() >= REFUSALS_MAX / 4
    }

    /// Number of inbound streams that wait for [`accept`](Self::accept).
    pub const fn unaccepted(&self) -> u32 {
        self.unaccepted
    }

    /// Number of inbound streams with an entry.
    pub const fn inbound_live(&self) -> u32 {
        self.streams.inbound()
    }

    /// Number of outbound streams with an entry.
    pub const fn outbound_live(&self) -> u32 {
        self.streams.outbound()
    }

    /// Number of inbound streams refused because the limit on live ones was reached.
    pub const fn beyond_inbound_max(&self) -> u64 {
        self.stats.beyond_inbound_max
    }

    /// Accepts an inbound stream for the application, which frees its place in the backlog.
    ///
    /// The stream's next frame carries the acknowledgement. It gets a frame of its own after 20 ms,
    /// or as soon as 64 of them are held.
    pub fn accept(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.opening != Opening::Unaccepted {
            return;
        }
        self.unaccepted -= 1;
        if stream.is_open() {
            stream.opening = Opening::AckDue;
            if !self.streams.owes_acknowledgements() || self.acks_due_at.is_none() {
                self.acks_due_at = Some(self.clock.saturating_add(ACK_DELAY));
            }
            if self.streams.mark_unacknowledged(key) >= ACKS_HELD_MAX {
                self.streams.flush_unacknowledged();
            }
        } else {
            stream.opening = Opening::Established;
        }
    }

    /// Queues the acknowledgement of an accepted stream without waiting for another frame to carry
    /// it.
    pub fn acknowledge(&mut self, key: StreamKey) {
        if self
            .streams
            .get(key)
            .is_some_and(|stream| stream.opening == Opening::AckDue)
        {
            self.streams.mark_due(key);
        }
    }

    /// Records that the application consumed `bytes` of a stream's data; a window that was used up
    /// within four round trips doubles if `budget` allows.
    ///
    /// Returns the number of owed bytes at which a window update is queued: a quarter of the stream's
    /// receive window, at most 512 KiB; zero for an unknown key.
    pub fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) -> u32 {
        self.advance_clock(now);
        let limits = GrowthLimits {
            size_max: self.config.window_max,
            rtt: self.keepalive.rtt(),
        };
        let Some(stream) = self.streams.get_mut(key) else {
            return 0;
        };
        if !stream.is_open() || stream.read != Read::Open {
            return stream.window.update_step();
        }
        stream.window.consume(bytes, now, limits, budget);
        let step = stream.window.update_step();
        if stream.window.is_update_due() {
            self.streams.mark_due(key);
        }
        step
    }

    /// Closes the reading half locally: data received and still to be received counts as consumed,
    /// and only the end of the stream is reported.
    pub fn discard(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.read == Read::Finished {
            self.reception.mute(key);
            return;
        }
        stream.read = Read::Discarding;
        stream.window.give_back_all();
        if stream.window.is_update_due() {
            self.streams.mark_due(key);
        }
        self.reception.mute(key);
    }

    /// Resets a stream; no further events are returned for it. A stream whose SYN has not been sent
    /// leaves no trace.
    pub fn reset(&mut self, key: StreamKey, code: u32) {
        self.reception.detach(key);
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if !stream.is_open() {
            return;
        }
        if stream.opening == Opening::SynDue {
            self.end(key, Ending::Over);
        } else {
            self.end(key, Ending::ResetDue(code));
        }
    }

    /// Resets and removes an inbound stream for which the caller has no room. As with streams
    /// beyond the session's own limits, these are budgeted; beyond the budget the session fails.
    pub fn turn_away(&mut self, key: StreamKey, code: StreamErrorCode) {
        self.reset(key, code as u32);
        self.remove(key);
        self.stats.refused += 1;
        if self.failure.is_none() && !self.allowances.refusals.spend(self.clock) {
            self.fail(ProtocolError::RefusalFlood);
        }
    }

    /// Queues a GoAway, after every other control frame. From now on streams are neither opened nor
    /// accepted. Call it when the streams have nothing left to send: later data frames follow it.
    pub const fn go_away(&mut self, code: u32) {
        self.going_away = true;
        self.goaway_due = Some(code);
    }

    /// Measures the round trip, unless a ping is in flight.
    pub fn ping(&mut self, now: Duration) {
        self.advance_clock(now);
        self.keepalive.ping(now);
    }

    /// Removes the entry; its key may be reused for another stream. A stream that is not over is
    /// reset without a code.
    pub fn remove(&mut self, key: StreamKey) {
        self.reset(key, StreamErrorCode::NoError as u32);
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.removed = true;
        if stream.ending == Ending::Over {
            self.free(key);
        }
    }

    /// Returns the time at which to call [`handle_deadline`](Self::handle_deadline).
    pub fn poll_deadline(&self) -> Option<Duration> {
        let keepalive = self.keepalive.deadline(self.reception.is_mid_frame());
        let acks = self
            .acks_due_at
            .filter(|_| self.streams.owes_acknowledgements());
        keepalive.into_iter().chain(acks).min()
    }

    /// Handles everything due at `now`: acknowledgements, pings and timeouts.
    ///
    /// # Errors
    /// [`ProtocolError::KeepaliveTimeout`] and [`ProtocolError::FrameStalled`].
    pub fn handle_deadline(&mut self, now: Duration) -> Result<(), ProtocolError> {
        self.advance_clock(now);
        if self.acks_due_at.is_some_and(|at| at <= now) {
            self.acks_due_at = None;
            self.streams.flush_unacknowledged();
        }
        let outcome = self.keepalive.handle(now, self.reception.is_mid_frame());
        outcome.map_err(|error| self.fail(error))
    }

    /// Records that bytes arrived, whole frames or not: no part of a record can be read before its
    /// end.
    pub fn heard(&mut self, now: Duration) {
        self.advance_clock(now);
        self.keepalive.received(now);
    }

    /// Records the progress of sent data while a ping is in flight.
    pub fn outgoing(&mut self, outgoing: Outgoing, now: Duration) {
        self.advance_clock(now);
        self.keepalive.outgoing(outgoing, now);
    }

    /// Returns the start time of the ping in flight.
    pub fn pinged_at(&self) -> Option<Duration> {
        self.keepalive.pinged_at()
    }

    /// Pauses the keepalive clock: we stop reading, so silence is our own doing.
    pub const fn pause_clock(&mut self) {
        self.keepalive.pause();
    }

    /// Resumes the keepalive clock.
    pub fn resume_clock(&mut self, now: Duration) {
        self.advance_clock(now);
        self.keepalive.resume(now);
    }

    /// Smoothed round trip measured by pings; `None` before the first pong.
    pub const fn rtt(&self) -> Option<Duration> {
        self.keepalive.rtt()
    }

    /// Returns the counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Returns the stream's id on the wire.
    pub fn stream_id(&self, key: StreamKey) -> Option<u32> {
        self.streams.get(key).map(|stream| stream.id)
    }

    /// Returns the size of the stream's receive window; zero for an unknown key.
    pub fn receive_window(&self, key: StreamKey) -> u32 {
        self.streams
            .get(key)
            .map_or(0, |stream| stream.window.size())
    }

    pub(super) fn advance_clock(&mut self, now: Duration) {
        self.clock = self.clock.max(now);
    }

    pub(super) const fn failure(&self) -> Option<ProtocolError> {
        self.failure
    }

    pub(super) const fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.failure = Some(error);
        error
    }

    /// Moves a stream towards its end; [`Ending::Over`] releases its id.
    pub(super) fn end(&mut self, key: StreamKey, ending: Ending) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.is_open() && stream.is_unacked() {
            self.unacked -= 1;
        }
        if let Ending::ResetDue(_) = stream.ending {
            // It was reset locally, and data within the remote's window may be in flight.
            self.allowances.stray_bytes += u64::from(stream.window.remaining());
        }
        stream.ending = ending;
        let (id, removed) = (stream.id, stream.removed);
        match ending {
            Ending::Over => {
                self.streams.release_id(id);
                self.allowances.idle_frames.earn(STRAYS_PER_STREAM);
                if removed {
                    self.free(key);
                }
            }
            Ending::Open | Ending::ResetDue(_) => self.streams.mark_due(key),
        }
    }

    /// Ends a stream that both sides have finished.
    pub(super) fn end_in_order(&mut self, key: StreamKey) {
        if self
            .streams
            .get(key)
            .is_some_and(|stream| stream.origin == Origin::Inbound)
        {
            self.allowances.rapid_resets.earn(1);
        }
        self.end(key, Ending::Over);
    }

    fn free(&mut self, key: StreamKey) {
        self.reception.detach(key);
        let Some(stream) = self.streams.take(key) else {
            return;
        };
        if stream.origin == Origin::Inbound && stream.opening == Opening::Unaccepted {
            self.unaccepted -= 1;
        }
    }

    #[cfg(test)]
    pub(super) fn skip_to_id(&mut self, id: u32) {
        self.next_id = Some(id);
    }

    /// Appends a frame without payload.
    pub(super) fn write(&mut self, header: Header, out: &mut Vec<u8>) {
        out.extend_from_slice(&header.encode());
        self.stats.frames_sent += 1;
    }
}
