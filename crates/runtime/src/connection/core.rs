//! What the connection's lock guards.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ferroswarm_proto::muxer::{Engine, StreamErrorCode, StreamKey};
use ferroswarm_secure::Channel;

use crate::budget::WindowBudget;
use crate::diagnostics::{Fact, Stall};
use crate::error::{ConnectionFault, StreamFault};
use crate::slot::{ResetReport, StreamSlot};
use crate::sync::{Arc, Ordering};

use super::closing::Closing;
use super::link::{Delivery, Home};
use super::streams::Negotiation;
use super::{Connection, EndReport};

/// One stream as the engine's caller sees it.
pub(super) struct Entry {
    pub(super) slot: Arc<StreamSlot>,
    /// Boxed: streams are short in it and the entries of a connection stay, used or not.
    pub(super) negotiation: Option<Box<Negotiation>>,
    pub(super) outbound: bool,
    pub(super) acked: bool,
    pub(super) local_done: bool,
    pub(super) remote_done: bool,
    /// Closed here, and has a deadline for what is left: the remote's half, or bytes it has to take.
    pub(super) lingers: bool,
    /// Bytes that were unsent when that deadline was set.
    pub(super) unsent: usize,
    /// Distinguishes the users of one key in the deadline queues.
    pub(super) serial: u64,
}

/// A stream that has to get somewhere by a time.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    pub(super) at: Duration,
    pub(super) key: StreamKey,
    pub(super) serial: u64,
}

/// Deadlines kept before a queue is swept.
const DEADLINES_MIN: usize = 64;

/// Sans-io state of a connection and what its socket has not taken yet.
pub(super) struct Core {
    pub(super) engine: Engine,
    /// Pays for the growth of receive windows.
    pub(super) windows: WindowBudget,
    pub(super) channel: Channel,
    /// By stream key.
    pub(super) entries: Vec<Option<Entry>>,
    /// Streams with something to send, served in turn.
    pub(super) ring: VecDeque<Arc<StreamSlot>>,
    /// Streams that wait for the acknowledgement of an earlier one, or for its end.
    pub(super) unopened: VecDeque<Arc<StreamSlot>>,
    /// The engine has had no place for one of them: the end of any stream may make one.
    pub(super) crowded: bool,
    /// Inbound streams that the engine refused as one too many, as far as they were reported.
    pub(super) refused_beyond_max: u64,
    /// The front of a record whose rest has not arrived.
    pub(super) partial: Vec<u8>,
    /// Plaintext that came with the negotiation of the muxer, or that a turn left for the next.
    pub(super) plaintext: Vec<u8>,
    /// Streams that the remote has opened since the turn began.
    pub(super) opened_in_turn: u32,
    /// Sealed bytes that the socket has not taken, and how many of them it has.
    pub(super) unsent: Vec<u8>,
    pub(super) sent: usize,
    /// Data frames were sealed since `unsent` was last filled.
    pub(super) has_data: bool,
    /// Since when the socket refuses bytes.
    pub(super) stalled_since: Option<Duration>,
    /// What the remote has taken of what the socket has.
    pub(super) delivery: Delivery,
    /// A write failed: nothing more is sent, what has arrived is still read.
    pub(super) write_failed: bool,
    /// It is being closed here. Boxed: nearly all of its life a connection is not.
    pub(super) closing: Option<Box<Closing>>,
    /// Our GoAway is queued; the connection ends when it is out.
    pub(super) goodbye_queued: bool,
    /// The end of the channel itself is sealed too.
    pub(super) channel_closed: bool,
    /// Inbound streams by the number of their protocol; as many entries as protocols are served.
    pub(super) inbound_of: HashMap<u32, u32>,
    /// Streams in negotiation, oldest first.
    pub(super) negotiating: VecDeque<Deadline>,
    /// Streams closed here that the remote has to take the rest of or to end, oldest first.
    pub(super) lingering: VecDeque<Deadline>,
    pub(super) next_serial: u64,
    pub(super) ended: bool,
    /// Frames received and sent that the environment's counters have.
    pub(super) frames_counted: [u64; 2],
    /// The time at which the driver looks by itself.
    pub(super) armed: Option<Duration>,
    /// Where the socket is waited for.
    pub(super) home: Home,
    /// What a turn on JavaScript's thread ended with: the driver ends the connection.
    pub(super) fault: Option<ConnectionFault>,
    /// Bytes read and written since the home was last chosen.
    pub(super) recent_bytes: usize,
    /// Code of the remote's GoAway.
    pub(super) remote_goaway: Option<u32>,
    /// It is not read until JavaScript drains.
    pub(super) paused: bool,
}

