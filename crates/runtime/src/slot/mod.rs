//! One stream as both sides see it: its state, its two bounded pipes and its pending bits.
//!
//! The lock is small and never held while bytes are sealed or opened. JavaScript's calls change the
//! state and the pipes at once and put the slot into its connection's outbox; the connection, under
//! its own lock, takes from there what goes on the wire. Lock order: connection, outbox, slot, hub;
//! no two of the last three are held together by this file.

mod calls;
mod carrier;
mod foreign;
mod notifications;
mod opening;
mod query;
mod reader;
mod records;
mod turn;
mod wire;
mod writer;

use ferroswarm_proto::multistream::Answer;
use ferroswarm_proto::muxer::StreamKey;
use ferroswarm_proto::stream::{Agreement, State, StreamState};

use crate::connection::{Direction, Negotiation};
use crate::error::StreamFault;
use crate::handlers::Handler;
use crate::hub::Ready;
use crate::sync::{Arc, Mutex, MutexGuard};

use self::notifications::{Notifications, Pending};
use self::reader::Reader;
use self::writer::Writer;

pub(crate) use self::carrier::Carrier;
pub(crate) use self::turn::{LocalEnd, Place, Turn};

/// Protocols to negotiate when the connection opens the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposals {
    /// No negotiation: the bytes are the caller's from the first one on.
    Raw,
    /// One protocol, negotiated lazily: usable at once.
    Lazy(u32),
    /// Several, in order of preference; the stream settles when one is chosen.
    AnyOf(Box<[u32]>),
}

/// Who gave the stream its reset, and what went with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResetReport {
    /// Error code as on the wire.
    pub code: u32,
    /// The remote sent it.
    pub remote: bool,
    /// It came with the end of the connection.
    pub connection_lost: bool,
    /// That connection was closed by one of its ends, without an error.
    pub orderly: bool,
    /// Bytes or an end that were accepted here were not sent.
    pub unsent: bool,
    /// Bytes that had arrived were not read.
    pub unread: bool,
    /// Set where the state is ERROR.
    pub fault: Option<StreamFault>,
}

/// What a foreign stream has for its muxer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Bytes to send.
    pub bytes: usize,
    /// There are more of them.
    pub more: bool,
    /// End-of-stream follows the bytes.
    pub fin: bool,
    /// Nobody reads any more.
    pub discard: bool,
    /// Reset it, with this code.
    pub reset: Option<u32>,
    /// Received bytes that nobody has read.
    pub held: usize,
}

/// Orders of JavaScript's for the wire, besides bytes and their end.
#[derive(Debug, Default)]
struct Orders {
    /// The inbound stream was taken: the remote may have its acknowledgement.
    accept: bool,
    reset: Option<u32>,
    discard: bool,
    /// JavaScript's answer to what it was asked.
    answer: Option<Answer<Handler>>,
}

/// Where the stream stands on the wire.
enum Wire {
    /// The connection has still to open it. The negotiation goes with it then.
    Unopened(Option<Box<Negotiation>>),
    /// The engine knows it by this key.
    Open(StreamKey),
    /// No engine knows it, or will.
    Off,
}

impl Wire {
    const fn key(&self) -> Option<StreamKey> {
        match self {
            Self::Open(key) => Some(*key),
            Self::Unopened(_) | Self::Off => None,
        }
    }
}

/// The life of a stream. JavaScript's calls and the wire change it, each of them both what callers may do (`state`) and
/// what the wire still owes them (`write`).
struct Inner {
    /// Which calls are allowed.
    state: StreamState,
    read: Reader,
    write: Writer,
    wire: Wire,
    orders: Orders,
    /// Stands in the connection's outbox or its ring.
    outgoing: bool,
    protocol: u32,
    notifications: Notifications,
    /// How it was reset, or failed.
    reset: Option<ResetReport>,
    /// Bytes or an end that were accepted here were dropped with the end of the stream.
    unsent: bool,
}

impl Inner {
    fn new(state: State, wire: Wire, agreement: Agreement, notifications: Notifications) -> Self {
        Self {
            state: StreamState::new(state),
            read: Reader::default(),
            write: Writer::new(agreement),
            wire,
            orders: Orders::default(),
            outgoing: false,
            protocol: 0,
            notifications,
            reset: None,
            unsent: false,
        }
    }
}

/// A stream's place in the hub.
pub struct StreamSlot {
    pub(crate) carrier: Carrier,
    /// Who opened it.
    pub(crate) direction: Direction,
    inner: Mutex<Inner>,
}

impl StreamSlot {
    fn new(carrier: Carrier, direction: Direction, inner: Inner) -> Arc<Self> {
        Arc::new(Self {
            carrier,
            direction,
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Sets a pending bit and queues the slot for JavaScript.
    fn notify(self: &Arc<Self>, inner: &mut Inner, fact: Pending) {
        if inner.notifications.add(fact) {
            self.carrier.hub().queue(Ready::Stream(Arc::clone(self)));
        }
    }

    /// JavaScript was notified of an inbound stream, or never will be: its place in the backlog is free, and
    /// the acknowledgement goes with its next turn. Returns whether it was unaccepted before.
    fn taken(&self, inner: &mut Inner) -> bool {
        let unaccepted = inner.notifications.take_place();
        if unaccepted {
            inner.orders.accept = true;
            self.carrier.taken();
        }
        unaccepted
    }

    /// Nothing happens to the stream any more: its place in the counts is free, and `closed` is told.
    fn finish(self: &Arc<Self>, inner: &mut Inner) {
        inner.notifications.finish();
        inner.read.disarm();
        inner.write.disarm();
        self.carrier.stream_finished(self.direction);
        self.notify(inner, Pending::CLOSED);
    }

    /// Frees the memory that a reader has left behind in part; returns the memory that the rest takes.
    pub(crate) fn compact(&self) -> usize {
        let mut inner = self.lock();
        inner.read.compact(&self.carrier);
        inner.read.charged()
    }

    fn stop_reading(&self, inner: &mut Inner) {
        inner.orders.discard = true;
        inner.read.clear(&self.carrier);
    }

    fn drop_pipes(&self, inner: &mut Inner) {
        inner.read.clear(&self.carrier);
        inner.write.cut(&self.carrier);
    }

    /// Puts the slot into the connection's outbox; returns whether it was not there yet.
    fn send_later(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) -> bool {
        let fresh = !inner.outgoing;
        inner.outgoing = true;
        drop(inner);
        if fresh {
            self.carrier.post(Arc::clone(self));
        }
        fresh
    }
}

impl Drop for StreamSlot {
    /// What nobody has read or sent leaves the counts of its connection.
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        inner.read.release(&self.carrier);
        inner.write.release(&self.carrier);
    }
}
