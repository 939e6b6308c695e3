//! One stream as both sides see it: its state, its two bounded pipes and its pending bits.
//!
//! The lock is small and never held while bytes are sealed or opened. JavaScript's calls change the
//! state and the pipes at once and put the slot into its connection's outbox; the connection, under
//! its own lock, takes from there what goes on the wire. Lock order: connection, outbox, slot, hub;
//! no two of the last three are held together by this file.

mod asked;
mod calls;
mod carrier;
mod foreign;
mod opening;
mod records;
mod turn;
mod wire;

use ferroswarm_proto::framing::Framing;
use ferroswarm_proto::multistream::{Answer, ProtocolId};
use ferroswarm_proto::muxer::StreamKey;
use ferroswarm_proto::stream::{Pipe, State, StreamState};

use crate::config::{SEND_PIPE_MAX, UNSEALED_MAX, UNSEALED_SHARE};
use crate::connection::{Connection, Direction, Negotiation};
use crate::error::StreamFault;
use crate::handlers::Handler;
use crate::hub::Ready;
use crate::registry::Handle;
use crate::sync::{Arc, Mutex, MutexGuard};

pub(crate) use self::carrier::Carrier;
pub(crate) use self::turn::{LocalEnd, Place, Turn};

/// Facts that JavaScript has not been told yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pending(u8);

impl Pending {
    pub(crate) const OPENED: Self = Self(1);
    pub(crate) const SETTLED: Self = Self(2);
    pub(crate) const READABLE: Self = Self(4);
    pub(crate) const WRITABLE: Self = Self(8);
    pub(crate) const RESET: Self = Self(16);
    pub(crate) const CLOSED: Self = Self(32);
    pub(crate) const ASKED: Self = Self(64);
    /// The remote has agreed to the only proposal, and JavaScript waits for that.
    pub(crate) const ANSWERED: Self = Self(128);

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Removes `other`; tells whether it was there.
    pub(crate) const fn remove(&mut self, other: Self) -> bool {
        let had = self.contains(other);
        self.0 &= !other.0;
        had
    }
}

/// How far our end of the stream has been announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinState {
    Open,
    Wanted,
    Sent,
    /// Never: the stream was forgotten here without a word.
    Withheld,
}

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

/// What of a stream has to go on the wire besides bytes.
#[derive(Debug, Default)]
struct Orders {
    open: Option<Proposals>,
    /// The inbound stream was taken: the remote may have its acknowledgement.
    accept: bool,
    reset: Option<u32>,
    discard: bool,
    /// JavaScript's answer to what it was asked.
    answer: Option<Answer<Handler>>,
    /// Bytes that JavaScript has read since the connection last gave credit for them.
    consumed: u32,
}

struct Inner {
    state: StreamState,
    handle: Option<Handle>,
    pending: Pending,
    /// Stands in the hub's ready list.
    queued: bool,
    /// Stands in the connection's outbox or its ring.
    outgoing: bool,
    /// The engine's name for it; none before it is opened and after it is forgotten.
    key: Option<StreamKey>,
    protocol: u32,
    settle_fault: Option<StreamFault>,
    recv: Pipe,
    /// Memory of `recv` that its connection is charged for.
    charged: usize,
    send: Pipe,
    /// Bytes received and sent so far, those of the negotiation included.
    received: u64,
    sent: u64,
    read_armed: bool,
    write_armed: bool,
    remote_ended: bool,
    fin: FinState,
    orders: Orders,
    /// Consumed bytes at which credit is worth a frame: a quarter of the receive window.
    credit_step: u32,
    /// Received bytes counted as awaiting JavaScript.
    awaiting: usize,
    reset: Option<ResetReport>,
    /// What was accepted here was dropped with the end of the stream.
    unsent: bool,
    /// `closed` was queued; nothing is told after it.
    finished: bool,
    framing: Option<(Framing, usize)>,
    /// The dialler's negotiation until the connection takes it with the stream's opening.
    negotiation: Option<Box<Negotiation>>,
    /// JavaScript was given this stream and will be told of its end.
    announced: bool,
    /// Counts among the inbound streams that JavaScript has not taken.
    untaken: bool,
    /// The protocol that JavaScript is asked about, or that it has agreed to.
    asked: Option<ProtocolId>,
    /// Which of several protocols it speaks is open: no byte and no end of the caller's may pass
    /// the proposals.
    undecided: bool,
    /// The remote has not answered a single proposal: its end may have to wait for that
    /// ([`Connection::allow_early_fin`]).
    unanswered: bool,
    /// JavaScript has ended the writing half meanwhile, and waits for the answer.
    answer_awaited: bool,
}

/// A stream's place in the hub.
pub struct StreamSlot {
    pub(crate) carrier: Carrier,
    /// Who opened it.
    pub(crate) direction: Direction,
    inner: Mutex<Inner>,
}

/// First quarter of the initial window of 256 KiB.
const CREDIT_STEP_INITIAL: u32 = 64 << 10;

impl StreamSlot {
    fn new(connection: &Arc<Connection>, direction: Direction, state: State) -> Arc<Self> {
        Self::with(
            Carrier::Connection(Arc::clone(connection)),
            direction,
            state,
        )
    }

