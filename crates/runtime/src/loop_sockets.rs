//! Connections whose sockets JavaScript's own event loop waits for.
//!
//! A request that comes over an I/O thread costs two wakes, of that thread and of JavaScript's. A
//! connection that carries little, and often, is therefore a guest of the loop that answers anyway:
//! its bytes are read there, and only its clock stays with its driver. Who is one is decided in
//! [`connection`](crate::connection), what they may cost the loop here.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use crate::connection::Connection;
use crate::event_queue::EventQueue;
use crate::sync::{Arc, Instant, Mutex};

/// LoopSockets at a time. With more that are busy, the cores of the I/O threads are worth their wakes.
pub(crate) const LOOP_SOCKETS_MAX: usize = 16;

/// LoopSockets that one look at the queue may find with news. More mean that the loop has become slower than
/// its loop_sockets: those beyond go home, where other cores open their records and one ring tells of them
/// all. As many as a flush sends to by itself, so that what is read here is answered here.
pub(crate) const READS_PER_POLL: usize = 2;

/// What makes a guest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoopTerms {
    /// Turns with little in a row. Moving costs a few system calls, so that it has to be worth it for
    /// some time.
    pub(crate) turns: u32,
    /// Time with its I/O thread after a move_to_loop, so that nobody moves to and fro.
    pub(crate) rest: Duration,
}

impl LoopTerms {
    /// Those of every event loop.
    pub(crate) const USUAL: Self = Self {
        turns: 16,
        rest: Duration::from_secs(1),
    };
}

/// Time after which the loop's loop sockets have their allowance again.
const PERIOD: Duration = Duration::from_millis(100);

/// Bytes that all loop sockets together may carry in a period: at a nanosecond a byte, read or sent, 10 % of
/// the loop's time.
const ALLOWANCE: usize = 10 << 20;

/// What a turn counts beside its bytes that had nothing for JavaScript. Over an I/O thread it would not
/// have cost the loop anything; so at most 256 of them do in a period, at ten microseconds 2.5 % of the time.
const IDLE_TURN_BYTES: usize = ALLOWANCE / 256;

/// What a guest's turn had for JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnOutput {
    Some,
    None,
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
    /// When the present period began.
    since: Duration,
    /// What all have used of the allowance in it, those included that have left.
    used: usize,
}

struct LoopSocket {
    connection: Weak<Connection>,
    used: usize,
}

impl Members {
    /// A new allowance, if it is time.
    fn renew(&mut self, now: Duration) {
        if now < self.since + PERIOD {
            return;
        }
        (self.since, self.used) = (now, 0);
        for guest in self.live.values_mut() {
            guest.used = 0;
        }
    }

    fn has_room(&mut self, now: Duration) -> bool {
        self.renew(now);
        self.live.len() < LOOP_SOCKETS_MAX && self.used <= ALLOWANCE
    }

    fn charge(&mut self, token: usize, bytes: usize, output: TurnOutput, now: Duration) -> bool {
        self.renew(now);
        let cost = match output {
            TurnOutput::Some => bytes,
            TurnOutput::None => bytes + IDLE_TURN_BYTES,
        };
        self.used += cost;
        let (used, part) = (self.used, ALLOWANCE / self.live.len().max(1));
        let Some(guest) = self.live.get_mut(&token) else {
            return false;
        };
        guest.used += cost;
        used <= ALLOWANCE || guest.used <= part
    }
}

impl LoopSockets {
    /// A loop without loop sockets, which waits for `queue`.
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

    /// Has the loop wait for the connection's socket; its token, if there was room and something is left
    /// of the allowance.
    pub(crate) fn admit(&self, connection: &Arc<Connection>) -> Option<usize> {
        let mut members = self.members.lock();
        if !members.has_room(self.epoch.elapsed()) {
            return None;
        }
        members.last_token += 1;
        let token = members.last_token;
        if !connection.pipe().lend(&self.queue, token) {
            return None;
        }
        let guest = LoopSocket {
            connection: Arc::downgrade(connection),
            used: 0,
        };
        members.live.insert(token, guest);
        Some(token)
    }

    /// Charges a turn of a guest; returns whether it may stay. Once the allowance is used up, a guest goes
    /// with its next turn that has used more than its part: a busy one drives no other away.
    pub(crate) fn charge(&self, token: usize, bytes: usize, output: TurnOutput) -> bool {
        let now = self.epoch.elapsed();
        self.members.lock().charge(token, bytes, output, now)
    }

    /// The guest's place is free; its socket is taken back by its driver.
    pub(crate) fn dismiss(&self, token: usize) {
        self.members.lock().live.remove(&token);
    }

    /// LoopSockets with something to read, and whether they may stay to read more: not if it may be the end
    /// of what the remote sends.
    pub(crate) fn take_ready(&self) -> Vec<(Arc<Connection>, bool)> {
        let found = self.queue.take();
        let members = self.members.lock();
        let live = found.into_iter().filter_map(|found| {
            let guest = members.live.get(&found.token)?;
            Some((guest.connection.upgrade()?, found.ended))
        });
        let ready = live
            .enumerate()
            .map(|(place, (connection, ended))| (connection, !ended && place < READS_PER_POLL));
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

    /// Charges a token with KiB after KiB until it may stay no longer; how many.
    fn stays(members: &mut Members, token: usize, now: Duration) -> usize {
        (0..ALLOWANCE)
            .take_while(|_| members.charge(token, 1 << 10, TurnOutput::Some, now))
            .count()
    }

    #[test]
    fn a_guest_has_its_allowance_again_with_the_next_period() {
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
    fn a_busy_guest_drives_no_other_away() {
        let mut members = members(4);
        let now = Duration::ZERO;
        assert_eq!(stays(&mut members, 1, now), ALLOWANCE >> 10);
        // The others still have their part.
        for quiet in 2..=4 {
            assert_eq!(stays(&mut members, quiet, now), ALLOWANCE >> 12);
        }
    }

    #[test]
    fn what_has_left_is_still_charged() {
        let mut members = members(LOOP_SOCKETS_MAX);
        stays(&mut members, 1, Duration::ZERO);
        members.live.remove(&1);
        assert!(!members.has_room(Duration::ZERO));
        assert!(!members.charge(1, 0, TurnOutput::Some, Duration::ZERO));
    }

    #[test]
    fn a_turn_without_news_costs_more_than_its_bytes() {
        let mut members = members(1);
        let turns = (0..ALLOWANCE)
            .take_while(|_| members.charge(1, 100, TurnOutput::None, Duration::ZERO))
            .count();
        assert!((200..=256).contains(&turns), "{turns}");
    }
}
