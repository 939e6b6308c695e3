//! The streams of a session: their state, by key and by id.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use crate::muxer::{StreamKey, WINDOW_INITIAL};

use super::flow::ReceiveWindow;
use super::frame::Flags;

/// One stream.
///
/// ```text
///              SYN sent                 ACK received
///   SynDue ────────────> AwaitingAck ────────────────> Established      outbound
///   Unaccepted ────────> AckDue ─────────────────────> Established      inbound
///               accept            ACK sent
///
///   Open ──reset──> ResetDue ──RST sent──> Over
///   Open ──RST received, or FIN both ways──> Over
/// ```
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) opening: Opening,
    pub(super) ending: Ending,
    pub(super) read: Read,
    pub(super) write: Write,
    pub(super) origin: Origin,
    /// The caller has removed the entry.
    pub(super) removed: bool,
    /// Bytes that we may send.
    pub(super) credit: u32,
    pub(super) window: ReceiveWindow,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    Inbound,
    Outbound,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Opening {
    /// No frame of it has been sent.
    SynDue,
    AwaitingAck,
    /// Counts against the backlog.
    Unaccepted,
    /// The next frame carries the acknowledgement.
    AckDue,
    Established,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Open,
    ResetDue(u32),
    /// No more frames are sent for it, and its id is free.
    Over,
}

/// The half that the remote writes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Read {
    Open,
    /// Closed locally: incoming data is dropped and credited.
    Discarding,
    Finished,
}

/// The half that we write.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Write {
    Open,
    Finished,
}

impl Stream {
    pub(super) const fn new(id: u32, origin: Origin, now: Duration) -> Self {
        Self {
            id,
            opening: match origin {
                Origin::Inbound => Opening::Unaccepted,
                Origin::Outbound => Opening::SynDue,
            },
            ending: Ending::Open,
            read: Read::Open,
            write: Write::Open,
            origin,
            removed: false,
            credit: WINDOW_INITIAL,
            window: ReceiveWindow::new(now),
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.ending, Ending::Open)
    }

    /// Outbound, and counted until the remote acknowledges it.
    pub(super) const fn is_unacked(&self) -> bool {
        matches!(self.opening, Opening::SynDue | Opening::AwaitingAck)
    }

    /// Takes the opening flag, SYN or ACK, that the next frame must carry.
    pub(super) const fn take_opening_flag(&mut self) -> Flags {
        match self.opening {
            Opening::SynDue => {
                self.opening = Opening::AwaitingAck;
                Flags::SYN
            }
            Opening::AckDue => {
                self.opening = Opening::Established;
                Flags::ACK
            }
            Opening::AwaitingAck | Opening::Unaccepted | Opening::Established => Flags::NONE,
        }
    }
}

/// All entries of a session: a slab by key, a map by id, and the queues of due frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Slot>,
    free: Vec<StreamKey>,
    /// Ids of the streams that are not over.
    ids: HashMap<u32, StreamKey, BuildHasherDefault<IdHasher>>,
    /// Result of the last lookup: frames of a stream come in runs.
    last: Option<(u32, StreamKey)>,
    /// Slots with control frames to send, each at most once.
    due: VecDeque<StreamKey>,
    /// Slots of accepted streams that have not sent their acknowledgement, each at most once.
    unacknowledged: Vec<StreamKey>,
    /// Number of streams that owe an acknowledgement.
    owed: u32,
    inbound: u32,
    outbound: u32,
}

/// The marks mirror membership in the queues, so they outlive the stream.
#[derive(Clone, Debug, Default)]
struct Slot {
    stream: Option<Stream>,
    is_due: bool,
    is_unacknowledged: bool,
}

impl Streams {
    pub(super) fn insert(&mut self, stream: Stream) -> StreamKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // There are as many slots as live streams, which the limits keep far below 2^32.
            StreamKey((self.slots.len() - 1) as u32)
        });
        self.ids.insert(stream.id, key);
        *self.count(stream.origin) += 1;
        self.slots[key.index()].stream = Some(stream);
        key
    }

    /// Number of inbound streams with a slot.
    pub(super) const fn inbound(&self) -> u32 {
        self.inbound
    }

    /// Number of outbound streams with a slot.
    pub(super) const fn outbound(&self) -> u32 {
        self.outbound
    }

    const fn count(&mut self, origin: Origin) -> &mut u32 {
        match origin {
            Origin::Inbound => &mut self.inbound,
            Origin::Outbound => &mut self.outbound,
        }
    }

    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.slots.get(key.index())?.stream.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.slots.get_mut(key.index())?.stream.as_mut()
    }

    pub(super) fn find(&mut self, id: u32) -> Option<StreamKey> {
        if let Some((last, key)) = self.last
            && last == id
        {
            return Some(key);
        }
        let key = *self.ids.get(&id)?;
        self.last = Some((id, key));
        Some(key)
    }

    /// Releases `id`: frames with it no longer find the stream.
    pub(super) fn release_id(&mut self, id: u32) {
        self.ids.remove(&id);
        if self.last.is_some_and(|(last, _)| last == id) {
            self.last = None;
        }
    }

    /// Frees the slot of a stream whose id has been released.
    pub(super) fn take(&mut self, key: StreamKey) -> Option<Stream> {
        let stream = self.slots.get_mut(key.index())?.stream.take()?;
        if stream.opening == Opening::AckDue {
            self.owed -= 1;
        }
        *self.count(stream.origin) -= 1;
        self.free.push(key);
        Some(stream)
    }

    pub(super) fn mark_due(&mut self, key: StreamKey) {
        if let Some(slot) = self.slots.get_mut(key.index())
            && !std::mem::replace(&mut slot.is_due, true)
        {
            self.due.push_back(key);
        }
    }

    pub(super) fn pop_due(&mut self) -> Option<StreamKey> {
        let key = self.due.pop_front()?;
        self.slots[key.index()].is_due = false;
        Some(key)
    }

    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Returns the number of marked streams.
    pub(super) fn mark_unacknowledged(&mut self, key: StreamKey) -> usize {
        self.owed += 1;
        if let Some(slot) = self.slots.get_mut(key.index())
            && !std::mem::replace(&mut slot.is_unacknowledged, true)
        {
            self.unacknowledged.push(key);
        }
        self.unacknowledged.len()
    }

    /// Whether an acknowledgement waits for a frame to carry it.
    pub(super) const fn owes_acknowledgements(&self) -> bool {
        self.owed > 0
    }

    /// Records that a frame has carried an acknowledgement.
    pub(super) const fn acknowledged(&mut self) {
        self.owed -= 1;
    }

    /// Queues separate frames for the acknowledgements that no other frame has carried.
    pub(super) fn flush_unacknowledged(&mut self) {
        while let Some(key) = self.unacknowledged.pop() {
            self.slots[key.index()].is_unacknowledged = false;
            if self
                .get(key)
                .is_some_and(|stream| stream.opening == Opening::AckDue)
            {
                self.mark_due(key);
            }
        }
    }
}

/// Spreads stream ids over a table.
///
/// Live ids are few, so a remote that chooses colliding ones slows lookups only a little; a keyed
/// hash would need randomness.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        // 2^64 over the golden ratio; the table uses the top and the bottom bits.
        let product = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }
}
