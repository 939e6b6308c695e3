//! From the slots to the wire: orders and bytes, stream by stream.

use std::time::Duration;

use ferroswarm_proto::muxer::{OpenError, StreamErrorCode, StreamKey};

use crate::connection::Connection;
use crate::connection::life::Life;
use crate::connection::link::Link;
use crate::slot::{LocalEnd, Place, ResetReport, StreamSlot, Turn};
use crate::sync::Arc;

use super::{Entry, Streams};

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

impl Streams {
    /// Fills the record that `link` begins: streams in turn, control frames before the rest.
    pub(in crate::connection) fn fill(
        &mut self,
        link: &mut Link,
        life: &Life,
        connection: &Arc<Connection>,
        now: Duration,
    ) {
        if life.closes_at_once() {
            // Resets alone: their remotes learn why.
            self.ring.retain(|slot| slot.owes_reset());
        }
        if !self.ring.is_empty() {
            // The round trip is measured beside the first stream: a ping of its own would cost more than the
            // rest of a connection that nobody uses.
            if life.goes_on() {
                link.measure(now);
            }
            // What found no room behind the data of the last record: bulk fills every one of them.
            link.put_control();
        }
        // Each stream is visited once a record, so that a bulk stream delays a small one by one
        // record at most.
        let mut visits = self.ring.len();
        while visits > 0 && link.has_room() {
            visits -= 1;
            let Some(slot) = self.ring.pop_front() else {
                break;
            };
            let waiting = self.ring.len();
            let served = self.serve(link, connection, &slot, now);
            // A stream that was gone has left its turn to the next one that waits to be opened: nothing
            // else would come back for that one.
            visits += self.ring.len().saturating_sub(waiting);
            match served {
                Served::More => self.ring.push_back(slot),
                Served::Idle => {}
            }
        }
        link.put_control();
    }

    /// Carries out what one stream has ordered and sends what it may.
    fn serve(
        &mut self,
        link: &mut Link,
        connection: &Arc<Connection>,
        slot: &Arc<StreamSlot>,
        now: Duration,
    ) -> Served {
        let Some(key) = self.key_of(link, connection, slot, now) else {
            return Served::Idle;
        };
        let mut turn = slot.turn();
        while let Some(answer) = turn.take_answer() {
            drop(turn);
            self.answered(link, connection, key, answer);
            // From here to the end of the turn the lock is kept: an order given in between would be lost.
            turn = slot.turn();
        }
        if let Some(code) = turn.take_reset() {
            turn.leave_ring();
            drop(turn);
            link.reset(key, code);
            // Before a stream that takes its place: the remote counts them too.
            link.put_control();
            self.forget(link, connection, key);
            return Served::Idle;
        }
        if turn.take_accept() {
            link.accept(key);
        }
        let negotiates = self
            .entry(key)
            .is_some_and(|entry| entry.negotiation.is_some());
        // The answer of the remote's negotiation comes before what nobody wants to read.
        if !negotiates && turn.take_discard() {
            link.discard(key);
        }
        return_credit(link, key, &mut turn, now);
        let served = send_bytes(link, connection, key, &mut turn);
        if matches!(served, Served::Idle) {
            turn.leave_ring();
        }
        match turn.end() {
            LocalEnd::Sent => self.local_end(link, connection, key, now),
            LocalEnd::Lingers { unsent } => self.linger(connection, key, unsent, now),
            LocalEnd::Open => {}
        }
        served
    }

    /// The stream's key; an outbound one gets its place on the wire here, or waits for one.
    fn key_of(
        &mut self,
        link: &mut Link,
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
                    connection.acknowledged();
                    drop(turn);
                    // The place that it was called up for is another's.
                    self.reopen();
                }
                return None;
            }
        }
        let key = match link.open() {
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
                connection.acknowledged();
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
            self.expect_negotiation(key, serial, at);
        }
        self.insert(key, Entry::outbound(Arc::clone(slot), negotiation, serial));
        Some(key)
    }

    /// Puts an outbound stream behind the others that wait to be opened.
    ///
    /// Those that were given up meanwhile leave before they outnumber the ones that are wanted.
    fn wait_for_place(&mut self, connection: &Connection, slot: &Arc<StreamSlot>) {
        let wanted = connection.outbound_count() as usize;
        if self.unopened.len() > 2 * wanted + UNOPENED_MIN {
            self.unopened.retain(|waiting| {
                let given_up = waiting.is_finished();
                if given_up && waiting.turn().give_up() {
                    connection.acknowledged();
                }
                !given_up
            });
        }
        self.unopened.push_back(Arc::clone(slot));
    }

    /// Our half is out: the stream goes when the remote's half is done too, or after a while.
    fn local_end(
        &mut self,
        link: &mut Link,
        connection: &Connection,
        key: StreamKey,
        now: Duration,
    ) {
        let Some(entry) = self.entry(key) else { return };
        entry.local_done = true;
        if entry.remote_done {
            self.forget_if_done(link, connection, key);
            return;
        }
        // The read half may be closed long after the write half.
        if !entry.slot.is_read_open() {
            self.linger(connection, key, 0, now);
        }
    }
}

/// Gives the remote credit for what was read.
fn return_credit(link: &mut Link, key: StreamKey, turn: &mut Turn<'_>, now: Duration) {
    let consumed = turn.take_consumed();
    if consumed > 0 {
        turn.set_credit_step(link.consumed(key, consumed, now));
    }
}

/// One data frame, and the FIN behind the last.
fn send_bytes(
    link: &mut Link,
    connection: &Connection,
    key: StreamKey,
    turn: &mut Turn<'_>,
) -> Served {
    let held = turn.held();
    let framed = link.send(key, held, |into| {
        turn.to_send().peek(into);
    });
    if framed.count > 0 {
        turn.sent(framed.count);
        connection.traffic.bytes_out.add(framed.count as u64);
    }
    let last = framed.count == held;
    if last && turn.ends(connection.allows_early_fin()) {
        if !link.finish(key) {
            return Served::More;
        }
        turn.end_sent();
        return Served::Idle;
    }
    if last || framed.is_blocked {
        Served::Idle
    } else {
        Served::More
    }
}
