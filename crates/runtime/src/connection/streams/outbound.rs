//! What streams send: orders and bytes, in turn.

use std::time::Duration;

use ferroswarm_proto::muxer::{
    FRAME_PAYLOAD_MAX, HEADER_BYTES, OpenError, StreamErrorCode, StreamKey,
};
use ferroswarm_secure::Channel;

use crate::connection::Connection;
use crate::connection::core::{Core, Deadline, Entry};
use crate::slot::{LocalEnd, Place, ResetReport, StreamSlot, Turn};
use crate::sync::{Arc, Ordering};

/// Room that makes a data frame worth its header.
const FRAME_ROOM_MIN: usize = 256;

/// How a stream ends that the remote's goodbye has overtaken.
const GONE: ResetReport = ResetReport {
    code: 0,
    remote: true,
    connection_lost: true,
    orderly: false,
    unsent: false,
    unread: false,
    fault: None,
};

/// Streams that may wait to be opened before those given up are looked for.
const UNOPENED_MIN: usize = 64;

/// How a stream ends that can get no number on the wire, while the connection lives on.
const CROWDED_OUT: ResetReport = ResetReport {
    code: StreamErrorCode::ResourceLimitExceeded as u32,
    remote: false,
    connection_lost: false,
    orderly: false,
    unsent: false,
    unread: false,
    fault: None,
};

/// What came of serving one stream.
enum Served {
    /// It has more to send.
    More,
    /// It has nothing to send, or may not.
    Idle,
}

impl Core {
    /// Fills the record that starts at `body`: streams in turn, control frames before the rest.
    pub(in crate::connection) fn fill_record(
        &mut self,
        connection: &Arc<Connection>,
        out: &mut Vec<u8>,
        body: usize,
        now: Duration,
    ) {
        if self.closes_at_once() {
            // Resets alone: their remotes learn why.
            self.ring.retain(|slot| slot.owes_reset());
        }
        if !self.ring.is_empty() {
            // The round trip is measured beside the first stream: a ping of its own would cost more than the
            // rest of a connection that nobody uses.
            let goes_on = self.closing.is_none() && self.remote_goaway.is_none();
            if goes_on && self.engine.rtt().is_none() {
                self.engine.ping(now);
            }
            // What found no room behind the data of the last record: bulk fills every one of them.
            self.engine.poll_control(out, Channel::PLAINTEXT_MAX);
        }
        // Each stream is visited once a record, so that a bulk stream delays a small one by one
        // record at most.
        let mut visits = self.ring.len();
        while visits > 0 {
            visits -= 1;
            let room = Channel::PLAINTEXT_MAX - (out.len() - body);
            if room < HEADER_BYTES + FRAME_ROOM_MIN {
                break;
            }
            let Some(slot) = self.ring.pop_front() else {
                break;
            };
            let waiting = self.ring.len();
            let served = self.serve(connection, &slot, out, room, now);
            // A stream that was gone has left its turn to the next one that waits to be opened: nothing
            // else would come back for that one.
            visits += self.ring.len().saturating_sub(waiting);
            match served {
                Served::More => self.ring.push_back(slot),
                Served::Idle => {}
            }
        }
        let room = Channel::PLAINTEXT_MAX - (out.len() - body);
        self.engine.poll_control(out, room);
    }

    /// Carries out what one stream has ordered and sends what it may.
    fn serve(
        &mut self,
        connection: &Arc<Connection>,
        slot: &Arc<StreamSlot>,
        out: &mut Vec<u8>,
        room: usize,
        now: Duration,
    ) -> Served {
        let Some(key) = self.key_of(connection, slot, now) else {
            return Served::Idle;
        };
        let mut turn = slot.turn();
        while let Some(answer) = turn.take_answer() {
            drop(turn);
            self.answered(connection, key, answer);
            // From here to the end of the turn the lock is kept: an order given in between would be lost.
            turn = slot.turn();
        }
        if let Some(code) = turn.take_reset() {
            turn.leave_ring();
            drop(turn);
            self.engine.reset(key, code);
            // Before a stream that takes its place: the remote counts them too.
            self.engine.poll_control(out, room);
            self.forget(key, connection);
            return Served::Idle;
        }
        if turn.take_accept() {
            self.engine.accept(key);
        }
        let negotiates = self
            .entry(key)
            .is_some_and(|entry| entry.negotiation.is_some());
        // The answer of the remote's negotiation comes before what nobody wants to read.
        if !negotiates && turn.take_discard() {
            self.engine.discard(key);
        }
        self.return_credit(key, &mut turn, now);
        let served = self.send_bytes(connection, key, &mut turn, out, room);
        if matches!(served, Served::Idle) {
            turn.leave_ring();
        }
        match turn.end() {
            LocalEnd::Sent => self.local_end(key, connection, now),
            LocalEnd::Lingers { unsent } => self.linger(key, unsent, connection, now),
            LocalEnd::Open => {}
        }
        served
    }

