//! A connection: sans-io state and a socket behind one lock.
//!
//! Three parties touch it. The **driver** on an I/O thread reads, opens records, feeds the muxer,
//! seals and sends ([`driver`]). The **inline writer**, JavaScript's thread at its flush, may take
//! the lock when it is free and seal and send itself ([`inline`]). Everybody else only fills slots
//! and the outbox and kicks. Lock order: core, outbox, slot, hub; a lock is never held across a
//! wait, and neither party waits for the core's lock: both only try it.
//!
//! Under that lock ([`core`]) are the [`streams`], the [`link`] that carries them, and how far the
//! connection has come in its [`life`].

mod core;
mod driver;
mod facts;
mod inline;
mod life;
mod link;
mod outbox;
mod scratch;
mod streams;

use std::task::Waker;
use std::time::Duration;

use ferroswarm_proto::muxer::UNACKED_MAX;
use ferroswarm_secure::{Channel, RecordError};

use crate::config::Limits;
use crate::diagnostics::{Fact, Refusal, Subject};
use crate::error::{CallError, ConnectionFault};
use crate::handlers::Handlers;
use crate::hub::{Hub, Ready};
use crate::pipe::BytePipe;
use crate::slot::{Proposals, StreamSlot};
use crate::stats::Traffic;
use crate::sync::{Arc, AtomicBool, AtomicU32, AtomicUsize, Instant, Mutex, Ordering};

use self::core::Core;
pub use self::facts::{Direction, Facts, StageTimes};
pub use self::life::{CloseManner, CloseRequest, EndReport};
use self::link::Link;
use self::outbox::Outbox;
pub(crate) use self::scratch::Scratch;
pub(crate) use self::streams::Negotiation;

/// Everything a connection is made of.
pub(crate) struct Parts {
    /// The hub of the JavaScript environment it belongs to.
    pub(crate) hub: Arc<Hub>,
    /// What is known of it for its whole life.
    pub(crate) facts: Facts,
    /// The socket.
    pub(crate) pipe: Box<dyn BytePipe>,
    /// The record layer that the handshake left.
    pub(crate) channel: Channel,
    /// Bytes that arrived behind the handshake.
    pub(crate) leftover: Vec<u8>,
    /// Bytes that arrived behind it and are opened already.
    pub(crate) plaintext: Vec<u8>,
    /// Protocols served here.
    pub(crate) handlers: Arc<Handlers>,
    /// Bounds.
    pub(crate) limits: Arc<Limits>,
    /// Where the connection's clock starts.
    pub(crate) epoch: Instant,
    /// Dropped when JavaScript has been told of it.
    pub(crate) unreported: Option<Box<dyn Send>>,
}

/// One secured and multiplexed connection.
pub struct Connection {
    pub(crate) hub: Arc<Hub>,
    facts: Facts,
    /// The handle JavaScript knows it by; 0 before it was told.
    handle: AtomicU32,
    /// Its place among the pending connections until then.
    unreported: Mutex<Option<Box<dyn Send>>>,
    outbox: Mutex<Outbox>,
    core: Mutex<Core>,
    /// Something was posted that the holder of the core's lock may not have seen.
    dirty: AtomicBool,
    /// JavaScript's event loop has told of bytes, and the holder of the core's lock may not know.
    unread: AtomicBool,
    /// The driver found the lock taken: who lets go of it wakes the driver.
    driver_waits: AtomicBool,
    waker: Mutex<Option<Waker>>,
    pipe: Box<dyn BytePipe>,
    handlers: Arc<Handlers>,
    limits: Arc<Limits>,
    epoch: Instant,
    /// Milliseconds by which a test's clock is ahead.
    #[cfg(test)]
    ahead: AtomicU32,
    /// Bytes written and not sealed, over all streams.
    pub(crate) unsealed: AtomicUsize,
    /// Memory of what is received and not read, over all streams.
    held: AtomicUsize,
    /// Bytes of it that a drain would make JavaScript aware of.
    awaiting: AtomicUsize,
    /// See [`Connection::allow_early_fin`].
    early_fin: AtomicBool,
    /// Live streams.
    streams: AtomicU32,
    /// Live outbound streams.
    outbound: AtomicU32,
    /// Outbound streams that the remote has not acknowledged.
    unacked: AtomicU32,
    /// Inbound streams that JavaScript has not been told of.
    unaccepted: AtomicU32,
    end: Mutex<Option<EndReport>>,
    /// What it has carried.
    pub(crate) traffic: Traffic,
}

