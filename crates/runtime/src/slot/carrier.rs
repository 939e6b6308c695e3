//! Carrier of a stream: a native connection or a muxer in JavaScript.

use crate::connection::{Connection, Direction};
use crate::hub::{Hub, Ready};
use crate::sync::{Arc, AtomicUsize, Ordering};

use super::StreamSlot;

/// Carrier of a stream.
pub(crate) enum Carrier {
    Connection(Arc<Connection>),
    /// A muxer in JavaScript. Counters cover this stream only; limits are up to that muxer.
    Foreign {
        hub: Arc<Hub>,
        unsealed: AtomicUsize,
    },
}

impl Carrier {
    /// Hub of the environment that reads and writes the stream.
    pub(crate) fn hub(&self) -> &Arc<Hub> {
        match self {
            Self::Connection(connection) => &connection.hub,
            Self::Foreign { hub, .. } => hub,
        }
    }

    /// The native connection, if any.
    pub(crate) const fn connection(&self) -> Option<&Arc<Connection>> {
        match self {
            Self::Connection(connection) => Some(connection),
            Self::Foreign { .. } => None,
        }
    }

    /// Bytes written but not yet sealed, across all streams of the carrier.
    pub(crate) fn unsealed(&self) -> usize {
        match self {
            Self::Connection(connection) => connection.unsealed(),
            Self::Foreign { unsealed, .. } => unsealed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn add_unsealed(&self, bytes: usize) {
        match self {
            Self::Connection(connection) => connection.add_unsealed(bytes),
            Self::Foreign { unsealed, .. } => {
                unsealed.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn sub_unsealed(&self, bytes: usize) {
        match self {
            Self::Connection(connection) => connection.sub_unsealed(bytes),
            Self::Foreign { unsealed, .. } => {
                unsealed.fetch_sub(bytes, Ordering::Relaxed);
            }
        }
    }

    /// Returns whether the connection may hold no more memory: its streams then write no more than
    /// their share.
    pub(crate) fn lacks_memory(&self) -> bool {
        match self {
            Self::Connection(connection) => connection.lacks_memory(),
            Self::Foreign { .. } => false,
        }
    }

    /// Whether streams keep what was unread at their end.
    pub(crate) fn keeps_unread(&self) -> bool {
        self.connection()
            .is_some_and(|connection| connection.keeps_unread())
    }

    pub(crate) fn add_held(&self, bytes: usize) {
        if let Self::Connection(connection) = self {
            connection.add_held(bytes);
        }
    }

    pub(crate) fn sub_held(&self, bytes: usize) {
        if let Self::Connection(connection) = self {
            connection.sub_held(bytes);
        }
    }

    pub(crate) fn sub_window_growth(&self, bytes: usize) {
        if let Self::Connection(connection) = self
            && bytes > 0
        {
            connection.sub_window_growth(bytes);
        }
    }

    pub(crate) fn add_awaiting(&self, bytes: usize) {
        if let Self::Connection(connection) = self {
            connection.add_awaiting(bytes);
        }
    }

    pub(crate) fn sub_awaiting(&self, bytes: usize) {
        if let Self::Connection(connection) = self {
            connection.sub_awaiting(bytes);
        }
    }

    /// Posts a stream with pending output.
    pub(crate) fn post(&self, slot: Arc<StreamSlot>) {
        match self {
            Self::Connection(connection) => connection.post(slot),
            Self::Foreign { hub, .. } => hub.queue(Ready::Outgoing(slot)),
        }
    }

    /// Has posted output handled without waiting for a flush.
    pub(crate) fn kick(&self) {
        match self {
            Self::Connection(connection) => connection.kick(),
            Self::Foreign { hub, .. } => hub.announce(),
        }
    }

    /// Releases an inbound stream's place in the accept backlog.
    pub(crate) fn release_place(&self) {
        if let Self::Connection(connection) = self {
            connection.release_place();
        }
    }

    /// Counts a stream that has ended for JavaScript.
    pub(crate) fn stream_finished(&self, direction: Direction) {
        match self {
            Self::Connection(connection) => connection.stream_finished(direction),
            Self::Foreign { hub, .. } => hub.stats.streams_closed.add(1),
        }
    }
}
