//! A stream shared between JavaScript and its connection: state, two bounded pipes and pending
//! notifications.
//!
//! The lock is fine-grained and never held while bytes are sealed or opened. JavaScript's calls
//! change the state and the pipes at once and post the slot to its connection's outbox; the
//! connection, under its own lock, collects it from there and sends. Lock order: connection,
//! outbox, slot, hub. The slot's is released before the slot is posted to the outbox.

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

use ferroswarm_proto::multistream::{Answer, ProtocolId};
use ferroswarm_proto::muxer::StreamKey;
use ferroswarm_proto::stream::{Agreement, State, StreamState};

use crate::connection::{Direction, Negotiation};
use crate::error::StreamFault;
use crate::handlers::Handler;
use crate::hub::Ready;
use crate::resources::{Refusal, ScopeId, StreamScope};
use crate::sync::{Arc, Mutex, MutexGuard};

use self::notifications::{Notifications, Pending};
use self::reader::Reader;
use self::writer::Writer;

pub(crate) use self::carrier::Carrier;
pub(crate) use self::turn::{LocalEnd, Place, Turn};

/// Protocols to propose when the connection opens the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposals {
    /// No negotiation: all bytes are the caller's.
    Raw,
    /// One protocol, negotiated lazily: the stream is usable at once.
    Lazy(u32),
    /// Several protocols in order of preference; the stream is usable once one is agreed on.
    AnyOf(Box<[u32]>),
}

impl Proposals {
    /// Numbers of the protocols, in order of preference.
    pub(crate) fn protocols(&self) -> &[u32] {
        match self {
            Self::Raw => &[],
            Self::Lazy(protocol) => std::slice::from_ref(protocol),
            Self::AnyOf(protocols) => protocols,
        }
    }
}

/// Report of a stream's reset: its origin, and the bytes lost with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResetReport {
    /// Error code as on the wire.
    pub code: u32,
    /// Whether the remote sent it.
    pub remote: bool,
    /// Whether the connection caused it, by its end or its close.
    pub connection_lost: bool,
    /// Whether that connection was closed by either side without an error.
    pub orderly: bool,
    /// Whether accepted bytes or a requested FIN were not sent.
    pub unsent: bool,
    /// Whether received bytes were not read.
    pub unread: bool,
    /// Set if the state is ERROR.
    pub fault: Option<StreamFault>,
}

/// Output of a foreign stream for its muxer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Number of bytes to send.
    pub bytes: usize,
    /// More bytes are waiting.
    pub more: bool,
    /// FIN follows the bytes.
    pub fin: bool,
    /// The stream is no longer read.
    pub discard: bool,
    /// Reset the stream with this code.
    pub reset: Option<u32>,
    /// Received, unread bytes.
    pub held: usize,
}

/// Commands from JavaScript for the wire, besides bytes and FIN.
#[derive(Debug, Default)]
struct Commands {
    /// Acknowledge the inbound stream, which JavaScript has been notified of.
    accept: bool,
    reset: Option<u32>,
    /// The reset follows the bytes written before, as far as there is credit for them.
    reset_is_behind: bool,
    discard: bool,
    /// JavaScript's answer to a protocol query.
    answer: Option<Answer<Handler>>,
}

/// Registration of a stream with the muxer.
enum Wire {
    /// Not opened yet. The connection takes over the negotiation when it opens the stream.
    Unopened(Option<Box<Negotiation>>),
    /// Registered with the engine under this key.
    Open(StreamKey),
    /// Not registered with an engine, and never will be.
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

/// State of a stream under its lock. Both JavaScript's calls and the wire change the permitted
/// calls (`state`) and the output still due (`write`).
struct Inner {
    /// State that determines the permitted calls.
    state: StreamState,
    read: Reader,
    write: Writer,
    wire: Wire,
    commands: Commands,
    /// Whether the slot is in the connection's outbox or its ring.
    outgoing: bool,
    protocol: u32,
    notifications: Notifications,
    /// Report of its reset or failure.
    reset: Option<ResetReport>,
    /// Accepted bytes or a requested FIN were dropped at the end of the stream.
    unsent: bool,
    /// Scope to which it is charged. None for a stream over a muxer of the application.
    scope: Option<StreamScope>,
    /// Refusal by which it has failed, until JavaScript takes it.
    refusal: Option<Box<Refusal>>,
}

impl Inner {
    fn new(state: State, wire: Wire, agreement: Agreement, notifications: Notifications) -> Self {
        Self {
            state: StreamState::new(state),
            read: Reader::default(),
            write: Writer::new(agreement),
            wire,
            commands: Commands::default(),
            outgoing: false,
            protocol: 0,
            notifications,
            reset: None,
            unsent: false,
            scope: None,
            refusal: None,
        }
    }

