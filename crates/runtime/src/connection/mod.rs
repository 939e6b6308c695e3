//! A connection: sans-io state and a socket behind one lock.
//!
//! Three parties access it. The **driver** on an I/O thread reads, opens records, feeds the muxer,
//! seals and sends ([`driver`]). The **inline writer**, the JavaScript thread during a flush, may
//! seal and send itself if the lock is free ([`inline`]). All other threads only fill slots and the
//! outbox and wake the driver. Lock order: core, outbox, slot, hub. No lock is held across a wait,
//! and driver and inline writer never block on the core lock: both use `try_lock`.
//!
//! The lock ([`core`]) guards the [`streams`], the [`link`] that carries them, and the connection's
//! lifecycle ([`life`]).

mod core;
mod driver;
mod facts;
mod inline;
mod life;
mod link;
mod outbox;
mod scratch;
mod streams;

use std::io;
use std::sync::OnceLock;
use std::task::Waker;
use std::time::Duration;

use ferroswarm_proto::multistream::ProtocolId;
use ferroswarm_proto::muxer::UNACKED_MAX;
use ferroswarm_proto::resource::Priority;
use ferroswarm_quic::Session;
use ferroswarm_secure::{Channel, RecordError};

use crate::config::Limits;
use crate::diagnostics::{Fact, Subject};
use crate::error::{CallError, ConnectionFault, TransportFault};
use crate::handlers::Handlers;
use crate::hub::{Hub, Ready};
use crate::pipe::BytePipe;
use crate::resources::{
    Bound, ConnectionScope, MemoryCharge, Refusal, Resources, ScopeId, StreamScope,
};
use crate::slot::{Proposals, StreamSlot};
use crate::socket::{Route, Socket};
use crate::stats::Traffic;
use crate::sync::{Arc, AtomicBool, AtomicU32, AtomicUsize, Instant, Mutex, Ordering, fence};

use self::core::Core;
pub use self::facts::{Direction, Facts, StageTimes};
pub use self::life::{CloseManner, CloseRequest, EndReport};
use self::link::{Link, Quic};
use self::outbox::Outbox;
pub(crate) use self::scratch::Scratch;
pub(crate) use self::streams::Negotiation;

/// What carries the streams of an upgraded connection.
pub(crate) enum Layers {
    /// The node's muxer over records over a pipe.
    Muxed {
        pipe: Arc<dyn BytePipe>,
        channel: Channel,
        /// Bytes after the handshake, as read from the pipe.
        leftover: Vec<u8>,
        /// Bytes after the muxer's negotiation, already opened.
        plaintext: Vec<u8>,
    },
    /// QUIC, which closes the connection when it is dropped.
    Quic(Box<Quic>),
}

impl Layers {
    pub(crate) fn quic(session: Box<Session>, route: Arc<dyn Route>) -> Self {
        Self::Quic(Box::new(Quic::new(session, route)))
    }

    /// Returns whether the node's muxer carries the streams.
    pub(crate) const fn is_muxed(&self) -> bool {
        matches!(self, Self::Muxed { .. })
    }
}

/// Components of a new connection.
pub(crate) struct Parts {
    /// Hub of the owning JavaScript environment.
    pub(crate) hub: Arc<Hub>,
    /// Immutable properties.
    pub(crate) facts: Facts,
    /// What carries its streams.
    pub(crate) layers: Layers,
    /// Handlers of the locally served protocols.
    pub(crate) handlers: Arc<Handlers>,
    /// Configured limits.
    pub(crate) limits: Arc<Limits>,
    /// Origin of the connection's clock.
    pub(crate) epoch: Instant,
    /// Accounting of the node.
    pub(crate) resources: Arc<Resources>,
    /// Scope of the connection, which outlives its driver.
    pub(crate) scope: ScopeId,
    /// Owns the scope too, until the connection has been reported to JavaScript: a remote that
    /// comes and goes while the event loop is blocked occupies its places.
    pub(crate) unreported: Option<Arc<ConnectionScope>>,
}

