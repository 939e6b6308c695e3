//! Output from the slots to the wire: commands and bytes, stream by stream.

use std::collections::VecDeque;
use std::time::Duration;

use ferroswarm_proto::muxer::{MemoryBudget, OpenError, StreamErrorCode, StreamKey};

use crate::connection::Connection;
use crate::connection::life::Life;
use crate::connection::link::{Left, StreamLink};
use crate::resources::StreamScope;
use crate::slot::{LocalEnd, Place, ResetReport, StreamSlot, Turn};
use crate::sync::Arc;

use super::{Entry, Streams};

/// Report for a stream that had not been opened when the remote's GoAway arrived.
const UNOPENED_AT_GOAWAY: ResetReport = ResetReport {
    code: 0,
    remote: true,
    connection_lost: true,
    orderly: false,
    unsent: false,
    unread: false,
    fault: None,
};

/// Unopened streams kept before abandoned ones are swept.
const UNOPENED_MIN: usize = 64;

/// Report for a stream that cannot be opened because stream ids are exhausted, while the connection
/// lives on.
const IDS_EXHAUSTED: ResetReport = ResetReport {
    code: StreamErrorCode::ResourceLimitExceeded as u32,
    remote: false,
    connection_lost: false,
    orderly: false,
    unsent: false,
    unread: false,
    fault: None,
};

/// Outcome of serving a stream.
enum Served {
    /// The stream has more to send.
    More,
    /// The stream has nothing to send, or is blocked.
    Idle,
}

impl Streams {
    /// Fills the record that `link` begins: control frames first, then streams round-robin.
    pub(in crate::connection) fn fill(
        &mut self,
        link: &mut dyn StreamLink,
        life: &Life,
        connection: &Arc<Connection>,
        now: Duration,
    ) {
        if life.closes_at_once() {
            // Only resets are sent, which carry their error codes. A stream that is not opened any
            // more ends with the connection.
            let (resets, others): (VecDeque<_>, VecDeque<_>) = self
                .ring
                .drain(..)
                .partition(|slot| slot.has_pending_reset());
            self.ring = resets;
            let unopened = others.into_iter().filter(|slot| !slot.is_on_wire());
            self.unopened.extend(unopened);
        }
        if !self.ring.is_empty() {
            // The round-trip time is measured along with the first stream: on an unused connection,
            // a separate ping would cost more than everything else.
            if life.is_open() {
                link.measure(now);
            }
            // Control frames that did not fit after the data of the last record: bulk data fills
            // every record.
            link.put_control();
        }
        // Each stream is served once per record, so that a bulk stream delays a small one by at
        // most one record.
        let mut remaining = self.ring.len();
        while remaining > 0 && link.has_room() {
            remaining -= 1;
            let Some(slot) = self.ring.pop_front() else {
                break;
            };
            let waiting = self.ring.len();
            let served = self.serve(link, connection, &slot, now);
            // An abandoned stream has passed its turn to the next unopened one, which nothing else
            // would resume.
            remaining += self.ring.len().saturating_sub(waiting);
            match served {
                Served::More => self.ring.push_back(slot),
                Served::Idle => {}
            }
        }
        link.put_control();
    }

    /// Executes the commands of a stream and sends what flow control allows.
    fn serve(
        &mut self,
        link: &mut dyn StreamLink,
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
            // The lock is held from here to the end of the turn: a command given in between would
            // be lost.
            turn = slot.turn();
        }
        if turn.has_bytes_before_reset()
            && matches!(send_bytes(link, connection, key, &mut turn), Served::More)
        {
            return Served::More;
        }
        if let Some(code) = turn.take_reset() {
            turn.leave_ring();
            drop(turn);
            link.reset(key, code);
            // Sent before a stream takes its place, because the remote counts streams too.
            link.put_control();
            self.remove(link, connection, key);
            return Served::Idle;
        }
        if turn.take_accept() {
            link.accept(key);
        }
        let negotiates = self
            .entry(key)
            .is_some_and(|entry| entry.negotiation.is_some());
        let left = if turn.is_write_open() {
            Left::Reading
        } else {
            Left::Both
        };
        // The remote's negotiation reply precedes the bytes to be discarded.
        if !negotiates
            && turn.take_discard()
            && link.discard(key, left, now)
            && let Some(entry) = self.entry(key)
        {
            entry.remote_done = true;
        }
        return_credit(link, connection, key, &mut turn, now);
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

