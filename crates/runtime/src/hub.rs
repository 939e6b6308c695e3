//! Notifications for JavaScript: one ready list per environment, and the doorbell that announces
//! it.
//!
//! Producers (I/O threads, timers, inline writers) queue slots; the only consumer is the JavaScript
//! thread, through [`Environment::drain`](crate::Environment::drain). A slot is in the list at most
//! once, so the list is bounded by the number of slots and nothing is ever dropped from it.

use std::collections::VecDeque;
use std::sync::OnceLock;

use ferroswarm_proto::stream::{Chunk, ChunkPool, ChunkSource};

use crate::attempts::Attempts;
use crate::command::Completion;
use crate::config::AwaitingBounds;
use crate::connection::Connection;
use crate::diagnostics::{Diagnostic, Diagnostics, Fact, Pushed, Subject};
use crate::fed::PortEvents;
use crate::handlers::ProtocolNames;
use crate::loop_sockets::LoopSockets;
use crate::resources::Refusal;
use crate::slot::StreamSlot;
use crate::stats::HubStats;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};

/// Wakes the JavaScript thread. Called from any thread, at most once until the next drain.
pub trait Doorbell: Send + Sync {
    /// Requests a drain; returns at once.
    fn ring(&self);
}

/// One entry of the ready list.
pub(crate) enum Ready {
    /// A stream with pending bits.
    Stream(Arc<StreamSlot>),
    /// A foreign stream with output for its muxer.
    Outgoing(Arc<StreamSlot>),
    /// A connection that was just established.
    Opened(Arc<Connection>),
    /// A connection whose remote accepts no more streams, with the code of its GoAway; at most
    /// once.
    GoingAway(Arc<Connection>, u32),
    /// A connection that has ended; follows all its streams.
    Closed(Arc<Connection>),
    /// A pipe of JavaScript with pending notifications.
    Pipe(Arc<PortEvents>),
    /// Attempts of a dial in progress have failed.
    AttemptsFailed {
        node: u32,
        request: u32,
        attempts: Arc<Attempts>,
    },
    /// The other attempts of a dial whose connection follows.
    Raced {
        request: u32,
        attempts: Arc<Attempts>,
    },
    /// Questions of a node's gate wait to be taken.
    GateQuestions { node: u32 },
    /// Requests to the WebSocket listeners of a node wait to be taken.
    HttpRequests { node: u32 },
    /// A command has ended.
    Completion(Completion),
    /// A listener has ended.
    ListenerClosed { listener: u32 },
    /// Diagnostic facts are pending.
    Diagnostics,
}

/// The environment's pool of chunks, locked for a chunk at a time and never while bytes are copied.
pub(crate) struct SharedPool<'a>(&'a Mutex<ChunkPool>);

impl ChunkSource for SharedPool<'_> {
    fn take(&mut self, wanted: usize) -> Chunk {
        self.0.lock().take(wanted)
    }

    fn recycle(&mut self, chunk: Chunk) {
        self.0.lock().recycle(chunk);
    }
}

#[derive(Default)]
struct ReadyList {
    entries: VecDeque<Ready>,
    /// The consumer is gone: entries are discarded.
    closed: bool,
}

/// Connects the I/O threads to one JavaScript environment.
pub struct Hub {
    ready: Mutex<ReadyList>,
    /// Set by the first producer after a drain, or by who is about to drain; cleared by the drain before it
    /// takes the list.
    rung: AtomicBool,
    doorbell: Box<dyn Doorbell>,
    /// Received bytes in slots whose `readable` bit JavaScript has not seen yet.
    awaiting: AtomicUsize,
    bounds: AwaitingBounds,
    pool: Mutex<ChunkPool>,
    names: Arc<ProtocolNames>,
    loop_sockets: OnceLock<LoopSockets>,
    diagnostics: Diagnostics,
    /// Refusal behind the last error of a call by JavaScript, until it is taken.
    refusal: Mutex<Option<Refusal>>,
    /// Counters of the environment.
    pub stats: HubStats,
}

impl Hub {
    /// Creates a hub that rings `doorbell`.
    pub fn new(doorbell: Box<dyn Doorbell>) -> Arc<Self> {
        Self::with_bounds(doorbell, AwaitingBounds::default())
    }

    /// Creates a hub with other bounds on the bytes that wait for a JavaScript thread that does not
    /// drain.
    pub(crate) fn with_bounds(doorbell: Box<dyn Doorbell>, bounds: AwaitingBounds) -> Arc<Self> {
        Arc::new(Self {
            ready: Mutex::default(),
            rung: AtomicBool::new(false),
            doorbell,
            awaiting: AtomicUsize::new(0),
            bounds,
            pool: Mutex::new(ChunkPool::default()),
            names: Arc::default(),
            loop_sockets: OnceLock::new(),
            diagnostics: Diagnostics::default(),
            refusal: Mutex::default(),
            stats: HubStats::default(),
        })
    }