/// One secured and multiplexed connection.
pub struct Connection {
    pub(crate) hub: Arc<Hub>,
    facts: Facts,
    /// JavaScript's handle; 0 until the connection is reported.
    handle: AtomicU32,
    resources: Arc<Resources>,
    scope: ScopeId,
    /// Owns the scope until the connection is reported.
    unreported: Mutex<Option<Arc<ConnectionScope>>>,
    /// Memory charged to the scope.
    memory: MemoryCharge,
    /// The last attempt to charge memory was refused.
    memory_refused: AtomicBool,
    outbox: Mutex<Outbox>,
    core: Mutex<Core>,
    /// Work was posted that the holder of the core lock may not have seen.
    dirty: AtomicBool,
    /// The event loop reported readability, which the holder of the core lock may not have seen.
    unread: AtomicBool,
    /// The driver found the lock held: the holder wakes it after releasing the lock.
    driver_waits: AtomicBool,
    waker: Mutex<Option<Waker>>,
    socket: Socket,
    handlers: Arc<Handlers>,
    limits: Arc<Limits>,
    epoch: Instant,
    /// Milliseconds by which a test has advanced the clock.
    #[cfg(test)]
    ahead: AtomicU32,
    /// Bytes written but not yet sealed, across all streams.
    unsealed: AtomicUsize,
    /// Memory held by received, unread bytes, across all streams.
    held: AtomicUsize,
    /// Growth of the receive windows of its streams.
    window_growth: AtomicUsize,
    /// Received bytes whose notification is still queued for the next drain.
    awaiting: AtomicUsize,
    /// See [`Connection::allow_early_fin`].
    early_fin: AtomicBool,
    /// Live streams.
    streams: AtomicU32,
    /// Live outbound streams.
    outbound: AtomicU32,
    /// Outbound streams not yet acknowledged by the remote.
    unacked: AtomicU32,
    /// Inbound streams not yet reported to JavaScript.
    unaccepted: AtomicU32,
    end: Mutex<Option<EndReport>>,
    /// What the transport said of the end that it caused.
    end_text: OnceLock<Box<str>>,
    /// Traffic counters.
    pub(crate) traffic: Traffic,
}

