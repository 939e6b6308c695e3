//! What carries a stream: one of our connections, or a muxer in JavaScript.

use crate::connection::{Connection, Direction};
use crate::hub::{Hub, Ready};
use crate::sync::{Arc, AtomicUsize, Ordering};

use super::StreamSlot;

/// What a stream needs of what carries it.
pub(crate) enum Carrier {
    Connection(Arc<Connection>),
    /// A muxer in JavaScript. It counts for this stream alone, and its own bounds are its affair.
    Foreign {
        hub: Arc<Hub>,
        unsealed: AtomicUsize,
    },
}

impl Carrier {
    /// The hub of the environment that reads and writes the stream.
    pub(crate) fn hub(&self) -> &Arc<Hub> {
        match self {
            Self::Connection(connection) => &connection.hub,
            Self::Foreign { hub, .. } => hub,
        }
    }

    /// The connection, if it is ours.
    pub(crate) const fn connection(&self) -> Option<&Arc<Connection>> {
        match self {
            Self::Connection(connection) => Some(connection),
            Self::Foreign { .. } => None,
        }
    }

    fn unsealed_count(&self) -> &AtomicUsize {
        match self {
            Self::Connection(connection) => &connection.unsealed,
            Self::Foreign { unsealed, .. } => unsealed,
        }
    }

    /// Bytes written and not sealed, over all its streams.
    pub(crate) fn unsealed(&self) -> usize {
        self.unsealed_count().load(Ordering::Relaxed)
    }

    pub(crate) fn add_unsealed(&self, bytes: usize) {
        self.unsealed_count().fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub_unsealed(&self, bytes: usize) {
        self.unsealed_count().fetch_sub(bytes, Ordering::Relaxed);
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

    /// The stream has something for the wire.
    pub(crate) fn post(&self, slot: Arc<StreamSlot>) {
        match self {
            Self::Connection(connection) => connection.post(slot),
            Self::Foreign { hub, .. } => hub.queue(Ready::Outgoing(slot)),
        }
    }

    /// Sees to what is posted without waiting for a flush.
    pub(crate) fn kick(&self) {
        match self {
            Self::Connection(connection) => connection.kick(),
            Self::Foreign { hub, .. } => hub.announce(),
        }
    }

    /// An inbound stream no longer waits for JavaScript.
    pub(crate) fn taken(&self) {
        if let Self::Connection(connection) = self {
            connection.taken();
        }
    }

    /// A stream has ended for JavaScript.
    pub(crate) fn stream_finished(&self, direction: Direction) {
        match self {
            Self::Connection(connection) => connection.stream_finished(direction),
            Self::Foreign { hub, .. } => hub.stats.streams_closed.add(1),
        }
    }
}
