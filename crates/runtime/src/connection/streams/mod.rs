//! Streams of a connection: their entries, the order in which they send, and their deadlines.
//!
//! They are carried by a [`StreamLink`], which is passed to every method that needs it.

mod deadlines;
mod inbound;
mod negotiation;
mod outbound;
mod query;

use std::collections::{HashMap, VecDeque};

use ferroswarm_proto::muxer::StreamKey;

use crate::slot::{ResetReport, StreamSlot};
use crate::sync::Arc;

use super::Connection;
use super::link::StreamLink;

use self::deadlines::Deadlines;

pub(crate) use self::negotiation::Negotiation;
pub(super) use self::negotiation::outbound_slot;

/// The streams of one connection.
#[derive(Default)]
pub(super) struct Streams {
    /// By stream key.
    entries: Vec<Option<Entry>>,
    /// Streams with pending output, served round-robin.
    ring: VecDeque<Arc<StreamSlot>>,
    /// Streams waiting to be opened until an earlier one is acknowledged or ends.
    unopened: VecDeque<Arc<StreamSlot>>,
    /// The link has refused to open one of them for lack of room: the end of any stream may free
    /// some.
    link_full: bool,
    /// Number of inbound streams by protocol id; at most one entry per served protocol.
    inbound_of: HashMap<u32, u32>,
    /// Deadlines of streams in negotiation.
    negotiating: Deadlines,
    /// Deadlines of streams closed locally whose rest the remote has yet to take, or whose other
    /// half it has yet to end.
    lingering: Deadlines,
    next_serial: u64,
}

/// One stream on the wire.
struct Entry {
    slot: Arc<StreamSlot>,
    /// Boxed, because negotiation is short and entries stay allocated, used or not.
    negotiation: Option<Box<Negotiation>>,
    outbound: bool,
    acked: bool,
    local_done: bool,
    remote_done: bool,
    /// Closed locally, with a deadline for the remote to end its half or take the remaining bytes.
    lingers: bool,
    /// Unsent bytes when that deadline was set.
    unsent: usize,
    /// Distinguishes successive streams with the same key in the deadline queues.
    serial: u64,
}

impl Entry {
    /// Creates the entry of a new outbound stream.
    fn outbound(slot: Arc<StreamSlot>, negotiation: Option<Box<Negotiation>>, serial: u64) -> Self {
        Self {
            slot,
            negotiation,
            outbound: true,
            acked: false,
            local_done: false,
            remote_done: false,
            lingers: false,
            unsent: 0,
            serial,
        }
    }

    /// Creates the entry of a new inbound stream.
    fn inbound(slot: Arc<StreamSlot>, negotiation: Option<Box<Negotiation>>, serial: u64) -> Self {
        Self {
            outbound: false,
            acked: true,
            ..Self::outbound(slot, negotiation, serial)
        }
    }

    /// Releases the stream's place among the unacknowledged or unaccepted ones.
    fn release_counts(&self, connection: &Connection) {
        if self.outbound && !self.acked {
            connection.acknowledged();
        }
        self.slot.release_unannounced();
    }
}

impl Streams {
    /// Queues the posted streams.
    pub(super) fn post(&mut self, slots: &mut VecDeque<Arc<StreamSlot>>) {
        self.ring.append(slots);
    }

    /// Returns whether streams are waiting to be served.
    pub(super) fn has_queued(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Returns whether written bytes or FINs are waiting to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        let mut entries = self.entries.iter().flatten();
        self.has_queued() || entries.any(|entry| entry.slot.has_unsent_fin())
    }

    /// Returns whether no stream is left, opened or waiting to be.
    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_empty() && self.unopened.is_empty() && self.entries.iter().all(Option::is_none)
    }

    /// Partitions all streams, opened or waiting to be, into those closed for writing with output
    /// to deliver and the others.
    pub(super) fn partition_draining(&self) -> (Vec<Arc<StreamSlot>>, Vec<Arc<StreamSlot>>) {
        let unopened = self.ring.iter().chain(&self.unopened);
        let unopened = unopened.filter(|slot| !slot.is_on_wire());
        let opened = self.entries.iter().flatten().map(|entry| &entry.slot);
        unopened
            .chain(opened)
            .cloned()
            .partition(|slot| slot.is_draining())
    }

    /// Records that the remote accepts no more streams, and queues the unopened ones so that they
    /// end.
    pub(super) fn stop_opening(&mut self) {
        self.ring.append(&mut self.unopened);
    }

    /// Ends all streams with the report `lost` at the end of the connection, including the `posted`
    /// ones that were not collected.
    pub(super) fn end(
        &mut self,
        posted: VecDeque<Arc<StreamSlot>>,
        connection: &Connection,
        lost: ResetReport,
    ) {
        let entries = std::mem::take(&mut self.entries);
        for entry in entries.into_iter().flatten() {
            entry.release_counts(connection);
            entry.slot.end(lost);
        }
        let waiting = posted
            .into_iter()
            .chain(self.ring.drain(..))
            .chain(self.unopened.drain(..));
        for slot in waiting {
            slot.end(lost);
        }
    }

    /// Streams waiting to be opened, including abandoned ones that have not been removed yet.
    #[cfg(test)]
    pub(super) fn unopened_count(&self) -> usize {
        self.unopened.len()
    }

    /// Inbound streams on the wire.
    #[cfg(test)]
    pub(super) fn inbound_count(&self) -> u32 {
        let inbound = self.entries.iter().flatten();
        inbound.filter(|entry| !entry.outbound).count() as u32
    }

    fn entry(&mut self, key: StreamKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.0 as usize)?.as_mut()
    }

    fn insert(&mut self, key: StreamKey, entry: Entry) {
        let index = key.0 as usize;
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some(entry);
    }

    fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    /// Removes the stream once both halves are done and JavaScript has its end: until then its
    /// bytes count for the connection, and it ends with the connection.
    fn remove_if_done(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Connection,
        key: StreamKey,
    ) {
        if self
            .entry(key)
            .is_some_and(|entry| entry.local_done && entry.remote_done && entry.slot.is_finished())
        {
            self.remove(link, connection, key);
        }
    }

    /// Removes the stream.
    fn remove(&mut self, link: &mut dyn StreamLink, connection: &Connection, key: StreamKey) {
        let entry = self.entries.get_mut(key.0 as usize);
        let Some(entry) = entry.and_then(Option::take) else {
            return;
        };
        link.remove(key);
        entry.slot.removed_from_wire();
        entry.release_counts(connection);
        self.release_protocol(&entry);
        if entry.outbound && (!entry.acked || self.link_full) {
            self.reopen();
        }
    }

    /// Releases the stream's place among the inbound streams of its protocol.
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

    /// Queues the next unopened stream after an outbound stream was acknowledged or removed, or the
    /// remote has allowed more.
    pub(super) fn reopen(&mut self) {
        match self.unopened.pop_front() {
            Some(slot) => self.ring.push_back(slot),
            None => self.link_full = false,
        }
    }

    /// Adds a stream to the ring unless it is already there or in the outbox.
    fn requeue(&mut self, slot: &Arc<StreamSlot>) {
        if slot.enter_ring() {
            self.ring.push_back(Arc::clone(slot));
        }
    }
}
