//! The session: commands, time and bookkeeping.

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

/// Time that an acknowledgement waits for a frame to ride on.
///
/// An answer usually comes sooner. The remote notices the delay only once 256 of its streams wait.
const ACK_DELAY: Duration = Duration::from_millis(20);

/// Acknowledgements that wait for frames to ride on: a quarter of what the remote may have open without
/// one, so that it is not kept from opening more.
const ACKS_HELD_MAX: usize = UNACKED_MAX as usize / 4;

/// Data in bytes that may come for streams nobody knows, beyond what was on the way legitimately.
const STRAY_BYTES: u64 = 1 << 20;

/// One end of a yamux connection, without the connection.
///
/// The memory of a session is bounded by its streams (some 100 bytes each) and the constants of this
/// module, whatever the remote sends and however little it reads. A key that the session does not
/// know is ignored by every command.
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
    /// Outbound streams that wait for their acknowledgement.
    pub(super) unacked: u32,
    /// Inbound streams that wait for [`accept`](Self::accept).
    pub(super) unaccepted: u32,
    pub(super) remote_going_away: bool,
    pub(super) going_away: bool,
    /// Code of the GoAway that has not been written.
    pub(super) goaway_due: Option<u32>,
    pub(super) pongs: Pongs,
    /// Resets of streams that never got an entry, with their codes.
    pub(super) refusals: VecDeque<(u32, StreamErrorCode)>,
    pub(super) allowances: Allowances,
    failure: Option<ProtocolError>,
    /// The latest time that a caller has told.
    clock: Duration,
    acks_due_at: Option<Duration>,
    /// Window growth of removed streams, not yet given back to the budget.
    released: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Allowances {
    pub(super) idle_frames: Allowance,
    pub(super) window_updates: Allowance,
    pub(super) rapid_resets: Allowance,
    pub(super) refusals: Allowance,
    pub(super) pongs: Allowance,
    /// Bytes. What remotes of reset streams were still free to send is added to it.
    pub(super) stray_bytes: u64,
}

