//! Connections whose sockets are registered with JavaScript's own event loop.
//!
//! A request that arrives through an I/O thread costs two wakeups, of that thread and of
//! JavaScript's. A connection with little but frequent traffic is therefore moved to the loop that
//! answers anyway: its bytes are read there, and only its timers stay with its driver.
//! [`connection`](crate::connection) decides which connections move, this module how much they may
//! cost the loop.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use crate::connection::Connection;
use crate::event_queue::EventQueue;
use crate::sync::{Arc, Instant, Mutex};

/// Maximum number of loop sockets. With more busy ones, the cores of the I/O threads are worth
/// their wakeups.
pub(crate) const LOOP_SOCKETS_MAX: usize = 16;

/// Maximum number of ready loop sockets per poll. More mean that the loop has become slower than
/// its sockets: the excess returns to the I/O threads, where other cores open their records and one
/// ring announces them all. Equals the connections of an inline flush, so that requests read here
/// are answered here.
pub(crate) const READS_PER_POLL: usize = 2;

/// Conditions for moving a connection to the loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoopTerms {
    /// Consecutive turns with little traffic before a move, which costs a few system calls and has
    /// to pay off for some time.
    pub(crate) turns: u32,
    /// Minimum time on the I/O thread after leaving the loop, so that connections do not move to
    /// and fro.
    pub(crate) rest: Duration,
}

impl LoopTerms {
    /// Conditions of every event loop.
    pub(crate) const DEFAULT: Self = Self {
        turns: 16,
        rest: Duration::from_secs(1),
    };
}

/// Period after which the allowance of the loop sockets is renewed.
const PERIOD: Duration = Duration::from_millis(100);

/// Bytes that all loop sockets together may carry per period: at a nanosecond per byte, read or
/// sent, 10 % of the loop's time.
const ALLOWANCE: usize = 10 << 20;

/// Cost, in addition to its bytes, of a turn without output for JavaScript. On an I/O thread it
/// would not have cost the loop anything; so a period has at most 256 of them, at ten microseconds
/// 2.5 % of the time.
const IDLE_TURN_BYTES: usize = ALLOWANCE / 256;

/// Whether records were pending for JavaScript after a turn on the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnOutput {
    Records,
    Nothing,
}

/// The loop sockets of one JavaScript environment.
pub(crate) struct LoopSockets {
    queue: EventQueue,
    terms: LoopTerms,
    epoch: Instant,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    last_token: usize,
    live: HashMap<usize, LoopSocket>,
    /// Start of the current period.
    since: Duration,
    /// Allowance used in it by all, including those that have left.
    used: usize,
}

struct LoopSocket {
    connection: Weak<Connection>,
    used: usize,
}

impl Members {
    /// Renews the allowance once the period is over.
    fn renew(&mut self, now: Duration) {
        if now < self.since + PERIOD {
            return;
        }
        (self.since, self.used) = (now, 0);
        for socket in self.live.values_mut() {
            socket.used = 0;
        }
    }

    fn has_room(&mut self, now: Duration) -> bool {
        self.renew(now);
        self.live.len() < LOOP_SOCKETS_MAX && self.used <= ALLOWANCE
    }

    fn charge(&mut self, token: usize, bytes: usize, output: TurnOutput, now: Duration) -> bool {
        self.renew(now);
        let cost = match output {
            TurnOutput::Records => bytes,
            TurnOutput::Nothing => bytes + IDLE_TURN_BYTES,
        };
        self.used += cost;
        let (used, share) = (self.used, ALLOWANCE / self.live.len().max(1));
        let Some(socket) = self.live.get_mut(&token) else {
            return false;
        };
        socket.used += cost;
        used <= ALLOWANCE || socket.used <= share
    }
}

impl LoopSockets {
    /// Creates an empty set for a loop that waits for `queue`.
    pub(crate) fn new(queue: EventQueue, terms: LoopTerms) -> Self {
        Self {
            queue,
            terms,
            epoch: Instant::now(),
            members: Mutex::default(),
        }
    }