    /// Returns the stream's key. An outbound stream is opened here, or waits until it can be.
    fn key_of(
        &mut self,
        link: &mut dyn StreamLink,
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
                    // Its place goes to the next unopened stream.
                    self.reopen();
                }
                return None;
            }
        }
        let key = match link.open() {
            Ok(key) => key,
            Err(reason @ (OpenError::Unacked | OpenError::TooMany)) => {
                drop(turn);
                self.link_full |= reason == OpenError::TooMany;
                self.queue_unopened(connection, slot);
                return None;
            }
            Err(error) => {
                // This stream will never be opened.
                turn.give_up();
                connection.acknowledged();
                drop(turn);
                slot.end(match error {
                    OpenError::IdsExhausted => IDS_EXHAUSTED,
                    _ => UNOPENED_AT_GOAWAY,
                });
                return None;
            }
        };
        let negotiation = turn.opened(key);
        drop(turn);
        let acked = link.is_acknowledged(key);
        if acked {
            connection.acknowledged();
            if self.link_full {
                // There may be room for the next.
                self.reopen();
            }
        }
        let serial = self.serial();
        if negotiation.is_some() {
            let at = now + connection.limits.stream_negotiation_timeout;
            self.set_negotiation_deadline(key, serial, at);
        }
        let mut entry = Entry::outbound(Arc::clone(slot), negotiation, serial);
        entry.acked = acked;
        self.insert(key, entry);
        Some(key)
    }

    /// Queues an outbound stream behind the others waiting to be opened.
    ///
    /// Abandoned streams are swept before they outnumber the wanted ones.
    fn queue_unopened(&mut self, connection: &Connection, slot: &Arc<StreamSlot>) {
        let wanted = connection.outbound_count() as usize;
        if self.unopened.len() > 2 * wanted + UNOPENED_MIN {
            self.unopened.retain(|waiting| {
                let abandoned = waiting.is_finished();
                if abandoned && waiting.turn().give_up() {
                    connection.acknowledged();
                }
                !abandoned
            });
        }
        self.unopened.push_back(Arc::clone(slot));
    }

    /// Handles the sent FIN: the stream is removed when the remote's half is done too, or after
    /// `linger_timeout`.
    fn local_end(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Connection,
        key: StreamKey,
        now: Duration,
    ) {
        let Some(entry) = self.entry(key) else { return };
        entry.local_done = true;
        if entry.remote_done {
            self.remove_if_done(link, connection, key);
            return;
        }
        // The read half may be closed long after the write half.
        if !entry.slot.is_read_open() {
            self.linger(connection, key, 0, now);
        }
    }
}

/// Returns credit to the remote for bytes read.
fn return_credit(
    link: &mut dyn StreamLink,
    connection: &Connection,
    key: StreamKey,
    turn: &mut Turn<'_>,
    now: Duration,
) {
    let consumed = turn.take_consumed();
    if consumed > 0 {
        let mut budget = WindowBudget {
            scope: turn.scope(),
            connection,
        };
        let step = link.consumed(key, consumed, now, &mut budget);
        turn.set_credit_step(step);
    }
}

/// Charges the growth of a receive window to its stream.
struct WindowBudget<'a> {
    scope: Option<&'a mut StreamScope>,
    connection: &'a Connection,
}

impl MemoryBudget for WindowBudget<'_> {
    fn reserve(&mut self, bytes: u32) -> bool {
        let Some(scope) = &mut self.scope else {
            return false;
        };
        let granted = scope.reserve_window(bytes);
        if granted {
            self.connection.add_window_growth(bytes as usize);
        } else {
            self.connection.hub.stats.window_refusals.add(1);
        }
        granted
    }
}

/// Sends one data frame, and the FIN after the last.
fn send_bytes(
    link: &mut dyn StreamLink,
    connection: &Connection,
    key: StreamKey,
    turn: &mut Turn<'_>,
) -> Served {
    let held = turn.held();
    let framed = link.send(key, turn.to_send());
    if framed.count > 0 {
        turn.sent(framed.count);
        connection.traffic.bytes_out.add(framed.count as u64);
    }
    let last = framed.count == held;
    if last && turn.is_fin_due(connection.allows_early_fin()) {
        if !link.finish(key) {
            return Served::More;
        }
        turn.fin_sent();
        return Served::Idle;
    }
    if last || framed.is_blocked {
        Served::Idle
    } else {
        Served::More
    }
}
