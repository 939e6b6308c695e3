//! The streams of a connection: who they are, whose turn it is to send, and by when they have to get somewhere.
//!
//! What carries them is a [`Link`], which every method that needs one is given.

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
use super::link::Link;

use self::deadlines::Deadlines;

pub(crate) use self::negotiation::Negotiation;
pub(super) use self::negotiation::outbound_slot;

/// The streams of one connection.
#[derive(Default)]
pub(super) struct Streams {
    /// By stream key.
    entries: Vec<Option<Entry>>,
    /// Streams with something to send, served in turn.
    ring: VecDeque<Arc<StreamSlot>>,
    /// Streams that wait for the acknowledgement of an earlier one, or for its end.
    unopened: VecDeque<Arc<StreamSlot>>,
    /// The link has had no place for one of them: the end of any stream may make one.
    crowded: bool,
    /// Inbound streams by the number of their protocol; as many entries as protocols are served.
    inbound_of: HashMap<u32, u32>,
    /// Streams in negotiation.
    negotiating: Deadlines,
    /// Streams closed here that the remote has to take the rest of or to end.
    lingering: Deadlines,
    next_serial: u64,
}

/// One stream on the wire.
struct Entry {
    slot: Arc<StreamSlot>,
    /// Boxed: streams are short in it and the entries of a connection stay, used or not.
    negotiation: Option<Box<Negotiation>>,
    outbound: bool,
    acked: bool,
    local_done: bool,
    remote_done: bool,
    /// Closed here, and has a deadline for what is left: the remote's half, or bytes it has to take.
    lingers: bool,
    /// Bytes that were unsent when that deadline was set.
    unsent: usize,
    /// Distinguishes the users of one key in the deadline queues.
    serial: u64,
}

impl Entry {
    /// An outbound stream that is new to the remote.
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

    /// An inbound stream that is new here.
    fn inbound(slot: Arc<StreamSlot>, negotiation: Option<Box<Negotiation>>, serial: u64) -> Self {
        Self {
            outbound: false,
            acked: true,
            ..Self::outbound(slot, negotiation, serial)
        }
    }

    /// Gives back the stream's place among those that wait: for an acknowledgement, or to be told of.
    fn release_counts(&self, connection: &Connection) {
        if self.outbound && !self.acked {
            connection.acknowledged();
        }
        self.slot.never_announced();
    }
}

impl Streams {
    /// Takes over the streams that were posted.
    pub(super) fn post(&mut self, slots: &mut VecDeque<Arc<StreamSlot>>) {
        self.ring.append(slots);
    }

    /// Whether streams wait for their turn.
    pub(super) fn has_orders(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Whether something that was written, or the end of a stream, waits to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        let mut entries = self.entries.iter().flatten();
        self.has_orders() || entries.any(|entry| entry.slot.owes_end())
    }

    /// Whether none is left, on the wire or on its way there.
    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_empty() && self.unopened.is_empty() && self.entries.iter().all(Option::is_none)
    }

    /// All of them, on the wire or on their way there: those that were closed in good order and have
    /// something to deliver, and the others.
    pub(super) fn by_draining(&self) -> (Vec<Arc<StreamSlot>>, Vec<Arc<StreamSlot>>) {
        let unopened = self.ring.iter().chain(&self.unopened);
        let unopened = unopened.filter(|slot| !slot.is_on_wire());
        let opened = self.entries.iter().flatten().map(|entry| &entry.slot);
        unopened
            .chain(opened)
            .cloned()
            .partition(|slot| slot.is_draining())
    }

    /// The remote takes no more streams: those that wait for their turn never get one.
    pub(super) fn open_no_more(&mut self) {
        self.ring.append(&mut self.unopened);
    }

    /// The connection has ended: all of them end as `lost`, those `posted` and not taken over too.
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

    /// Streams that wait to be opened, those given up and not forgotten yet included.
    #[cfg(test)]
    pub(super) fn unopened_count(&self) -> usize {
        self.unopened.len()
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

    /// Forgets the stream once neither side will say more and JavaScript has its end: until then its
    /// bytes are the connection's, and it ends with the connection.
    fn forget_if_done(&mut self, link: &mut Link, connection: &Connection, key: StreamKey) {
        if self
            .entry(key)
            .is_some_and(|entry| entry.local_done && entry.remote_done && entry.slot.is_finished())
        {
            self.forget(link, connection, key);
        }
    }

    /// Forgets the stream.
    fn forget(&mut self, link: &mut Link, connection: &Connection, key: StreamKey) {
        let entry = self.entries.get_mut(key.0 as usize);
        let Some(entry) = entry.and_then(Option::take) else {
            return;
        };
        link.remove(key);
        entry.slot.left_wire();
        entry.release_counts(connection);
        self.release_protocol(&entry);
        if entry.outbound && (!entry.acked || self.crowded) {
            self.reopen();
        }
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
    fn reopen(&mut self) {
        match self.unopened.pop_front() {
            Some(slot) => self.ring.push_back(slot),
            None => self.crowded = false,
        }
    }

    /// Puts a stream into the ring unless it stands there or in the outbox.
    fn requeue(&mut self, slot: &Arc<StreamSlot>) {
        if slot.enter_ring() {
            self.ring.push_back(Arc::clone(slot));
        }
    }
}
