//! What JavaScript knows of a stream, and what it has still to be notified of.

use ferroswarm_proto::multistream::ProtocolId;

use crate::registry::Handle;

/// Facts that JavaScript has not been notified of yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pending(u8);

impl Pending {
    pub(crate) const OPENED: Self = Self(1);
    pub(crate) const NEGOTIATED: Self = Self(2);
    pub(crate) const READABLE: Self = Self(4);
    pub(crate) const WRITABLE: Self = Self(8);
    pub(crate) const RESET: Self = Self(16);
    pub(crate) const CLOSED: Self = Self(32);
    pub(crate) const QUERIED: Self = Self(64);
    /// The remote has agreed to the only proposal, and JavaScript waits for that.
    pub(crate) const ANSWERED: Self = Self(128);

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Removes `other`; returns whether it was there.
    const fn remove(&mut self, other: Self) -> bool {
        let had = self.contains(other);
        self.0 &= !other.0;
        had
    }
}

/// JavaScript's knowledge of one stream.
///
/// It comes in this order: a question about the protocol, if there is one; the announcement of the stream; the facts
/// of its life; its end, after which there is nothing.
#[derive(Default)]
pub(super) struct Notifications {
    handle: Option<Handle>,
    pending: Pending,
    /// Stands in the hub's ready list.
    queued: bool,
    /// The protocol that JavaScript is asked about, or that it has agreed to.
    queried: Option<ProtocolId>,
    /// Counts among the inbound streams that JavaScript has not taken.
    unaccepted: bool,
    /// JavaScript was given this stream and will be notified of its end.
    announced: bool,
    /// Its end is among the facts; none follows that.
    finished: bool,
}

impl Notifications {
    /// Those of a stream that JavaScript opens.
    pub(super) fn opened_here() -> Self {
        Self {
            announced: true,
            ..Self::default()
        }
    }

    /// Those of a stream that the remote opens.
    pub(super) fn opened_there() -> Self {
        Self {
            unaccepted: true,
            ..Self::default()
        }
    }

    pub(super) const fn handle(&self) -> Option<Handle> {
        self.handle
    }

    pub(super) const fn set_handle(&mut self, handle: Handle) {
        self.handle = Some(handle);
    }

    /// JavaScript is given the stream.
    pub(super) const fn announce(&mut self) {
        self.announced = true;
    }

    pub(super) const fn is_announced(&self) -> bool {
        self.announced
    }

    /// Notes the question about `name`; returns whether it is due.
    pub(super) fn query(&mut self, name: &ProtocolId) -> bool {
        let due = self.queried.is_none() && !self.finished;
        if due {
            self.queried = Some(name.clone());
        }
        due
    }

    pub(super) const fn queried(&self) -> Option<&ProtocolId> {
        self.queried.as_ref()
    }

    /// The question was answered with no.
    pub(super) fn withdraw_question(&mut self) {
        self.queried = None;
    }

    /// Adds `fact` if JavaScript knows the stream; returns whether the slot has to be queued for that.
    #[must_use]
    pub(super) fn add(&mut self, fact: Pending) -> bool {
        // Before its announcement JavaScript knows a stream by a question only, and then of its end.
        let queried = self.queried.is_some() || self.handle.is_some();
        let known =
            self.announced || (queried && (fact == Pending::QUERIED || fact == Pending::CLOSED));
        let over = self.finished && fact != Pending::CLOSED;
        if !known || over {
            return false;
        }
        self.pending.insert(fact);
        !std::mem::replace(&mut self.queued, true)
    }

    /// Whether JavaScript has still to be notified of `fact`.
    pub(super) const fn is_pending(&self, fact: Pending) -> bool {
        self.pending.contains(fact)
    }

    /// Takes `fact`; returns whether JavaScript has to be notified of it.
    pub(super) const fn take(&mut self, fact: Pending) -> bool {
        self.pending.remove(fact)
    }

    /// The slot has left the ready list: what is added from here on queues it again.
    pub(super) const fn begin_drain(&mut self) {
        self.queued = false;
    }

    /// Frees the place among the unaccepted streams; returns whether there was one.
    pub(super) const fn take_place(&mut self) -> bool {
        std::mem::replace(&mut self.unaccepted, false)
    }

    /// Nothing happens to the stream any more.
    pub(super) const fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }
}
