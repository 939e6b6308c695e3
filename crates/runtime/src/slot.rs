//! One stream as both sides see it: its state, its two bounded pipes and its pending bits.
//!
//! The lock is small and never held while bytes are sealed or opened. JavaScript's calls change the
//! state and the pipes at once and put the slot into its connection's outbox; the connection, under
//! its own lock, takes from there what goes on the wire. Lock order: connection, outbox, slot, hub;
//! no two of the last three are held together by this file.

use ferroswarm_proto::framing::Framing;
use ferroswarm_proto::muxer::StreamKey;
use ferroswarm_proto::stream::{Input, Operation, Pipe, Refusal, State, StreamState, Verdict};

use crate::config::{SEND_PIPE_MAX, UNSEALED_MAX, UNSEALED_SHARE};
use crate::connection::{Connection, Negotiation};
use crate::error::{CallError, StreamFault};
use crate::hub::Ready;
use crate::registry::Handle;
use crate::sync::{Arc, Mutex, MutexGuard, Ordering};

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

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How far our end of the stream has been announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinState {
    Open,
    Wanted,
    Sent,
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

/// Who gave the stream its reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetReport {
    /// Error code as on the wire.
    pub code: u32,
    /// The remote sent it.
    pub remote: bool,
    /// It came with the end of the connection.
    pub connection_lost: bool,
    /// Set where the state is ERROR.
    pub fault: Option<StreamFault>,
}

/// What of a stream has to go on the wire besides bytes.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) open: Option<Proposals>,
    pub(crate) reset: Option<u32>,
    pub(crate) accept: bool,
    pub(crate) discard: bool,
    /// Bytes that JavaScript has read since the connection last gave credit for them.
    pub(crate) consumed: u32,
}

pub(crate) struct Inner {
    pub(crate) state: StreamState,
    pub(crate) handle: Option<Handle>,
    pub(crate) pending: Pending,
    /// Stands in the hub's ready list.
    pub(crate) queued: bool,
    /// Stands in the connection's outbox or its ring.
    pub(crate) outgoing: bool,
    /// The engine's name for it; none before it is opened and after it is forgotten.
    pub(crate) key: Option<StreamKey>,
    pub(crate) protocol: u32,
    pub(crate) settle_fault: Option<StreamFault>,
    pub(crate) recv: Pipe,
    pub(crate) send: Pipe,
    pub(crate) read_armed: bool,
    pub(crate) write_armed: bool,
    pub(crate) remote_ended: bool,
    pub(crate) fin: FinState,
    pub(crate) orders: Orders,
    /// Consumed bytes at which credit is worth a frame: a quarter of the receive window.
    pub(crate) credit_step: u32,
    /// Received bytes counted as awaiting JavaScript.
    pub(crate) awaiting: usize,
    pub(crate) reset: Option<ResetReport>,
    /// `closed` was queued; nothing follows it.
    pub(crate) finished: bool,
    pub(crate) framing: Option<(Framing, usize)>,
    /// The dialler's negotiation until the connection takes it with the stream's opening.
    pub(crate) negotiation: Option<Box<Negotiation>>,
    /// JavaScript was given this stream and will be told of its end.
    pub(crate) announced: bool,
}

/// A stream's place in the hub.
pub struct StreamSlot {
    pub(crate) connection: Arc<Connection>,
    inner: Mutex<Inner>,
}

/// First quarter of the initial window of 256 KiB.
const CREDIT_STEP_INITIAL: u32 = 64 << 10;

/// Unsealed bytes below which a writer that was refused is told to go on.
const SEND_LOW_WATER: usize = SEND_PIPE_MAX / 2;