    /// Queues without ringing: the producer calls [`Hub::announce`] when its batch is complete.
    pub(crate) fn queue(&self, ready: Ready) {
        let mut list = self.ready.lock();
        if !list.closed {
            list.entries.push_back(ready);
        }
    }

    /// Rings unless a drain is already requested or nothing is pending.
    pub(crate) fn announce(&self) {
        if self.ready.lock().entries.is_empty() {
            return;
        }
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.stats.rings.add(1);
            self.doorbell.ring();
        }
    }

    /// Spares the ring for what is pending: the caller drains at once.
    pub(crate) fn claim(&self) {
        self.rung.store(true, Ordering::SeqCst);
    }

    /// Returns whether nothing is pending for JavaScript.
    pub(crate) fn is_quiet(&self) -> bool {
        self.ready.lock().entries.is_empty()
    }

    /// Starts a drain: from here on, a producer rings again.
    pub(crate) fn answer(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }

    /// Takes the next ready entry.
    pub(crate) fn take(&self) -> Option<Ready> {
        self.ready.lock().entries.pop_front()
    }

    /// Discards all entries: the environment has ended and nobody drains any more.
    ///
    /// Entries hold streams and connections, which hold this hub, which holds the entries: without
    /// this, their sockets would never be closed.
    pub(crate) fn close(&self) {
        let mut list = self.ready.lock();
        list.closed = true;
        let waiting = std::mem::take(&mut list.entries);
        // Dropped with the lock released: destructors may use the hub.
        drop(list);
        drop(waiting);
    }

    /// Sets the levels of facts that are kept for JavaScript.
    pub fn listen_to(&self, levels: u32) {
        self.diagnostics.enable(levels);
    }

    /// Keeps a fact for JavaScript if its level is enabled. Does not ring: see [`Hub::announce`].
    pub(crate) fn report(&self, fact: Fact, subject: impl FnOnce() -> Subject) {
        if !self.diagnostics.is_enabled(fact.level()) {
            return;
        }
        match self.diagnostics.push(subject(), fact) {
            Pushed::First => self.queue(Ready::Diagnostics),
            Pushed::Later => {}
            Pushed::Dropped => self.stats.diagnostics_dropped.add(1),
        }
    }

    /// Returns the number of pending facts, and of those dropped since the last call.
    pub(crate) fn pending_diagnostics(&self) -> (u32, u32) {
        self.diagnostics.pending()
    }

    /// Takes the oldest pending fact.
    pub fn take_diagnostic(&self) -> Option<Diagnostic> {
        self.diagnostics.take()
    }

    /// Keeps the refusal behind the error that a call of JavaScript returns.
    pub(crate) fn keep_refusal(&self, refusal: Refusal) {
        *self.refusal.lock() = Some(refusal);
    }

    /// Takes the refusal behind the last error of a call.
    pub fn take_refusal(&self) -> Option<Refusal> {
        self.refusal.lock().take()
    }

    /// Returns the protocol names of the environment.
    pub const fn names(&self) -> &Arc<ProtocolNames> {
        &self.names
    }

    /// Returns the environment's counters, including those that are counted elsewhere.
    pub fn counted(&self) -> &HubStats {
        self.stats
            .chunk_allocations
            .set(self.pool.lock().allocations());
        &self.stats
    }

    /// Returns the chunk pool shared by all pipes of the environment.
    pub(crate) const fn pool(&self) -> SharedPool<'_> {
        SharedPool(&self.pool)
    }

    /// Enables loop sockets on JavaScript's event loop.
    pub(crate) fn enable_loop_sockets(&self, loop_sockets: LoopSockets) {
        drop(self.loop_sockets.set(loop_sockets));
    }

    /// Returns the loop sockets of JavaScript's event loop, if enabled.
    pub(crate) fn loop_sockets(&self) -> Option<&LoopSockets> {
        self.loop_sockets.get()
    }

    pub(crate) fn add_awaiting(&self, bytes: usize) {
        self.awaiting.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub_awaiting(&self, bytes: usize) {
        self.awaiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns the bounds on the bytes that wait for a JavaScript thread that does not drain.
    pub(crate) const fn bounds(&self) -> AwaitingBounds {
        self.bounds
    }

    /// Returns the received bytes that the next drain would report to JavaScript.
    pub(crate) fn awaiting(&self) -> usize {
        self.awaiting.load(Ordering::Relaxed)
    }
}