    /// Closes the scope of a stream that is over. An inbound one counts until it has left the wire
    /// too, as its remote decides when; an outbound one, until it has ended here.
    fn release_scope(&mut self, direction: Direction, carrier: &Carrier) {
        let is_over = self.notifications.is_finished();
        if is_over && (direction == Direction::Outbound || self.wire.key().is_none()) {
            self.close_scope(carrier);
        }
    }

    fn close_scope(&mut self, carrier: &Carrier) {
        if let Some(scope) = self.scope.take() {
            let growth = scope.window_growth();
            // Its reservation must be gone when the connection is charged for bytes instead.
            drop(scope);
            carrier.sub_window_growth(growth);
        }
    }
}

/// A stream shared between JavaScript and its connection or foreign muxer.
pub struct StreamSlot {
    pub(crate) carrier: Carrier,
    /// Side that opened the stream.
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
    fn notify(self: &Arc<Self>, inner: &mut Inner, event: Pending) {
        if inner.notifications.add(event) {
            self.carrier.hub().queue(Ready::Stream(Arc::clone(self)));
        }
    }

    /// Frees the backlog place of an inbound stream that JavaScript was notified of, or never will
    /// be, and schedules the acknowledgement for its next turn. Returns whether it was unaccepted
    /// before.
    fn release_place(&self, inner: &mut Inner) -> bool {
        let unaccepted = inner.notifications.take_place();
        if unaccepted {
            inner.commands.accept = true;
            self.carrier.release_place();
        }
        unaccepted
    }

    /// Finishes the stream: no further events follow, it leaves the counts, and `closed` is queued.
    fn finish(self: &Arc<Self>, inner: &mut Inner) {
        inner.notifications.finish();
        inner.read.disarm();
        inner.write.disarm();
        inner.release_scope(self.direction, &self.carrier);
        self.carrier.stream_finished(self.direction);
        self.notify(inner, Pending::CLOSED);
    }

    /// Charges the stream to its protocol and, if it has one, to its service.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn charge_to(
        &self,
        protocol: &ProtocolId,
        service: Option<&ProtocolId>,
    ) -> Result<(), Refusal> {
        match &self.lock().scope {
            Some(scope) => scope.set_protocol(protocol, service),
            None => Ok(()),
        }
    }

    /// Keeps the refusal by which the stream is about to fail.
    pub(crate) fn keep_refusal(&self, refusal: Refusal) {
        self.lock().refusal = Some(Box::new(refusal));
    }

    /// Takes the refusal by which the stream has failed.
    pub(crate) fn take_refusal(&self) -> Option<Refusal> {
        self.lock().refusal.take().map(|refusal| *refusal)
    }

    /// Scope to which it is charged, while it is.
    pub(crate) fn scope(&self) -> Option<ScopeId> {
        self.lock().scope.as_ref().map(StreamScope::id)
    }

    /// Compacts the partly read pipe; returns the memory still charged.
    pub(crate) fn compact(&self) -> usize {
        let mut inner = self.lock();
        inner.read.compact(&self.carrier);
        inner.read.charged()
    }

    fn stop_reading(&self, inner: &mut Inner) {
        inner.commands.discard = true;
        inner.read.clear(&self.carrier);
    }

    fn drop_pipes(&self, inner: &mut Inner) {
        inner.read.clear(&self.carrier);
        inner.write.cut(&self.carrier);
    }

    /// Posts the slot to the connection's outbox; returns whether it was not there yet.
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
    /// Removes unread and unsent bytes from the counts of the connection.
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        inner.read.release(&self.carrier);
        inner.write.release(&self.carrier);
        inner.close_scope(&self.carrier);
    }
}