impl Connection {
    /// Creates a connection from `parts`; the next drain reports it to JavaScript.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let socket = match &parts.layers {
            Layers::Muxed { pipe, .. } => Socket::Pipe(Arc::clone(pipe)),
            Layers::Quic(quic) => Socket::Route(Arc::clone(quic.route())),
        };
        let link = Link::new(&parts.facts, &parts.limits, &parts.resources, parts.layers);
        let connection = Arc::new(Self {
            core: Mutex::new(Core::new(link)),
            hub: parts.hub,
            facts: parts.facts,
            handle: AtomicU32::new(0),
            resources: parts.resources,
            scope: parts.scope,
            unreported: Mutex::new(parts.unreported),
            memory: MemoryCharge::default(),
            memory_refused: AtomicBool::new(false),
            outbox: Mutex::new(Outbox::default()),
            dirty: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            driver_waits: AtomicBool::new(false),
            waker: Mutex::new(None),
            socket,
            handlers: parts.handlers,
            limits: parts.limits,
            epoch: parts.epoch,
            #[cfg(test)]
            ahead: AtomicU32::new(0),
            unsealed: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            window_growth: AtomicUsize::new(0),
            awaiting: AtomicUsize::new(0),
            early_fin: AtomicBool::new(false),
            streams: AtomicU32::new(0),
            outbound: AtomicU32::new(0),
            unacked: AtomicU32::new(0),
            unaccepted: AtomicU32::new(0),
            end: Mutex::new(None),
            end_text: OnceLock::new(),
            traffic: Traffic::default(),
        });
        connection.hub.stats.connections_opened.add(1);
        connection.hub.queue(Ready::Opened(Arc::clone(&connection)));
        // A dial's completion follows immediately and announces both, so that one drain reports
        // them.
        if connection.facts.request == 0 {
            connection.hub.announce();
        }
        connection
    }

    /// Immutable properties of the connection.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What it waits for outside its lock.
    pub(crate) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Returns its byte pipe.
    #[cfg(test)]
    pub(crate) fn pipe(&self) -> &dyn BytePipe {
        match &self.socket {
            Socket::Pipe(pipe) => &**pipe,
            Socket::Route(_) => panic!("a connection over a pipe"),
        }
    }

    /// Returns why and how the connection ended, once it has.
    pub fn end_report(&self) -> Option<EndReport> {
        *self.end.lock()
    }

    /// Open streams in both directions.
    pub fn stream_count(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Returns whether written bytes or FINs are waiting to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        if self.end_report().is_some() {
            return false;
        }
        if self.unsealed() > 0 || self.outbox.lock().has_streams() {
            return true;
        }
        // The holder of the lock may be about to send.
        let Some(mut core) = self.core.try_lock() else {
            return true;
        };
        let has_unsent = core.has_unsent(self.now());
        drop(core);
        fence(Ordering::SeqCst);
        // Whoever has found the lock taken leaves the rest to its holder.
        if self.has_events() || self.driver_waits.load(Ordering::SeqCst) {
            self.kick();
        }
        has_unsent
    }

    /// Returns whether the core lock is free.
    #[cfg(test)]
    pub(crate) fn is_unlocked(&self) -> bool {
        self.core.try_lock().is_some()
    }

    /// Streams that count for the connection: inbound ones on the wire, outbound ones that have not
    /// ended.
    #[cfg(test)]
    pub(crate) fn counted_streams(&self) -> [u32; 2] {
        [self.core.lock().inbound_count(), self.outbound_count()]
    }

    /// Streams waiting to be opened, including abandoned ones that have not been removed yet.
    #[cfg(test)]
    pub(crate) fn unopened_count(&self) -> usize {
        self.core.lock().unopened_count()
    }

    /// Current time of the connection's clock.
    pub fn now(&self) -> Duration {
        let now = self.epoch.elapsed();
        #[cfg(test)]
        let now = now + Duration::from_millis(self.ahead.load(Ordering::Relaxed).into());
        now
    }

    /// Advances the clock.
    #[cfg(test)]
    pub(crate) fn advance(&self, time: Duration) {
        let ms = u32::try_from(time.as_millis()).expect("a short time");
        self.ahead.fetch_add(ms, Ordering::Relaxed);
    }

    /// JavaScript's handle; 0 until the connection is reported.
    pub fn handle(&self) -> u32 {
        self.handle.load(Ordering::Relaxed)
    }

    /// Sets the handle under which JavaScript is notified.
    pub(crate) fn set_handle(&self, handle: u32) {
        self.handle.store(handle, Ordering::Relaxed);
        drop(self.unreported.lock().take());
    }

    /// Accounting of its node.
    pub const fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// Its scope.
    pub const fn scope(&self) -> ScopeId {
        self.scope
    }

    /// Opens an outbound stream; it goes on the wire with the next flush.
    ///
    /// The second value is whether the stream is usable at once; if not, `negotiated` follows.
    ///
    /// # Errors
    /// [`CallError::StreamLimit`], [`CallError::ConnectionClosed`] and [`CallError::GoingAway`];
    /// [`CallError::StaleHandle`] if a protocol has no name any more.
    pub fn open(
        self: &Arc<Self>,
        proposals: Proposals,
    ) -> Result<(Arc<StreamSlot>, bool), CallError> {
        let names = self.hub.names().all(proposals.protocols());
        let names = names.ok_or(CallError::StaleHandle)?;
        let scope = self.outbound_scope(&names)?;
        self.outbound.fetch_add(1, Ordering::Relaxed);
        let first = self.unacked.fetch_add(1, Ordering::Relaxed) < UNACKED_MAX;
        let usable = first && !matches!(proposals, Proposals::AnyOf(_));
        let slot = streams::outbound_slot(self, scope, &proposals, names, usable);
        let mut outbox = self.outbox.lock();
        if let Some(refusal) = outbox.refusal() {
            drop(outbox);
            self.outbound.fetch_sub(1, Ordering::Relaxed);
            self.acknowledged();
            return Err(refusal);
        }
        // Counted before the connection can collect it from the outbox, and end it.
        self.stream_opened();
        outbox.post(Arc::clone(&slot));
        drop(outbox);
        Ok((slot, usable))
    }

    /// Requests a close; our GoAway is sent last. A request that waits for less overrides one that
    /// waits for more.
    pub fn close(&self, request: CloseRequest) {
        self.request_close(request);
        self.kick();
    }

    /// The same for a caller that flushes afterwards.
    pub(crate) fn request_close(&self, request: CloseRequest) {
        self.outbox.lock().close(request);
    }

    /// Declares that the remote tolerates the FIN of a lazily opened stream before it has answered
    /// the proposal.
    ///
    /// Until this is called, such a FIN waits for the answer: js-libp2p loses a FIN that arrives
    /// before its handler listens, and its application then waits forever.
    pub fn allow_early_fin(&self) {
        self.early_fin.store(true, Ordering::Relaxed);
    }

    pub(crate) fn allows_early_fin(&self) -> bool {
        self.early_fin.load(Ordering::Relaxed)
    }

    /// Posts a stream with pending output to the outbox.
    pub(crate) fn post(&self, slot: Arc<StreamSlot>) {
        let accepts_streams = self.outbox.lock().post(slot);
        // After GoAway, this may be the last stream, with which the connection ends.
        if !accepts_streams {
            self.kick();
        }
    }

    /// Wakes the driver.
    pub(crate) fn kick(&self) {
        self.dirty.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().clone();
        if let Some(waker) = waker {
            self.hub.stats.kicks.add(1);
            waker.wake();
        }
    }

    pub(crate) fn add_held(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(crate) fn sub_held(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::SeqCst);
        self.discharge();
    }

    pub(crate) fn add_unsealed(&self, bytes: usize) {
        self.unsealed.fetch_add(bytes, Ordering::SeqCst);
        let was_refused = self.memory_refused.load(Ordering::Relaxed);
        // A refusal limits the next writes: these bytes are accepted.
        if let Err(refusal) = self.charge()
            && !was_refused
        {
            self.report(Fact::WritesHeld(refusal));
        }
    }

    pub(crate) fn sub_unsealed(&self, bytes: usize) {
        self.unsealed.fetch_sub(bytes, Ordering::SeqCst);
        self.discharge();
    }

    pub(crate) fn unsealed(&self) -> usize {
        self.unsealed.load(Ordering::SeqCst)
    }

    /// Returns whether memory was refused, and still is.
    pub(crate) fn lacks_memory(&self) -> bool {
        self.memory_refused.load(Ordering::Relaxed) && self.charge().is_err()
    }

    /// Memory to be charged for bytes: the growth of receive windows has reserved some of what the
    /// unread ones take.
    fn used(&self) -> usize {
        let reserved = self.window_growth.load(Ordering::SeqCst);
        self.unsealed() + self.held().saturating_sub(reserved)
    }

    /// Closes the scope of an ended connection unless bytes of it may still be read, or it has not
    /// been reported to JavaScript and keeps its places.
    pub(crate) fn close_unused_scope(&self) {
        if self.handle() != 0 && self.held() == 0 {
            self.resources.done(self.scope);
        }
    }

    /// Charges received bytes, if need be without those that were written and not sent: these are
    /// not the fault of the others.
    ///
    /// # Errors
    /// The refusal.
    fn charge_received(&self) -> Result<(), Refusal> {
        let reserved = || self.window_growth.load(Ordering::SeqCst);
        let unread = || self.held().saturating_sub(reserved());
        self.charge().or_else(|refusal| {
            if self.memory.covers(unread()) {
                return Ok(());
            }
            self.memory
                .settle(&self.resources, self.scope, unread)
                .map_err(|_| refusal)
        })
    }

    /// Reserves memory for what the remote may send ahead of the application; returns whether there was
    /// room.
    pub(crate) fn reserve_window(&self, bytes: u32) -> bool {
        let reserved = self
            .resources
            .reserve_memory(self.scope, bytes.into(), Priority::WINDOW);
        if reserved.is_err() {
            self.hub.stats.window_refusals.add(1);
        }
        reserved.is_ok()
    }

    /// Releases memory that [`reserve_window`](Self::reserve_window) has reserved.
    pub(crate) fn release_window(&self, bytes: u32) {
        if bytes > 0 {
            // The scope of an ended connection has released it.
            self.resources.release_memory(self.scope, bytes.into()).ok();
        }
    }

    pub(crate) fn add_window_growth(&self, bytes: usize) {
        self.window_growth.fetch_add(bytes, Ordering::SeqCst);
        self.discharge();
    }

    pub(crate) fn sub_window_growth(&self, bytes: usize) {
        self.window_growth.fetch_sub(bytes, Ordering::SeqCst);
        // If it is refused, the next bytes received are.
        self.charge().ok();
    }

    /// Charges the memory that the connection holds.
    ///
    /// # Errors
    /// The refusal.
    fn charge(&self) -> Result<(), Refusal> {
        if self.memory.covers(self.used()) {
            return Ok(());
        }
        let settled = self
            .memory
            .settle(&self.resources, self.scope, || self.used());
        self.memory_refused
            .store(settled.is_err(), Ordering::Relaxed);
        settled
    }

    /// Releases memory that the connection no longer holds.
    fn discharge(&self) {
        if self.memory.exceeds(self.used()) {
            let used = || self.used();
            // Fails only if it has to charge more, as another thread has added bytes meanwhile;
            // that thread charges them.
            self.memory.settle(&self.resources, self.scope, used).ok();
            self.memory_refused.store(false, Ordering::Relaxed);
        }
    }

    /// Memory held by received, unread bytes, across all streams.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    pub(crate) fn add_awaiting(&self, bytes: usize) {
        self.awaiting.fetch_add(bytes, Ordering::Relaxed);
        self.hub.add_awaiting(bytes);
    }

    /// Subtracts bytes that a drain has reported, or that were dropped; wakes a driver that paused
    /// because of them.
    pub(crate) fn sub_awaiting(&self, bytes: usize) {
        let before = self.awaiting.fetch_sub(bytes, Ordering::Relaxed);
        self.hub.sub_awaiting(bytes);
        if before > self.hub.bounds().share {
            self.kick();
        }
    }

    /// Received bytes whose notification is still queued for the next drain.
    pub(crate) fn awaiting(&self) -> usize {
        self.awaiting.load(Ordering::Relaxed)
    }

    /// Returns whether undrained bytes exceed the total bound and this connection exceeds its
    /// share.
    fn must_pause(&self) -> bool {
        let bounds = self.hub.bounds();
        self.hub.awaiting() > bounds.total && self.awaiting() > bounds.share
    }

    /// Releases an inbound stream's place in the accept backlog.
    pub(crate) fn release_place(&self) {
        self.unaccepted.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reports a diagnostic about the connection. The thread that drives it rings the doorbell.
    pub(crate) fn report(&self, fact: Fact) {
        self.hub.report(fact, || Subject {
            node: self.facts.node,
            connection: self.handle(),
            address: Some(self.facts.remote_address.clone()),
        });
    }

    /// Makes the channel fail: a failed channel cannot seal any more.
    #[cfg(test)]
    pub(crate) fn break_channel(&self) {
        self.core.lock().break_channel();
    }

    /// Reports an error of the pipe; returns the fault with which the connection ends.
    fn pipe_failed(&self, error: io::Error) -> ConnectionFault {
        let Some((fault, text)) = TransportFault::within(&error) else {
            let error = error.into();
            self.report(Fact::SocketFailed { error });
            return ConnectionFault::Io(error);
        };
        self.report(Fact::TransportFailed {
            fault,
            text: text.clone(),
        });
        // The first is the cause.
        let _ = self.end_text.set(text);
        fault.into()
    }

    /// Returns what the transport said of the end that it caused: the reason of the remote's close
    /// frame, or its violation.
    pub fn end_text(&self) -> Option<&str> {
        self.end_text.get().map(|text| &**text)
    }

    /// Reports a record that could not be opened or sealed, which ends the connection.
    fn record_failed(&self, error: RecordError) -> ConnectionFault {
        self.report(Fact::RecordFailed(error));
        ConnectionFault::Record
    }

    /// Reports an inbound stream that a bound has refused.
    fn refused(&self, option: &'static str, limit: u32, current: u32) {
        self.report(Fact::StreamRefused(Refusal::Bound(Bound {
            option,
            limit: limit.into(),
            current: current.into(),
        })));
    }

    /// Opens the scope of an outbound stream. With a single proposal it is charged to its protocol
    /// at once; with several it is transient until one is agreed on.
    fn outbound_scope(&self, proposals: &[ProtocolId]) -> Result<StreamScope, CallError> {
        let direction = Direction::Outbound;
        let opened = match proposals {
            [only] => self.resources.open_stream_for(self.scope, direction, only),
            _ => self.resources.open_stream(self.scope, direction),
        };
        opened.map_err(|refusal| match refusal {
            Refusal::Closed => CallError::ConnectionClosed,
            refusal => {
                self.hub.keep_refusal(refusal);
                CallError::StreamLimit
            }
        })
    }

    /// Bound whose excess makes [`Connection::must_pause`] return true.
    fn pause(&self) -> Refusal {
        Refusal::Bound(Bound {
            option: "awaiting",
            limit: self.hub.bounds().total as u64,
            current: self.hub.awaiting() as u64,
        })
    }

    /// Counts a new stream.
    fn stream_opened(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.hub.stats.streams_opened.add(1);
    }

    /// Counts a stream that has ended for JavaScript, whatever is still pending on the wire.
    pub(crate) fn stream_finished(&self, direction: Direction) {
        if direction == Direction::Outbound {
            self.outbound.fetch_sub(1, Ordering::Relaxed);
        }
        self.streams.fetch_sub(1, Ordering::Relaxed);
        self.hub.stats.streams_closed.add(1);
    }

    /// Counts an outbound stream that was acknowledged, or no longer can be.
    fn acknowledged(&self) {
        self.unacked.fetch_sub(1, Ordering::Relaxed);
    }

    /// Live outbound streams.
    fn outbound_count(&self) -> u32 {
        self.outbound.load(Ordering::Relaxed)
    }

    /// Returns whether the accept backlog has room for another inbound stream.
    fn has_backlog_room(&self) -> bool {
        self.unaccepted.load(Ordering::Relaxed) < self.limits.accept_backlog
    }

    /// Counts a new inbound stream.
    fn admit_stream(&self) {
        self.unaccepted.fetch_add(1, Ordering::Relaxed);
        self.stream_opened();
    }
}

impl Drop for Connection {
    /// Closes the scope, which has accounted for the bytes of its streams until now: JavaScript may
    /// read them after the end of the connection.
    fn drop(&mut self) {
        self.resources.done(self.scope);
    }
}