impl StreamSlot {
    pub(crate) fn new(connection: &Arc<Connection>, state: State) -> Arc<Self> {
        Arc::new(Self {
            connection: Arc::clone(connection),
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
                send: Pipe::default(),
                read_armed: false,
                write_armed: false,
                remote_ended: false,
                fin: FinState::Open,
                orders: Orders::default(),
                credit_step: CREDIT_STEP_INITIAL,
                awaiting: 0,
                reset: None,
                finished: false,
                framing: None,
                negotiation: None,
                announced: false,
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    // ---- JavaScript's calls ------------------------------------------------------------------

    /// The present state.
    pub fn state(&self) -> State {
        self.lock().state.state()
    }

    /// Copies up to `into.len()` received bytes; 0 when there are none, and the slot is then armed.
    ///
    /// # Errors
    /// [`CallError::EndOfStream`] reports the remote's end, which closes the read half.
    pub fn read(self: &Arc<Self>, into: &mut [u8]) -> Result<usize, CallError> {
        let mut inner = self.lock();
        if !inner.finished {
            permit(&inner, Operation::Read)?;
        }
        if into.is_empty() {
            return Ok(0);
        }
        let count = {
            let mut pool = self.connection.hub.pool().lock();
            inner.recv.copy_to(into, &mut pool)
        };
        if count == 0 {
            return self.read_nothing(inner);
        }
        self.consume(inner, count);
        Ok(count)
    }

    /// The pipe is empty: the end is reported, or the slot armed.
    fn read_nothing(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
    ) -> Result<usize, CallError> {
        if !inner.remote_ended {
            if inner.finished {
                return Err(CallError::Reset);
            }
            inner.read_armed = true;
            return Ok(0);
        }
        inner.state.apply(Input::EndReported);
        self.finish_if_done(inner);
        Err(CallError::EndOfStream)
    }

    /// Accounts for bytes that JavaScript took, and returns their credit when it is worth a frame.
    fn consume(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>, count: usize) {
        self.connection.sub_held(count);
        if inner.remote_ended {
            return;
        }
        inner.orders.consumed = inner.orders.consumed.saturating_add(count as u32);
        if inner.orders.consumed >= inner.credit_step && self.send_later(inner) {
            self.connection.kick();
        }
    }

    /// Takes whole messages side by side; see [`Framing`] and [`StreamSlot::set_framing`].
    ///
    /// # Errors
    /// [`CallError::BufferTooSmall`] when the first message does not fit, and the errors of
    /// [`StreamSlot::read`]. A broken or oversized prefix fails the stream.
    pub fn read_messages(
        self: &Arc<Self>,
        into: &mut [u8],
        lengths: &mut [u32],
    ) -> Result<usize, CallError> {
        let mut inner = self.lock();
        if !inner.finished {
            permit(&inner, Operation::Read)?;
        }
        let Some((framing, max)) = inner.framing else {
            return Err(CallError::State);
        };
        let before = inner.recv.len();
        let taken = {
            let mut pool = self.connection.hub.pool().lock();
            crate::messages::take(&mut inner.recv, framing, max, into, lengths, &mut pool)
        };
        let used = before - inner.recv.len();
        match taken {
            Ok(0) if inner.recv.is_empty() => self.read_nothing(inner),
            Ok(0) if inner.remote_ended => {
                // A truncated message: the rest of it is what JavaScript reports.
                Err(CallError::BufferTooSmall(0))
            }
            Ok(0) => {
                inner.read_armed = true;
                Ok(0)
            }
            Ok(count) => {
                self.consume(inner, used);
                Ok(count)
            }
            Err(crate::messages::TakeError::TooSmall(length)) => {
                Err(CallError::BufferTooSmall(length))
            }
            Err(crate::messages::TakeError::Fault(fault)) => {
                drop(inner);
                self.fail(fault);
                Err(CallError::Failed(fault))
            }
        }
    }

    /// Sets how [`StreamSlot::read_messages`] cuts the stream.
    pub fn set_framing(&self, framing: Framing, message_bytes_max: usize) {
        self.lock().framing = Some((framing, message_bytes_max));
    }

    /// Accepts as many of `bytes` as there is room for; fewer than given arms `writable`.
    ///
    /// # Errors
    /// As the state has it.
    pub fn write(self: &Arc<Self>, bytes: &[u8]) -> Result<usize, CallError> {
        let mut inner = self.lock();
        permit(&inner, Operation::Write)?;
        let count = self.send_room(&inner).min(bytes.len());
        if count < bytes.len() {
            inner.write_armed = true;
        }
        if count > 0 {
            self.push_send(&mut inner, &bytes[..count]);
            self.send_later(inner);
        }
        Ok(count)
    }

    /// Accepts all of `bytes`, which the caller has kept within the credit it was told, and
    /// answers with the credit left; zero or less arms `writable`.
    ///
    /// # Errors
    /// As the state has it.
    pub fn submit(self: &Arc<Self>, bytes: &[u8]) -> Result<i32, CallError> {
        let mut inner = self.lock();
        permit(&inner, Operation::Write)?;
        self.push_send(&mut inner, bytes);
        let credit = self.send_room(&inner) as i32;
        if credit == 0 {
            inner.write_armed = true;
        }
        self.send_later(inner);
        Ok(credit)
    }

    /// Ends the read half here; what arrives later is dropped and its credit given back.
    ///
    /// # Errors
    /// As the state has it.
    pub fn close_read(self: &Arc<Self>) -> Result<State, CallError> {
        let mut inner = self.lock();
        if permit(&inner, Operation::CloseRead)? == Verdict::NoOp {
            return Ok(inner.state.state());
        }
        self.stop_reading(&mut inner);
        inner.state.apply(Input::CloseRead);
        Ok(self.after_close(inner))
    }

    /// Ends the write half after everything written.
    ///
    /// # Errors
    /// As the state has it.
    pub fn close_write(self: &Arc<Self>) -> Result<State, CallError> {
        let mut inner = self.lock();
        if permit(&inner, Operation::CloseWrite)? == Verdict::NoOp {
            return Ok(inner.state.state());
        }
        inner.state.apply(Input::CloseWrite);
        inner.fin = FinState::Wanted;
        Ok(self.after_close(inner))
    }

    /// Ends both halves: flush, FIN, and no more reads.
    pub fn close(self: &Arc<Self>) -> State {
        let mut inner = self.lock();
        if inner.state.check(Operation::Close) == Verdict::NoOp || inner.state.is_terminal() {
            return inner.state.state();
        }
        if inner.fin == FinState::Open {
            inner.fin = FinState::Wanted;
        }
        self.stop_reading(&mut inner);
        inner.state.apply(Input::Close);
        self.after_close(inner)
    }

    /// Ends both halves at once: unread and unsent bytes are dropped, the remote sees `code`.
    pub fn reset(self: &Arc<Self>, code: u32) -> State {
        let mut inner = self.lock();
        if inner.state.is_terminal() || inner.finished {
            return inner.state.state();
        }
        inner.state.apply(Input::Reset {
            code,
            remote: false,
        });
        self.drop_pipes(&mut inner);
        inner.orders.reset = Some(code);
        let state = inner.state.state();
        inner.finished = true;
        self.tell(&mut inner, Pending::CLOSED);
        self.send_later(inner);
        state
    }

    /// Moves to `next` where SURFACE's table allows it.
    ///
    /// # Errors
    /// [`CallError::State`] for any other move.
    pub fn set_state(self: &Arc<Self>, next: State) -> Result<State, CallError> {
        if !self.lock().state.can_move(next) {
            return Err(CallError::State);
        }
        match next {
            State::CloseRead => self.close_read(),
            State::CloseWrite => self.close_write(),
            State::CloseBoth => Ok(self.close()),
            State::Reset => Ok(self.reset(0)),
            State::Error => {
                self.fail(StreamFault::Negotiation);
                Ok(self.state())
            }
            State::Init | State::Open => Ok(self.state()),
        }
    }

    // ---- the connection's side ---------------------------------------------------------------

    /// Ends the stream with a fault of the remote's: state ERROR, RST on the wire.
    pub(crate) fn fail(self: &Arc<Self>, fault: StreamFault) {
        let mut inner = self.lock();
        if inner.state.is_terminal() || inner.finished {
            return;
        }
        inner.state.apply(Input::Fail { code: fault as u16 });
        self.drop_pipes(&mut inner);
        inner.orders.reset = Some(0);
        inner.finished = true;
        inner.reset = Some(ResetReport {
            code: 0,
            remote: false,
            connection_lost: false,
            fault: Some(fault),
        });
        inner.settle_fault = Some(fault);
        self.tell(&mut inner, Pending::RESET);
        self.tell(&mut inner, Pending::CLOSED);
        self.send_later(inner);
    }

    /// The remote's RST or the end of the connection.
    ///
    /// Where the FIN came first, the unread bytes stay readable and the end follows them.
    pub(crate) fn end(self: &Arc<Self>, report: ResetReport) {
        let mut inner = self.lock();
        inner.key = None;
        if inner.finished {
            return;
        }
        if inner.remote_ended && inner.state.is_read_open() {
            inner.state.apply(Input::CloseWrite);
            let mut pool = self.connection.hub.pool().lock();
            self.connection.sub_unsealed(inner.send.len());
            inner.send.clear(&mut pool);
        } else {
            inner.state.apply(Input::Reset {
                code: report.code,
                remote: report.remote,
            });
            self.drop_pipes(&mut inner);
        }
        inner.finished = true;
        inner.reset = Some(report);
        inner
            .settle_fault
            .get_or_insert(StreamFault::ConnectionClosed);
        self.tell(&mut inner, Pending::RESET);
        self.tell(&mut inner, Pending::CLOSED);
    }

    /// Bytes arrived. Returns what the connection now holds more.
    pub(crate) fn deliver(self: &Arc<Self>, bytes: &[u8]) {
        let mut inner = self.lock();
        if !inner.state.is_read_open() || inner.finished {
            return;
        }
        {
            let mut pool = self.connection.hub.pool().lock();
            inner.recv.push(bytes, &mut pool);
        }
        self.connection.add_held(bytes.len());
        if inner.pending.contains(Pending::READABLE) {
            inner.awaiting += bytes.len();
            self.connection.add_awaiting(bytes.len());
        } else if inner.read_armed {
            self.announce_readable(&mut inner);
        }
    }

    /// The remote ended its half.
    pub(crate) fn deliver_end(self: &Arc<Self>) {
        let mut inner = self.lock();
        inner.remote_ended = true;
        if inner.read_armed && !inner.pending.contains(Pending::READABLE) {
            self.announce_readable(&mut inner);
        }
    }

    fn announce_readable(self: &Arc<Self>, inner: &mut Inner) {
        inner.read_armed = false;
        inner.awaiting = inner.recv.len();
        self.connection.add_awaiting(inner.awaiting);
        self.tell(inner, Pending::READABLE);
    }

    /// Sets a pending bit and queues the slot for JavaScript.
    pub(crate) fn tell(self: &Arc<Self>, inner: &mut Inner, fact: Pending) {
        if !inner.announced {
            return;
        }
        inner.pending.insert(fact);
        if !inner.queued {
            inner.queued = true;
            self.connection.hub.queue(Ready::Stream(Arc::clone(self)));
        }
    }

    /// Bytes left the send pipe: a writer that was refused may go on.
    pub(crate) fn drained(self: &Arc<Self>, inner: &mut Inner) {
        if inner.write_armed && inner.send.len() <= SEND_LOW_WATER && self.send_room(inner) > 0 {
            inner.write_armed = false;
            self.tell(inner, Pending::WRITABLE);
        }
    }

    /// Queues `closed` once both halves are done and our FIN is out.
    pub(crate) fn finish_if_done(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) {
        if inner.finished || inner.state.state() != State::CloseBoth || inner.fin != FinState::Sent
        {
            return;
        }
        inner.finished = true;
        self.tell(&mut inner, Pending::CLOSED);
    }

    pub(crate) fn send_room(&self, inner: &Inner) -> usize {
        let held = inner.send.len();
        let unsealed = self.connection.unsealed.load(Ordering::Relaxed);
        let share = UNSEALED_SHARE.saturating_sub(held);
        SEND_PIPE_MAX
            .saturating_sub(held)
            .min(UNSEALED_MAX.saturating_sub(unsealed))
            .max(share)
    }

    /// Appends to the send pipe, whatever its room.
    pub(crate) fn push_send(&self, inner: &mut Inner, bytes: &[u8]) {
        let mut pool = self.connection.hub.pool().lock();
        inner.send.push(bytes, &mut pool);
        self.connection
            .unsealed
            .fetch_add(bytes.len(), Ordering::Relaxed);
    }

    fn stop_reading(&self, inner: &mut Inner) {
        inner.orders.discard = true;
        self.connection.sub_held(inner.recv.len());
        self.settle_awaiting(inner);
        inner.recv.clear(&mut self.connection.hub.pool().lock());
    }

    fn drop_pipes(&self, inner: &mut Inner) {
        self.connection.sub_held(inner.recv.len());
        self.settle_awaiting(inner);
        self.connection.sub_unsealed(inner.send.len());
        let mut pool = self.connection.hub.pool().lock();
        inner.recv.clear(&mut pool);
        inner.send.clear(&mut pool);
    }

    /// Nothing of this slot awaits JavaScript any more.
    pub(crate) fn settle_awaiting(&self, inner: &mut Inner) {
        let awaiting = std::mem::take(&mut inner.awaiting);
        if awaiting > 0 {
            self.connection.sub_awaiting(awaiting);
        }
    }

    fn after_close(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) -> State {
        let state = inner.state.state();
        if !inner.finished && state == State::CloseBoth && inner.fin == FinState::Sent {
            inner.finished = true;
            self.tell(&mut inner, Pending::CLOSED);
        }
        self.send_later(inner);
        state
    }

    /// Out of its connection's list, with no frame: a stream that has not ended is reset.
    pub fn remove(self: &Arc<Self>) -> State {
        let done = self.lock().state.is_done();
        if done { self.state() } else { self.reset(0) }
    }

    /// Puts the slot into the connection's outbox; tells whether it was not there yet.
    pub(crate) fn send_later(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) -> bool {
        let fresh = !inner.outgoing;
        inner.outgoing = true;
        drop(inner);
        if fresh {
            self.connection.post(Arc::clone(self));
        }
        fresh
    }
}

fn permit(inner: &Inner, operation: Operation) -> Result<Verdict, CallError> {
    match inner.state.check(operation) {
        Verdict::Refuse(refusal) => Err(match refusal {
            Refusal::EndOfStream => CallError::EndOfStream,
            Refusal::Closed => CallError::Closed,
            Refusal::Reset => CallError::Reset,
            Refusal::Failed => {
                CallError::Failed(inner.settle_fault.unwrap_or(StreamFault::Negotiation))
            }
        }),
        verdict => Ok(verdict),
    }
}
