//! Deadlines of streams: for negotiation and for lingering after a local close.

use std::collections::VecDeque;
use std::time::Duration;

use ferroswarm_proto::muxer::{StreamErrorCode, StreamKey};

use crate::connection::Connection;
use crate::connection::link::StreamLink;
use crate::error::StreamFault;
use crate::sync::Arc;

use super::{Entry, Streams};

/// Minimum number of deadlines before a queue is swept.
const DEADLINES_MIN: usize = 64;

/// Deadline of a stream.
#[derive(Clone, Copy)]
struct Deadline {
    at: Duration,
    key: StreamKey,
    serial: u64,
}

/// Deadlines of one kind, oldest first: the timeout is the same for all streams.
#[derive(Default)]
pub(super) struct Deadlines(VecDeque<Deadline>);

impl Deadlines {
    fn next(&self) -> Option<Duration> {
        self.0.front().map(|deadline| deadline.at)
    }

    fn pop_due(&mut self, now: Duration) -> Option<Deadline> {
        self.0.pop_front_if(|deadline| deadline.at <= now)
    }

    /// Adds a deadline, after sweeping those of removed streams if they may outnumber the live
    /// ones.
    fn push(&mut self, entries: &[Option<Entry>], deadline: Deadline) {
        if self.0.len() > 2 * entries.len() + DEADLINES_MIN {
            self.0.retain(|known| {
                let entry = entries.get(known.key.0 as usize).and_then(Option::as_ref);
                entry.is_some_and(|entry| entry.serial == known.serial)
            });
        }
        self.0.push_back(deadline);
    }
}

impl Streams {
    /// Returns the earliest deadline of a stream.
    pub(in crate::connection) fn next_deadline(&self) -> Option<Duration> {
        let lingering = self.lingering.next();
        self.negotiating.next().into_iter().chain(lingering).min()
    }

    /// Handles the stream deadlines due at `now`.
    pub(in crate::connection) fn handle_deadlines(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Connection,
        now: Duration,
    ) {
        while let Some(deadline) = self.negotiating.pop_due(now) {
            self.negotiation_expired(&deadline);
        }
        while let Some(deadline) = self.lingering.pop_due(now) {
            self.linger_expired(link, connection, deadline, now);
        }
    }

    /// Sets the deadline for the negotiation of a stream.
    pub(super) fn set_negotiation_deadline(&mut self, key: StreamKey, serial: u64, at: Duration) {
        let deadline = Deadline { at, key, serial };
        self.negotiating.push(&self.entries, deadline);
    }

    /// Sets a deadline for the remote to finish a stream that was closed locally.
    pub(super) fn linger(
        &mut self,
        connection: &Connection,
        key: StreamKey,
        unsent: usize,
        now: Duration,
    ) {
        let Some(entry) = self.entry(key) else { return };
        if !std::mem::replace(&mut entry.lingers, true) {
            entry.unsent = unsent;
            let serial = entry.serial;
            let at = now + connection.limits.linger_timeout;
            self.lingering
                .push(&self.entries, Deadline { at, key, serial });
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

    /// Handles a remote that has not ended its half in time; it gets more time if it has taken some
    /// of our unsent bytes.
    fn linger_expired(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Connection,
        deadline: Deadline,
        now: Duration,
    ) {
        let Some(entry) = self.entry(deadline.key) else {
            return;
        };
        if entry.serial != deadline.serial {
            return;
        }
        let (unsent, finished) = entry.slot.unsent();
        if unsent < std::mem::replace(&mut entry.unsent, unsent) {
            let at = now + connection.limits.linger_timeout;
            self.lingering
                .push(&self.entries, Deadline { at, ..deadline });
        } else if finished {
            link.reset(deadline.key, StreamErrorCode::GarbageCollected as u32);
            self.remove(link, connection, deadline.key);
        } else {
            let slot = Arc::clone(&entry.slot);
            slot.abandon(StreamErrorCode::GarbageCollected as u32);
        }
    }
}