    fn with(carrier: Carrier, direction: Direction, state: State) -> Arc<Self> {
        Arc::new(Self {
            carrier,
            direction,
            inner: Mutex::new(Inner {
                state: StreamState::new(state),
                handle: None,
                pending: Pending::default(),
                queued: false,
                outgoing: false,
                key: None,
                protocol: 0,
                settle_fault: None,
                recv: Pipe::default(),
                charged: 0,
                send: Pipe::default(),
                received: 0,
                sent: 0,
                read_armed: false,
                write_armed: false,
                remote_ended: false,
                fin: FinState::Open,
                orders: Orders::default(),
                credit_step: CREDIT_STEP_INITIAL,
                awaiting: 0,
                reset: None,
                unsent: false,
                finished: false,
                framing: None,
                negotiation: None,
                announced: false,
                untaken: false,
                asked: None,
                undecided: false,
                unanswered: false,
                answer_awaited: false,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Sets a pending bit and queues the slot for JavaScript.
    fn tell(self: &Arc<Self>, inner: &mut Inner, fact: Pending) {
        // Before its announcement JavaScript knows a stream by a question only, and then of its end.
        let asked = inner.asked.is_some() || inner.handle.is_some();
        let known =
            inner.announced || (asked && (fact == Pending::ASKED || fact == Pending::CLOSED));
        let over = inner.finished && fact != Pending::CLOSED;
        if !known || over {
            return;
        }
        inner.pending.insert(fact);
        if !inner.queued {
            inner.queued = true;
            self.carrier.hub().queue(Ready::Stream(Arc::clone(self)));
        }
    }

    /// JavaScript was told of an inbound stream, or never will be: its place in the backlog is free, and
    /// the acknowledgement goes with its next turn. Tells whether it was untaken before.
    fn taken(&self, inner: &mut Inner) -> bool {
        let untaken = std::mem::take(&mut inner.untaken);
        if untaken {
            inner.orders.accept = true;
            self.carrier.taken();
        }
        untaken
    }

    /// Nothing happens to the stream any more: its place in the counts is free, and `closed` is told.
    fn finish(self: &Arc<Self>, inner: &mut Inner) {
        inner.finished = true;
        inner.read_armed = false;
        inner.write_armed = false;
        self.carrier.stream_finished(self.direction);
        self.tell(inner, Pending::CLOSED);
    }

    fn send_room(&self, inner: &Inner) -> usize {
        let held = inner.send.len();
        let unsealed = self.carrier.unsealed();
        let share = UNSEALED_SHARE.saturating_sub(held);
        SEND_PIPE_MAX
            .saturating_sub(held)
            .min(UNSEALED_MAX.saturating_sub(unsealed))
            .max(share)
    }

    /// Appends to the send pipe, whatever its room.
    fn push_send(&self, inner: &mut Inner, bytes: &[u8]) {
        let mut pool = self.carrier.hub().pool();
        inner.send.push(bytes, &mut pool);
        self.carrier.add_unsealed(bytes.len());
    }

    /// Charges the connection for the memory of what is unread, after every change of it.
    ///
    /// Memory and not bytes: a byte in a chunk of its own costs as much as hundreds.
    fn charge(&self, inner: &mut Inner) {
        let memory = if inner.recv.is_empty() {
            0
        } else {
            inner.recv.capacity_bytes()
        };
        let before = std::mem::replace(&mut inner.charged, memory);
        if memory > before {
            self.carrier.add_held(memory - before);
        } else if memory < before {
            self.carrier.sub_held(before - memory);
        }
    }

    /// Frees the memory that a reader has left behind in part; tells what the rest takes.
    pub(crate) fn compact(&self) -> usize {
        let mut inner = self.lock();
        inner.recv.compact(&mut self.carrier.hub().pool());
        self.charge(&mut inner);
        inner.charged
    }

    fn stop_reading(&self, inner: &mut Inner) {
        inner.orders.discard = true;
        self.settle_awaiting(inner);
        inner.recv.clear(&mut self.carrier.hub().pool());
        self.charge(inner);
    }

    /// Whether something was accepted here that is not sent yet.
    fn has_unsent(inner: &Inner) -> bool {
        !inner.send.is_empty() || inner.fin == FinState::Wanted
    }

    fn drop_pipes(&self, inner: &mut Inner) {
        self.settle_awaiting(inner);
        self.carrier.sub_unsealed(inner.send.len());
        let mut pool = self.carrier.hub().pool();
        inner.recv.clear(&mut pool);
        inner.send.clear(&mut pool);
        self.charge(inner);
    }

    /// Nothing of this slot awaits JavaScript any more.
    fn settle_awaiting(&self, inner: &mut Inner) {
        let awaiting = std::mem::take(&mut inner.awaiting);
        if awaiting > 0 {
            self.carrier.sub_awaiting(awaiting);
        }
    }

    /// Puts the slot into the connection's outbox; tells whether it was not there yet.
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
        self.carrier.sub_held(inner.charged);
        self.carrier.sub_unsealed(inner.send.len());
        let awaiting = std::mem::take(&mut inner.awaiting);
        if awaiting > 0 {
            self.carrier.sub_awaiting(awaiting);
        }
    }
}