impl Core {
    pub(super) fn new(
        engine: Engine,
        windows: WindowBudget,
        channel: Channel,
        leftover: Vec<u8>,
        plaintext: Vec<u8>,
    ) -> Self {
        Self {
            engine,
            windows,
            channel,
            entries: Vec::new(),
            ring: VecDeque::new(),
            unopened: VecDeque::new(),
            crowded: false,
            refused_beyond_max: 0,
            partial: leftover,
            plaintext,
            opened_in_turn: 0,
            unsent: Vec::new(),
            sent: 0,
            has_data: false,
            stalled_since: None,
            delivery: Delivery::default(),
            write_failed: false,
            closing: None,
            goodbye_queued: false,
            channel_closed: false,
            inbound_of: HashMap::new(),
            negotiating: VecDeque::new(),
            lingering: VecDeque::new(),
            next_serial: 0,
            ended: false,
            frames_counted: [0; 2],
            armed: None,
            home: Home::default(),
            fault: None,
            recent_bytes: 0,
            remote_goaway: None,
            paused: false,
        }
    }

    pub(super) fn entry(&mut self, key: StreamKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.0 as usize)?.as_mut()
    }

    pub(super) fn insert(&mut self, key: StreamKey, entry: Entry) {
        let index = key.0 as usize;
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some(entry);
    }

    pub(super) fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    /// Forgets the stream once neither side will say more and JavaScript has its end: until then its
    /// bytes are the connection's, and it ends with the connection.
    pub(super) fn forget_if_done(&mut self, key: StreamKey, connection: &Connection) {
        if self
            .entry(key)
            .is_some_and(|entry| entry.local_done && entry.remote_done && entry.slot.is_finished())
        {
            self.forget(key, connection);
        }
    }

    /// Forgets the stream.
    pub(super) fn forget(&mut self, key: StreamKey, connection: &Connection) {
        let entry = self.entries.get_mut(key.0 as usize);
        let Some(entry) = entry.and_then(Option::take) else {
            return;
        };
        self.engine.remove(key);
        self.engine.release_windows(&mut self.windows);
        entry.slot.left_wire();
        release_counts(&entry, connection);
        self.release_protocol(&entry);
        if entry.outbound && (!entry.acked || self.crowded) {
            self.reopen();
        }
    }

    /// Whether something that was written waits to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        let ends = || {
            let mut entries = self.entries.iter().flatten();
            entries.any(|entry| entry.slot.owes_end())
        };
        !self.ended && (self.wants_write() || !self.ring.is_empty() || ends())
    }

    /// The stream's protocol has room for another one.
    fn release_protocol(&mut self, entry: &Entry) {
        if entry.outbound {
            return;
        }
        let Some(protocol) = entry.slot.announced_protocol() else {
            return;
        };
        if let Some(count) = self.inbound_of.get_mut(&protocol) {
            *count -= 1;
            if *count == 0 {
                self.inbound_of.remove(&protocol);
            }
        }
    }

    /// An outbound stream was acknowledged or has gone: the next one may be opened.
    pub(super) fn reopen(&mut self) {
        match self.unopened.pop_front() {
            Some(slot) => self.ring.push_back(slot),
            None => self.crowded = false,
        }
    }

    /// Adds the frames of this turn to the counters of the environment and of the connection.
    pub(super) fn count_frames(&mut self, connection: &Connection) {
        let [received, sent] = self.engine.frames();
        let before = std::mem::replace(&mut self.frames_counted, [received, sent]);
        connection.hub.stats.frames_in.add(received - before[0]);
        connection.hub.stats.frames_out.add(sent - before[1]);
        connection.traffic.frames_in.set(received);
        connection.traffic.frames_out.set(sent);
        if let Some(rtt) = self.engine.rtt() {
            let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
            // A pong that came within a microsecond was measured too.
            connection.traffic.round_trip_us.set(micros.max(1));
        }
    }

    /// Ends everything: every stream, then the connection itself, as JavaScript will see it. Tells whether
    /// it had not ended before: the caller, who lets go of the lock first, announces it.
    pub(super) fn end(&mut self, connection: &Arc<Connection>, fault: ConnectionFault) -> bool {
        if std::mem::replace(&mut self.ended, true) {
            return false;
        }
        let report = self.report(fault);
        let posted = {
            let mut outbox = connection.outbox.lock();
            outbox.dead = true;
            std::mem::take(&mut outbox.streams)
        };
        let lost = ResetReport {
            code: report.code,
            remote: report.remote,
            connection_lost: true,
            orderly: report.is_orderly(),
            ..ResetReport::default()
        };
        let entries = std::mem::take(&mut self.entries);
        for entry in entries.into_iter().flatten() {
            release_counts(&entry, connection);
            entry.slot.end(lost);
        }
        let waiting = posted
            .into_iter()
            .chain(self.ring.drain(..))
            .chain(self.unopened.drain(..));
        for slot in waiting {
            slot.end(lost);
        }
        if let Some(closing) = &mut self.closing {
            closing.forget_streams();
        }
        self.leave(connection);
        self.windows.give_back_all();
        self.partial = Vec::new();
        self.plaintext = Vec::new();
        self.unsent = Vec::new();
        *connection.end.lock() = Some(report);
        connection.hub.stats.connections_closed.add(1);
        connection
            .hub
            .queue(crate::hub::Ready::Closed(Arc::clone(connection)));
        true
    }

    fn report(&self, fault: ConnectionFault) -> EndReport {
        let remote = matches!(
            fault,
            ConnectionFault::Ended | ConnectionFault::Reset | ConnectionFault::GoAway(_)
        );
        // Ours, unless it only answers theirs.
        let ours = self
            .closing
            .as_ref()
            .filter(|closing| !matches!(closing.request.fault, ConnectionFault::GoAway(_)));
        match (ours, self.remote_goaway) {
            (Some(closing), _) => EndReport {
                code: closing.request.code,
                remote: false,
                // What was to be delivered is not.
                fault: match fault {
                    ConnectionFault::WriteStall => fault,
                    _ => closing.request.fault,
                },
            },
            (None, Some(code)) if remote => EndReport {
                code,
                remote,
                fault: ConnectionFault::GoAway(code),
            },
            _ => EndReport {
                code: 0,
                remote,
                fault,
            },
        }
    }

    /// The earliest time at which something has to happen by itself.
    pub(super) fn next_deadline(&self, connection: &Connection) -> Option<Duration> {
        let negotiation = self.negotiating.front().map(|deadline| deadline.at);
        let linger = self.lingering.front().map(|deadline| deadline.at);
        [
            self.engine.poll_deadline(),
            self.stall_deadline(connection),
            self.look_deadline(connection),
            negotiation,
            linger,
            self.closing.as_ref().map(|closing| closing.until),
            self.home.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due at `now`.
    pub(super) fn handle_deadlines(
        &mut self,
        connection: &Connection,
        now: Duration,
    ) -> Result<(), ConnectionFault> {
        self.watch_delivery(connection, now);
        if self.engine.poll_deadline().is_some_and(|at| at <= now) {
            self.engine.handle_deadline(now).map_err(|error| {
                if error.is_frame_stall() {
                    connection.report(Fact::ConnectionStalled(Stall::Frame));
                    ConnectionFault::FrameStall
                } else {
                    connection.report(Fact::ConnectionStalled(Stall::Keepalive));
                    ConnectionFault::Keepalive
                }
            })?;
        }
        if self.stall_deadline(connection).is_some_and(|at| at <= now) {
            connection.report(Fact::ConnectionStalled(Stall::Write));
            return Err(ConnectionFault::WriteStall);
        }
        self.closing_expired(connection, now)?;
        while self
            .negotiating
            .front()
            .is_some_and(|deadline| deadline.at <= now)
        {
            let Some(deadline) = self.negotiating.pop_front() else {
                break;
            };
            self.negotiation_expired(&deadline);
        }
        while self
            .lingering
            .front()
            .is_some_and(|deadline| deadline.at <= now)
        {
            let Some(deadline) = self.lingering.pop_front() else {
                break;
            };
            self.linger_expired(&deadline, connection, now);
        }
        Ok(())
    }

    /// When a remote that takes nothing has had its time.
    fn stall_deadline(&self, connection: &Connection) -> Option<Duration> {
        let since = self.stalled_since?.max(self.delivery.moved_at());
        Some(since + connection.limits.write_stall_timeout)
    }

    /// When to see what the remote has taken: while the socket refuses bytes or a ping waits.
    fn look_deadline(&self, connection: &Connection) -> Option<Duration> {
        let limits = &connection.limits;
        let stall = self
            .stalled_since
            .filter(|_| !self.write_failed)
            .map(|since| self.delivery.next_look(since, limits.write_stall_timeout));
        let ping = self
            .engine
            .pinged_at()
            .map(|since| self.delivery.next_look(since, limits.keepalive_timeout));
        stall.into_iter().chain(ping).min()
    }

    /// Tells the clocks of the connection what the remote has taken.
    fn watch_delivery(&mut self, connection: &Connection, now: Duration) {
        match self.look_deadline(connection) {
            None => self.delivery.rest(),
            Some(at) if at <= now => {
                if let Some(seen) = self.delivery.look(connection.pipe(), now) {
                    self.engine.outgoing(seen, now);
                }
            }
            Some(_) => {}
        }
    }

    fn negotiation_expired(&mut self, deadline: &Deadline) {
        let Some(entry) = self.entry(deadline.key) else {
            return;
        };
        if entry.serial != deadline.serial || entry.negotiation.is_none() {
            return;
        }
        entry.negotiation = None;
        entry.slot.fail(StreamFault::NegotiationTimeout);
    }

    /// Notes when a negotiation must be over.
    pub(super) fn expect_negotiation(&mut self, deadline: Deadline) {
        Self::note(&mut self.negotiating, &self.entries, deadline);
    }

    /// Notes when the remote must have done its part of a stream that is closed here.
    pub(super) fn expect_end(&mut self, deadline: Deadline) {
        Self::note(&mut self.lingering, &self.entries, deadline);
    }

    /// Deadlines of streams that are gone leave the queue before it outgrows the live ones.
    fn note(queue: &mut VecDeque<Deadline>, entries: &[Option<Entry>], deadline: Deadline) {
        if queue.len() > 2 * entries.len() + DEADLINES_MIN {
            queue.retain(|known| {
                let entry = entries.get(known.key.0 as usize).and_then(Option::as_ref);
                entry.is_some_and(|entry| entry.serial == known.serial)
            });
        }
        queue.push_back(deadline);
    }

    /// The remote had its time to end its half, or to take some of what we still have for it.
    fn linger_expired(&mut self, deadline: &Deadline, connection: &Connection, now: Duration) {
        let Some(entry) = self.entry(deadline.key) else {
            return;
        };
        if entry.serial != deadline.serial {
            return;
        }
        let (unsent, finished) = entry.slot.unsent();
        if unsent < std::mem::replace(&mut entry.unsent, unsent) {
            let at = now + connection.limits.linger_timeout;
            self.expect_end(Deadline { at, ..*deadline });
        } else if finished {
            self.engine
                .reset(deadline.key, StreamErrorCode::GarbageCollected as u32);
            self.forget(deadline.key, connection);
        } else {
            let slot = Arc::clone(&entry.slot);
            slot.abandon(StreamErrorCode::GarbageCollected as u32);
        }
    }
}

/// Gives back the stream's place among those that wait: for an acknowledgement, or to be told of.
fn release_counts(entry: &Entry, connection: &Connection) {
    if entry.outbound && !entry.acked {
        connection.unacked.fetch_sub(1, Ordering::Relaxed);
    }
    entry.slot.never_told();
}