    /// The stream's key; an outbound one gets its place on the wire here, or waits for one.
    fn key_of(
        &mut self,
        connection: &Connection,
        slot: &Arc<StreamSlot>,
        now: Duration,
    ) -> Option<StreamKey> {
        let mut turn = slot.turn();
        match turn.place() {
            Place::Open(key) => return Some(key),
            Place::Wanted => {}
            Place::Gone => {
                if turn.give_up() {
                    connection.unopened_gone();
                    drop(turn);
                    // The place that it was called up for is another's.
                    self.reopen();
                }
                return None;
            }
        }
        let key = match self.engine.open() {
            Ok(key) => key,
            Err(reason @ (OpenError::Unacked | OpenError::TooMany)) => {
                drop(turn);
                self.crowded |= reason == OpenError::TooMany;
                self.wait_for_place(connection, slot);
                return None;
            }
            Err(error) => {
                // This stream will never be on the wire.
                turn.give_up();
                connection.unopened_gone();
                drop(turn);
                slot.end(match error {
                    OpenError::IdsExhausted => CROWDED_OUT,
                    _ => GONE,
                });
                return None;
            }
        };
        let negotiation = turn.opened(key);
        drop(turn);
        let serial = self.serial();
        if negotiation.is_some() {
            let at = now + connection.limits.stream_negotiation_timeout;
            self.expect_negotiation(Deadline { at, key, serial });
        }
        self.insert(
            key,
            Entry {
                slot: Arc::clone(slot),
                negotiation,
                outbound: true,
                acked: false,
                local_done: false,
                remote_done: false,
                lingers: false,
                unsent: 0,
                serial,
            },
        );
        Some(key)
    }

    /// Puts an outbound stream behind the others that wait to be opened.
    ///
    /// Those that were given up meanwhile leave before they outnumber the ones that are wanted.
    fn wait_for_place(&mut self, connection: &Connection, slot: &Arc<StreamSlot>) {
        let wanted = connection.outbound.load(Ordering::Relaxed) as usize;
        if self.unopened.len() > 2 * wanted + UNOPENED_MIN {
            self.unopened.retain(|waiting| {
                let given_up = waiting.is_finished();
                if given_up && waiting.turn().give_up() {
                    connection.unopened_gone();
                }
                !given_up
            });
        }
        self.unopened.push_back(Arc::clone(slot));
    }

    /// Gives the remote credit for what was read.
    fn return_credit(&mut self, key: StreamKey, turn: &mut Turn<'_>, now: Duration) {
        let consumed = turn.take_consumed();
        if consumed > 0 {
            self.engine.consumed(key, consumed, now, &mut self.windows);
            turn.set_credit_step(self.engine.update_step(key).max(1));
        }
    }

    /// One data frame, and the FIN behind the last.
    fn send_bytes(
        &mut self,
        connection: &Connection,
        key: StreamKey,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
        room: usize,
    ) -> Served {
        let held = turn.held();
        let credit = self.engine.send_credit(key) as usize;
        let count = held
            .min(credit)
            .min(room - HEADER_BYTES)
            .min(FRAME_PAYLOAD_MAX);
        let start = out.len();
        let mut taken = 0;
        if count > 0 {
            taken = self.engine.write(key, count, out, |into| {
                turn.to_send().peek(into);
            });
            turn.sent(taken);
            self.has_data |= taken > 0;
            connection.traffic.bytes_out.add(taken as u64);
        }
        let last = taken == held;
        if last && turn.ends(connection.allows_early_fin()) {
            if room - (out.len() - start) < HEADER_BYTES {
                return Served::More;
            }
            self.engine.finish(key, out);
            turn.end_sent();
            return Served::Idle;
        }
        if last || taken == credit || taken < count {
            Served::Idle
        } else {
            Served::More
        }
    }

    /// Our half is out: the stream goes when the remote's half is done too, or after a while.
    fn local_end(&mut self, key: StreamKey, connection: &Connection, now: Duration) {
        let Some(entry) = self.entry(key) else { return };
        entry.local_done = true;
        if entry.remote_done {
            self.forget_if_done(key, connection);
            return;
        }
        // The read half may be closed long after the write half.
        if !entry.slot.is_read_open() {
            self.linger(key, 0, connection, now);
        }
    }

    /// Nobody here waits for the stream any more: what the remote still has to do has a deadline.
    fn linger(&mut self, key: StreamKey, unsent: usize, connection: &Connection, now: Duration) {
        let Some(entry) = self.entry(key) else { return };
        if !std::mem::replace(&mut entry.lingers, true) {
            entry.unsent = unsent;
            let serial = entry.serial;
            let at = now + connection.limits.linger_timeout;
            self.expect_end(Deadline { at, key, serial });
        }
    }
}