    pub(crate) const fn terms(&self) -> LoopTerms {
        self.terms
    }

    pub(crate) const fn queue(&self) -> &EventQueue {
        &self.queue
    }

    /// Registers the connection's socket with the loop; returns its token if there is room and the
    /// allowance is not used up.
    pub(crate) fn admit(&self, connection: &Arc<Connection>) -> Option<usize> {
        let mut members = self.members.lock();
        if !members.has_room(self.epoch.elapsed()) {
            return None;
        }
        members.last_token += 1;
        let token = members.last_token;
        if !connection.socket().lend(&self.queue, token) {
            return None;
        }
        let socket = LoopSocket {
            connection: Arc::downgrade(connection),
            used: 0,
        };
        members.live.insert(token, socket);
        Some(token)
    }

    /// Charges a turn of a socket; returns whether it may stay. Once the allowance is used up, a
    /// socket that has used more than its share leaves at its next turn: a busy one drives no other
    /// away.
    pub(crate) fn charge(&self, token: usize, bytes: usize, output: TurnOutput) -> bool {
        let now = self.epoch.elapsed();
        self.members.lock().charge(token, bytes, output, now)
    }

    /// Removes a socket, which its driver reclaims.
    pub(crate) fn dismiss(&self, token: usize) {
        self.members.lock().live.remove(&token);
    }

    /// Takes the connections with something to read, and whether each may stay to read more: not if
    /// the remote may have ended its half.
    pub(crate) fn take_ready(&self) -> Vec<(Arc<Connection>, bool)> {
        let found = self.queue.take();
        let members = self.members.lock();
        let live = found.into_iter().filter_map(|found| {
            let socket = members.live.get(&found.token)?;
            Some((socket.connection.upgrade()?, found.ended))
        });
        let ready = live
            .enumerate()
            .map(|(index, (connection, ended))| (connection, !ended && index < READS_PER_POLL));
        ready.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: usize) -> Members {
        let mut members = Members::default();
        for token in 1..=count {
            let connection = Weak::new();
            members.live.insert(
                token,
                LoopSocket {
                    connection,
                    used: 0,
                },
            );
        }
        members
    }

    /// Charges a token 1 KiB at a time until it may no longer stay; returns how many it could.
    fn stays(members: &mut Members, token: usize, now: Duration) -> usize {
        (0..ALLOWANCE)
            .take_while(|_| members.charge(token, 1 << 10, TurnOutput::Records, now))
            .count()
    }

    #[test]
    fn the_allowance_is_renewed_with_the_next_period() {
        let mut members = members(1);
        let mut now = Duration::ZERO;
        for _ in 0..3 {
            assert_eq!(stays(&mut members, 1, now), ALLOWANCE >> 10);
            assert!(!members.has_room(now));
            now += PERIOD;
            assert!(members.has_room(now));
        }
    }

    #[test]
    fn a_busy_socket_drives_no_other_away() {
        let mut members = members(4);
        let now = Duration::ZERO;
        assert_eq!(stays(&mut members, 1, now), ALLOWANCE >> 10);
        // The others still have their shares.
        for quiet in 2..=4 {
            assert_eq!(stays(&mut members, quiet, now), ALLOWANCE >> 12);
        }
    }

    #[test]
    fn a_socket_that_has_left_is_still_charged() {
        let mut members = members(LOOP_SOCKETS_MAX);
        stays(&mut members, 1, Duration::ZERO);
        members.live.remove(&1);
        assert!(!members.has_room(Duration::ZERO));
        assert!(!members.charge(1, 0, TurnOutput::Records, Duration::ZERO));
    }

    #[test]
    fn a_turn_without_output_costs_more_than_its_bytes() {
        let mut members = members(1);
        let turns = (0..ALLOWANCE)
            .take_while(|_| members.charge(1, 100, TurnOutput::Nothing, Duration::ZERO))
            .count();
        assert!((200..=256).contains(&turns), "{turns}");
    }
}
