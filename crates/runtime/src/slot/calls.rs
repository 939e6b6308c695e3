//! JavaScript's calls on a stream: synchronous, and never on the wire by themselves.

use ferroswarm_proto::framing::Framing;
use ferroswarm_proto::stream::{
    Agreement, FinState, Input, Operation, Refusal, State, Verdict, WriteInput,
};

use crate::error::{CallError, StreamFault};
use crate::messages::TakeError;
use crate::sync::{Arc, MutexGuard};

use super::reader::Messages;
use super::{Inner, StreamSlot};

impl StreamSlot {
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
        permit(&inner, Operation::Read)?;
        if into.is_empty() {
            return Ok(0);
        }
        let count = inner.read.copy_to(into, &self.carrier);
        if count == 0 {
            return self.read_nothing(inner);
        }
        self.consume(inner, count);
        Ok(count)
    }

    /// Arms the slot as a read does that finds nothing.
    pub fn arm(self: &Arc<Self>) {
        let mut inner = self.lock();
        inner.read.arm();
        if !inner.read.is_empty() || inner.read.is_ended() {
            self.announce_readable(&mut inner);
        }
    }

    /// The pipe is empty: the end is reported, or the slot armed.
    fn read_nothing(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
    ) -> Result<usize, CallError> {
        if !inner.read.is_ended() {
            inner.read.arm();
            return Ok(0);
        }
        inner.state.apply(Input::EndReported);
        if self.finish_if_done(&mut inner) || inner.write.fin() == FinState::Wanted {
            // The connection still has an entry for it; nobody waits for that to go.
            self.send_later(inner);
        }
        Err(CallError::EndOfStream)
    }

    /// Accounts for bytes that JavaScript took, and returns their credit when it is worth a frame.
    fn consume(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>, count: usize) {
        if inner.read.consume(count, &self.carrier) && self.send_later(inner) {
            self.carrier.kick();
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
        permit(&inner, Operation::Read)?;
        let taken = inner.read.take_messages(into, lengths, &self.carrier);
        match taken.ok_or(CallError::State)? {
            Ok(Messages { count: 0, .. }) if inner.read.is_empty() => self.read_nothing(inner),
            Ok(Messages { count: 0, .. }) if inner.read.is_ended() => {
                // A truncated message: the rest of it is what JavaScript reports.
                Err(CallError::BufferTooSmall(0))
            }
            Ok(Messages { count: 0, .. }) => {
                inner.read.arm();
                Ok(0)
            }
            Ok(Messages { count, bytes }) => {
                self.consume(inner, bytes);
                Ok(count)
            }
            Err(TakeError::TooSmall(length)) => Err(CallError::BufferTooSmall(length)),
            Err(TakeError::Fault(fault)) => {
                drop(inner);
                self.fail(fault);
                // A read is followed by no flush that would carry the reset.
                self.carrier.kick();
                Err(CallError::Failed(fault))
            }
        }
    }

    /// Sets how [`StreamSlot::read_messages`] cuts the stream.
    pub fn set_framing(&self, framing: Framing, message_bytes_max: usize) {
        self.lock().read.set_framing(framing, message_bytes_max);
    }

    /// Accepts as many of `bytes` as there is room for; fewer than given arms `writable`.
    ///
    /// # Errors
    /// As the state has it.
    pub fn write(self: &Arc<Self>, bytes: &[u8]) -> Result<usize, CallError> {
        let mut inner = self.lock();
        permit(&inner, Operation::Write)?;
        let room = if inner.write.half().takes_bytes() {
            inner.write.room(&self.carrier)
        } else {
            0
        };
        let count = room.min(bytes.len());
        if count < bytes.len() {
            inner.write.arm();
        }
        if count > 0 {
            inner.write.push(&bytes[..count], &self.carrier);
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
        if !inner.write.half().takes_bytes() {
            return Err(CallError::State);
        }
        inner.write.push(bytes, &self.carrier);
        let credit = inner.write.room(&self.carrier) as i32;
        if credit == 0 {
            inner.write.arm();
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
        inner.write.apply(WriteInput::Close);
        Ok(self.after_close(inner))
    }

    /// Ends both halves: flush, FIN, and no more reads.
    pub fn close(self: &Arc<Self>) -> State {
        let mut inner = self.lock();
        if inner.state.check(Operation::Close) == Verdict::NoOp {
            return inner.state.state();
        }
        inner.write.apply(WriteInput::Close);
        self.stop_reading(&mut inner);
        inner.state.apply(Input::Close);
        self.after_close(inner)
    }

    /// Ends both halves at once: unread and unsent bytes are dropped, the remote sees `code`.
    ///
    /// After both halves were closed it does nothing: what was accepted before is still delivered.
    pub fn reset(self: &Arc<Self>, code: u32) -> State {
        let mut inner = self.lock();
        if inner.state.check(Operation::Reset) == Verdict::NoOp || inner.notifications.is_finished()
        {
            return inner.state.state();
        }
        inner.state.apply(Input::Reset {
            code,
            remote: false,
        });
        self.drop_pipes(&mut inner);
        inner.orders.reset = Some(code);
        let state = inner.state.state();
        self.finish(&mut inner);
        self.send_later(inner);
        state
    }

    /// Moves to `next` where the table of states allows it.
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
                self.fail(StreamFault::Application);
                Ok(self.state())
            }
            State::Init | State::Open => Ok(self.state()),
        }
    }

    /// Forgets the stream without a word: what was written is delivered, what comes is dropped.
    ///
    /// A remote that does not reset it meanwhile is told by a reset when the stream has lingered.
    pub fn remove(self: &Arc<Self>) -> State {
        let mut inner = self.lock();
        if inner.state.is_done() || inner.notifications.is_finished() {
            return inner.state.state();
        }
        inner.write.apply(WriteInput::Forget);
        self.stop_reading(&mut inner);
        inner.state.apply(Input::Close);
        let state = inner.state.state();
        self.finish(&mut inner);
        self.send_later(inner);
        state
    }

    /// Whether the remote has not agreed to the only proposal: its answer is reported when it comes. Where the
    /// stream has ended without one, the record of that end is the report.
    pub fn awaits_answer(&self) -> bool {
        let mut inner = self.lock();
        inner.write.apply(WriteInput::Await);
        match inner.write.half().agreement() {
            Agreement::Unanswered | Agreement::Awaited | Agreement::Unmet => true,
            Agreement::Agreed | Agreement::Undecided => false,
        }
    }

    fn after_close(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) -> State {
        let state = inner.state.state();
        self.finish_if_done(&mut inner);
        self.send_later(inner);
        state
    }
}

fn permit(inner: &Inner, operation: Operation) -> Result<Verdict, CallError> {
    match inner.state.check(operation) {
        Verdict::Refuse(refusal) => Err(match refusal {
            Refusal::EndOfStream => CallError::EndOfStream,
            Refusal::Closed => CallError::Closed,
            Refusal::Reset => CallError::Reset,
            Refusal::Failed => {
                let fault = inner.reset.and_then(|report| report.fault);
                CallError::Failed(fault.unwrap_or(StreamFault::Negotiation))
            }
        }),
        verdict => Ok(verdict),
    }
}