impl Session {
    /// A session at the start of a connection. Its first deadline is due at once: it starts the clock.
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
            released: 0,
            config,
        }
    }

    /// Opens a stream. Its SYN goes out with its first data frame or, if there is none by then, with
    /// the next [`poll_control`](Self::poll_control).
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

    /// Whether so many refusals wait to be sent that the caller should hold further input back: a remote
    /// that does not take them is not read, and one that does loses no connection over them.
    pub fn is_congested(&self) -> bool {
        self.refusals.len() >= REFUSALS_MAX / 4
    }

    /// Inbound streams that wait for [`accept`](Self::accept).
    pub const fn unaccepted(&self) -> u32 {
        self.unaccepted
    }

    /// Inbound streams with an entry.
    pub const fn inbound_live(&self) -> u32 {
        self.streams.inbound()
    }

    /// Outbound streams with an entry.
    pub const fn outbound_live(&self) -> u32 {
        self.streams.outbound()
    }

    /// Inbound streams refused because there were as many as there may be.
    pub const fn beyond_inbound_max(&self) -> u64 {
        self.stats.beyond_inbound_max
    }

    /// The application took an inbound stream: its place in the backlog is free.
    ///
    /// The acknowledgement rides on the stream's next frame. It gets one of its own after 20 ms, or as
    /// soon as 64 of them wait.
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

    /// Sends the acknowledgement of an accepted stream without waiting for a frame to ride on.
    pub fn acknowledge(&mut self, key: StreamKey) {
        if self
            .streams
            .get(key)
            .is_some_and(|stream| stream.opening == Opening::AckDue)
        {
            self.streams.mark_due(key);
        }
    }

    /// The application consumed `bytes` of a stream's data. A window update is queued once
    /// [`update_step`](Self::update_step) is due; a window that was used up within four round trips doubles, if `budget`
    /// allows.
    pub fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) {
        self.advance_clock(now);
        self.release_windows(budget);
        let limits = GrowthLimits {
            size_max: self.config.window_max,
            rtt: self.keepalive.rtt(),
        };
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if !stream.is_open() || stream.read != Read::Open {
            return;
        }
        stream.window.consume(bytes, now, limits, budget);
        if stream.window.is_update_due() {
            self.streams.mark_due(key);
        }
    }

    /// Closes the reading half here: what has come and what still comes of this stream counts as
    /// consumed, and only its end is told.
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

    /// Resets a stream; nothing more is told of it. A stream whose SYN has not gone out vanishes.
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

    /// Resets and removes an inbound stream for which the caller has no place. As with those beyond the
    /// limits of the session, the remote may cause only so many; then the session fails.
    pub fn turn_away(&mut self, key: StreamKey, code: StreamErrorCode) {
        self.reset(key, code as u32);
        self.remove(key);
        self.stats.refused += 1;
        if self.failure.is_none() && !self.allowances.refusals.spend(self.clock) {
            self.fail(ProtocolError::RefusalFlood);
        }
    }

    /// Queues a GoAway, behind every other control frame. From here on streams are neither opened nor
    /// taken. Call it when the streams have nothing left to send: data frames of later follow it.
    pub const fn go_away(&mut self, code: u32) {
        self.going_away = true;
        self.goaway_due = Some(code);
    }

    /// Measures the round trip, unless a ping is on its way.
    pub fn ping(&mut self, now: Duration) {
        self.advance_clock(now);
        self.keepalive.ping(now);
    }

    /// The caller is done with the entry; its key may come back for another stream. A stream that is
    /// not over is reset without a code.
    pub fn remove(&mut self, key: StreamKey) {
        self.reset(key, StreamErrorCode::NoError as u32);
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        self.released += u64::from(stream.window.take_reserved());
        stream.removed = true;
        if stream.ending == Ending::Over {
            self.free(key);
        }
    }

    /// Gives the window growth of removed streams back; [`consumed`](Self::consumed) does it too.
    pub fn release_windows(&mut self, budget: &mut dyn MemoryBudget) {
        while self.released > 0 {
            let part = u32::try_from(self.released).unwrap_or(u32::MAX);
            budget.release(part);
            self.released -= u64::from(part);
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline).
    pub fn poll_deadline(&self) -> Option<Duration> {
        let keepalive = self.keepalive.deadline(self.reception.is_mid_frame());
        let acks = self
            .acks_due_at
            .filter(|_| self.streams.owes_acknowledgements());
        keepalive.into_iter().chain(acks).min()
    }

    /// Does what is due at `now`: acknowledges, pings, gives up.
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

    /// Bytes came, though they may not be a frame yet: nothing of a record can be read before its end.
    pub fn heard(&mut self, now: Duration) {
        self.advance_clock(now);
        self.keepalive.received(now);
    }

    /// What is to be seen of the data that was sent, while a ping is on its way.
    pub fn outgoing(&mut self, outgoing: Outgoing, now: Duration) {
        self.advance_clock(now);
        self.keepalive.outgoing(outgoing, now);
    }

    /// When the ping was begun that waits for its answer.
    pub fn pinged_at(&self) -> Option<Duration> {
        self.keepalive.pinged_at()
    }

    /// Stops the clock of the keepalive: we stop reading, and silence is our own doing.
    pub const fn pause_clock(&mut self) {
        self.keepalive.pause();
    }

    /// Starts the clock of the keepalive again.
    pub fn resume_clock(&mut self, now: Duration) {
        self.advance_clock(now);
        self.keepalive.resume(now);
    }

    /// Round trip as the pings tell, smoothed; `None` before the first pong.
    pub const fn rtt(&self) -> Option<Duration> {
        self.keepalive.rtt()
    }

    /// Counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The stream's number on the wire.
    pub fn stream_id(&self, key: StreamKey) -> Option<u32> {
        self.streams.get(key).map(|stream| stream.id)
    }

    /// Size of the stream's receive window; zero for a key nobody knows.
    pub fn receive_window(&self, key: StreamKey) -> u32 {
        self.streams
            .get(key)
            .map_or(0, |stream| stream.window.size())
    }

    /// Consumed bytes for which credit goes back at once: a quarter of the stream's receive window, at
    /// most 512 KiB; zero for a key nobody knows.
    pub fn update_step(&self, key: StreamKey) -> u32 {
        self.streams
            .get(key)
            .map_or(0, |stream| stream.window.update_step())
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

    /// Moves an open stream towards its end; an ending in [`Ending::Over`] forgets its id.
    pub(super) fn end(&mut self, key: StreamKey, ending: Ending) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.is_open() && stream.is_unacked() {
            self.unacked -= 1;
        }
        if let Ending::ResetDue(_) = stream.ending {
            // It was reset here, and what the remote was free to send may be on its way.
            self.allowances.stray_bytes += u64::from(stream.window.remaining());
        }
        stream.ending = ending;
        let (id, removed) = (stream.id, stream.removed);
        match ending {
            Ending::Over => {
                self.streams.forget_id(id);
                self.allowances.idle_frames.earn(STRAYS_PER_STREAM);
                if removed {
                    self.free(key);
                }
            }
            Ending::Open | Ending::ResetDue(_) => self.streams.mark_due(key),
        }
    }

    /// A stream that both sides finished is over.
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