impl Connection {
    /// A connection over `parts`; JavaScript is told of it by the next drain.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let link = Link::new(
            &parts.facts,
            &parts.limits,
            parts.channel,
            parts.leftover,
            parts.plaintext,
        );
        let connection = Arc::new(Self {
            core: Mutex::new(Core::new(link)),
            hub: parts.hub,
            facts: parts.facts,
            handle: AtomicU32::new(0),
            unreported: Mutex::new(parts.unreported),
            outbox: Mutex::new(Outbox::default()),
            dirty: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            driver_waits: AtomicBool::new(false),
            waker: Mutex::new(None),
            pipe: parts.pipe,
            handlers: parts.handlers,
            limits: parts.limits,
            epoch: parts.epoch,
            #[cfg(test)]
            ahead: AtomicU32::new(0),
            unsealed: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            awaiting: AtomicUsize::new(0),
            early_fin: AtomicBool::new(false),
            streams: AtomicU32::new(0),
            outbound: AtomicU32::new(0),
            unacked: AtomicU32::new(0),
            unaccepted: AtomicU32::new(0),
            end: Mutex::new(None),
            traffic: Traffic::default(),
        });
        connection.hub.stats.connections_opened.add(1);
        connection.hub.queue(Ready::Opened(Arc::clone(&connection)));
        // A dial's completion follows at once and announces both: JavaScript hears of them in one turn.
        if connection.facts.request == 0 {
            connection.hub.announce();
        }
        connection
    }

    /// What is known of it for its whole life.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The socket under it.
    pub(crate) fn pipe(&self) -> &dyn BytePipe {
        &*self.pipe
    }

    /// How it ended, once it has.
    pub fn end_report(&self) -> Option<EndReport> {
        *self.end.lock()
    }

    /// Open streams, both directions.
    pub fn stream_count(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Whether bytes or ends of streams that were written wait to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        if self.end_report().is_some() {
            return false;
        }
        if self.unsealed.load(Ordering::Relaxed) > 0 || self.outbox.lock().has_streams() {
            return true;
        }
        // Whoever holds the lock may be about to send.
        let core = self.core.try_lock();
        core.is_none_or(|core| core.has_unsent())
    }

    /// What its receive windows have grown by.
    #[cfg(test)]
    pub(crate) fn window_growth(&self) -> usize {
        self.core.lock().window_growth()
    }

    /// Whether nobody holds the lock.
    #[cfg(test)]
    pub(crate) fn is_unlocked(&self) -> bool {
        self.core.try_lock().is_some()
    }

    /// Streams that wait to be opened, those given up and not forgotten yet included.
    #[cfg(test)]
    pub(crate) fn unopened_count(&self) -> usize {
        self.core.lock().unopened_count()
    }

    /// The connection's clock.
    pub fn now(&self) -> Duration {
        let now = self.epoch.elapsed();
        #[cfg(test)]
        let now = now + Duration::from_millis(self.ahead.load(Ordering::Relaxed).into());
        now
    }

    /// Puts the clock forward.
    #[cfg(test)]
    pub(crate) fn advance(&self, time: Duration) {
        let ms = u32::try_from(time.as_millis()).expect("a short time");
        self.ahead.fetch_add(ms, Ordering::Relaxed);
    }

    /// The handle JavaScript knows it by; 0 before it was told.
    pub fn handle(&self) -> u32 {
        self.handle.load(Ordering::Relaxed)
    }

    /// JavaScript is told of it by this handle.
    pub(crate) fn set_handle(&self, handle: u32) {
        self.handle.store(handle, Ordering::Relaxed);
        drop(self.unreported.lock().take());
    }

    /// Opens an outbound stream; it goes on the wire with the next flush.
    ///
    /// The second value tells whether it is usable at once; if not, `negotiated` follows.
    ///
    /// # Errors
    /// [`CallError::StreamLimit`], [`CallError::ConnectionClosed`] and [`CallError::GoingAway`].
    pub fn open(
        self: &Arc<Self>,
        proposals: Proposals,
    ) -> Result<(Arc<StreamSlot>, bool), CallError> {
        if self.outbound.fetch_add(1, Ordering::Relaxed) >= self.limits.outbound_streams_max {
            self.outbound.fetch_sub(1, Ordering::Relaxed);
            return Err(CallError::StreamLimit);
        }
        let first = self.unacked.fetch_add(1, Ordering::Relaxed) < UNACKED_MAX;
        let usable = first && !matches!(proposals, Proposals::AnyOf(_));
        let slot = streams::outbound_slot(self, proposals, usable);
        let mut outbox = self.outbox.lock();
        if let Some(refusal) = outbox.refusal() {
            drop(outbox);
            self.outbound.fetch_sub(1, Ordering::Relaxed);
            self.acknowledged();
            return Err(refusal);
        }
        // Before anybody can take it from there, and end it.
        self.stream_opened();
        outbox.post(Arc::clone(&slot));
        drop(outbox);
        Ok((slot, usable))
    }

    /// Asks for the end: our GoAway goes out last. A request that waits for less overrides one that
    /// waits for more.
    pub fn close(&self, request: CloseRequest) {
        self.outbox.lock().close(request);
        self.kick();
    }

    /// The remote bears the end of a lazily opened stream before it has answered the proposal.
    ///
    /// Until this is called such an end waits for the answer: js-libp2p loses one that comes before its handler
    /// listens, and its application then waits for ever.
    pub fn allow_early_fin(&self) {
        self.early_fin.store(true, Ordering::Relaxed);
    }

    pub(crate) fn allows_early_fin(&self) -> bool {
        self.early_fin.load(Ordering::Relaxed)
    }

    /// Puts a stream with something to send into the outbox.
    pub(crate) fn post(&self, slot: Arc<StreamSlot>) {
        let goes_on = self.outbox.lock().post(slot);
        // It may be the last stream of a connection that ends with it.
        if !goes_on {
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
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub_held(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Memory of received bytes that the streams of this connection hold.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn add_awaiting(&self, bytes: usize) {
        self.awaiting.fetch_add(bytes, Ordering::Relaxed);
        self.hub.add_awaiting(bytes);
    }

    /// JavaScript has seen them; a driver that paused for their sake goes on.
    pub(crate) fn sub_awaiting(&self, bytes: usize) {
        let before = self.awaiting.fetch_sub(bytes, Ordering::Relaxed);
        self.hub.sub_awaiting(bytes);
        if before > self.hub.bounds().share {
            self.kick();
        }
    }

    /// Bytes that a drain would make JavaScript aware of.
    pub(crate) fn awaiting(&self) -> usize {
        self.awaiting.load(Ordering::Relaxed)
    }

    /// JavaScript does not drain and this connection holds more than its share for it.
    fn must_pause(&self) -> bool {
        let bounds = self.hub.bounds();
        self.hub.awaiting() > bounds.total && self.awaiting() > bounds.share
    }

    /// An inbound stream no longer waits for JavaScript.
    pub(crate) fn taken(&self) {
        self.unaccepted.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reports a fact about it. Who drives it rings.
    pub(crate) fn report(&self, fact: Fact) {
        self.hub.report(fact, || Subject {
            node: self.facts.node,
            connection: self.handle(),
            address: Some(self.facts.remote_address.clone()),
        });
    }

    /// Makes the channel fail: one that has failed once seals nothing any more.
    #[cfg(test)]
    pub(crate) fn break_channel(&self) {
        self.core.lock().break_channel();
    }

    /// Reports a record that could not be opened or sealed: the end of the connection.
    fn record_failed(&self, error: RecordError) -> ConnectionFault {
        self.report(Fact::RecordFailed(error));
        ConnectionFault::Record
    }

    /// Reports that an inbound stream was refused.
    fn refused(&self, option: &'static str, limit: u32, current: u32) {
        self.report(Fact::StreamRefused(Refusal {
            option,
            limit: limit.into(),
            current: current.into(),
        }));
    }

    /// The bound that [`Connection::must_pause`] is about.
    fn pause(&self) -> Refusal {
        Refusal {
            option: "awaiting",
            limit: self.hub.bounds().total as u64,
            current: self.hub.awaiting() as u64,
        }
    }

    /// A stream begins.
    fn stream_opened(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.hub.stats.streams_opened.add(1);
    }

    /// A stream has ended for JavaScript, whatever the wire still owes it.
    pub(crate) fn stream_finished(&self, direction: Direction) {
        if direction == Direction::Outbound {
            self.outbound.fetch_sub(1, Ordering::Relaxed);
        }
        self.streams.fetch_sub(1, Ordering::Relaxed);
        self.hub.stats.streams_closed.add(1);
    }

    /// An outbound stream was acknowledged, or will not be any more.
    fn acknowledged(&self) {
        self.unacked.fetch_sub(1, Ordering::Relaxed);
    }

    /// Live outbound streams.
    fn outbound_count(&self) -> u32 {
        self.outbound.load(Ordering::Relaxed)
    }

    /// An inbound stream begins, unless as many as may wait for JavaScript do.
    fn admit_stream(&self) -> bool {
        let has_place = self.unaccepted.load(Ordering::Relaxed) < self.limits.accept_backlog;
        if has_place {
            self.unaccepted.fetch_add(1, Ordering::Relaxed);
            self.stream_opened();
        }
        has_place
    }
}
