//! Notifications of a stream: those already delivered to JavaScript, and those pending.

use ferroswarm_proto::multistream::ProtocolId;

use crate::registry::Handle;

/// Set of pending notifications.
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
    /// The remote has agreed to the only proposal, and JavaScript waits for the answer.
    pub(crate) const ANSWERED: Self = Self(128);

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Removes `other`; returns whether it was set.
    const fn remove(&mut self, other: Self) -> bool {
        let had = self.contains(other);
        self.0 &= !other.0;
        had
    }
}

/// Notification state of a stream.
///
/// Notifications are ordered: a protocol query, if any; the announcement of the stream; its events;
/// its end, after which none follows.
#[derive(Default)]
pub(super) struct Notifications {
    handle: Option<Handle>,
    pending: Pending,
    /// Whether the slot is in the hub's ready list.
    queued: bool,
    /// Protocol that JavaScript is queried about, or has accepted.
    queried: Option<ProtocolId>,
    /// Whether the stream counts towards the accept backlog.
    unaccepted: bool,
    /// The stream was announced to JavaScript, which will be notified of its end.
    announced: bool,
    /// The end has been recorded; no event follows it.
    finished: bool,
}

impl Notifications {
    /// State of a stream opened by JavaScript.
    pub(super) fn opened_locally() -> Self {
        Self {
            announced: true,
            ..Self::default()
        }
    }

    /// State of a stream opened by the remote.
    pub(super) fn opened_by_remote() -> Self {
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

    /// Marks the stream as announced to JavaScript.
    pub(super) const fn announce(&mut self) {
        self.announced = true;
    }

    pub(super) const fn is_announced(&self) -> bool {
        self.announced
    }

    /// Records a query about `name`; returns whether it is due.
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

    /// Withdraws a query that JavaScript has declined.
    pub(super) fn withdraw_query(&mut self) {
        self.queried = None;
    }

    /// Adds `event` unless it precedes the announcement or follows the end; returns whether the
    /// slot must be queued.
    #[must_use]
    pub(super) fn add(&mut self, event: Pending) -> bool {
        // Before the announcement, JavaScript is notified only of a query and of the end after it.
        let queried = self.queried.is_some() || self.handle.is_some();
        let known =
            self.announced || (queried && (event == Pending::QUERIED || event == Pending::CLOSED));
        let over = self.finished && event != Pending::CLOSED;
        if !known || over {
            return false;
        }
        self.pending.insert(event);
        !std::mem::replace(&mut self.queued, true)
    }

    /// Returns whether a notification of `event` is pending.
    pub(super) const fn is_pending(&self, event: Pending) -> bool {
        self.pending.contains(event)
    }

    /// Takes `event`; returns whether it was pending.
    pub(super) const fn take(&mut self, event: Pending) -> bool {
        self.pending.remove(event)
    }

    /// Records that the slot has left the ready list: the next event queues it again.
    pub(super) const fn begin_drain(&mut self) {
        self.queued = false;
    }

    /// Frees the place in the accept backlog; returns whether there was one.
    pub(super) const fn take_place(&mut self) -> bool {
        std::mem::replace(&mut self.unaccepted, false)
    }

    /// Records the end: no event follows except `CLOSED`.
    pub(super) const fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }
}
