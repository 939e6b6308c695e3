//! JavaScript's calls on a stream: synchronous, without writing to the wire themselves.

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
    /// Returns the current state.
    pub fn state(&self) -> State {
        self.lock().state.state()
    }

    /// Copies up to `into.len()` received bytes and returns their count; 0 if there are none, in
    /// which case the slot is armed.
    ///
    /// # Errors
    /// [`CallError::EndOfStream`] at the remote's FIN, which closes the read half; otherwise an
    /// error for a state that does not permit reads.
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

    /// Copies bytes that had arrived before the remote's reset or the loss of the connection, which
    /// [`StreamSlot::read`] refuses from then on. They are there until the end has been drained, if
    /// the node [keeps](crate::Limits::keep_unread) them; none before that end.
    pub fn read_left(&self, into: &mut [u8]) -> usize {
        let mut inner = self.lock();
        if !inner.notifications.is_finished() {
            return 0;
        }
        let count = inner.read.copy_to(into, &self.carrier);
        // Nobody is left to get credit.
        inner.read.consume(count, &self.carrier);
        count
    }

    /// Arms the slot as an empty read does.
    pub fn arm(self: &Arc<Self>) {
        let mut inner = self.lock();
        inner.read.arm();
        if !inner.read.is_empty() || inner.read.is_ended() {
            self.announce_readable(&mut inner);
        }
    }

    /// Handles a read from an empty pipe: reports the end or arms the slot.
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
            // Lets the connection remove its entry; no kick, because nothing waits for that.
            self.send_later(inner);
        }
        Err(CallError::EndOfStream)
    }

    /// Accounts for bytes read by JavaScript, and returns their credit once it is worth a frame.
    fn consume(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>, count: usize) {
        if inner.read.consume(count, &self.carrier) && self.send_later(inner) {
            self.carrier.kick();
        }
    }

    /// Copies complete messages back to back and returns their count; see [`Framing`] and
    /// [`StreamSlot::set_framing`].
    ///
    /// # Errors
    /// [`CallError::BufferTooSmall`] if the first message does not fit, and the errors of
    /// [`StreamSlot::read`]. A malformed or oversized prefix fails the stream.
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
                // A truncated message: JavaScript reads the remaining bytes and reports it.
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
                // No flush that would carry the reset follows a read.
                self.carrier.kick();
                Err(CallError::Failed(fault))
            }
        }
    }

    /// Sets the framing used by [`StreamSlot::read_messages`].
    pub fn set_framing(&self, framing: Framing, message_bytes_max: usize) {
        self.lock().read.set_framing(framing, message_bytes_max);
    }

    /// Accepts as many of `bytes` as there is room for and returns their count; a partial write
    /// arms `writable`.
    ///
    /// # Errors
    /// If the state does not permit writes.
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

    /// Accepts all of `bytes`, which the caller has kept within its credit, and returns the
    /// remaining credit; zero arms `writable`.
    ///
    /// # Errors
    /// If the state does not permit writes, or a choice of protocols is pending.
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

    /// Closes the read half; bytes received later are dropped and their credit is returned.
    ///
    /// # Errors
    /// If the state does not permit it.
    pub fn close_read(self: &Arc<Self>) -> Result<State, CallError> {
        let mut inner = self.lock();
        if permit(&inner, Operation::CloseRead)? == Verdict::NoOp {
            return Ok(inner.state.state());
        }
        self.stop_reading(&mut inner);
        inner.state.apply(Input::CloseRead);
        Ok(self.after_close(inner))
    }

    /// Drops received bytes from now on and returns their credit. Unlike
    /// [`close_read`](Self::close_read), the half stays open until the remote has ended it, which a
    /// read reports.
    ///
    /// # Errors
    /// If the state does not permit reads.
    pub fn discard(self: &Arc<Self>) -> Result<State, CallError> {
        let mut inner = self.lock();
        permit(&inner, Operation::Read)?;
        inner.commands.discard = true;
        inner.read.discard(&self.carrier);
        let state = inner.state.state();
        self.send_later(inner);
        Ok(state)
    }

    /// Closes the write half after all written bytes.
    ///
    /// # Errors
    /// If the state does not permit it.
    pub fn close_write(self: &Arc<Self>) -> Result<State, CallError> {
        let mut inner = self.lock();
        if permit(&inner, Operation::CloseWrite)? == Verdict::NoOp {
            return Ok(inner.state.state());
        }
        inner.state.apply(Input::CloseWrite);
        inner.write.apply(WriteInput::Close);
        Ok(self.after_close(inner))
    }

    /// Closes both halves: written bytes and FIN are still sent, nothing more is read.
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

    /// Resets both halves at once: unread and unsent bytes are dropped, the remote receives `code`.
    ///
    /// After both halves were closed this is a no-op: bytes accepted before are still delivered.
    pub fn reset(self: &Arc<Self>, code: u32) -> State {
        self.reset_with(code, false)
    }

    /// As [`StreamSlot::reset`], except that unsent bytes for which the remote has given credit are
    /// sent before, if the stream is open on the wire.
    pub fn reset_behind(self: &Arc<Self>, code: u32) -> State {
        self.reset_with(code, true)
    }

    fn reset_with(self: &Arc<Self>, code: u32, is_behind: bool) -> State {
        let mut inner = self.lock();
        if inner.state.check(Operation::Reset) == Verdict::NoOp || inner.notifications.is_finished()
        {
            return inner.state.state();
        }
        inner.state.apply(Input::Reset {
            code,
            remote: false,
        });
        // One that waits to be opened would hold its bytes for as long as it waits.
        let is_behind = is_behind && inner.wire.key().is_some();
        if is_behind {
            inner.read.clear(&self.carrier);
        } else {
            self.drop_pipes(&mut inner);
        }
        inner.commands.reset = Some(code);
        inner.commands.reset_is_behind = is_behind;
        let state = inner.state.state();
        self.finish(&mut inner);
        self.send_later(inner);
        state
    }

    /// Moves to `next` if the state table allows it.
    ///
    /// # Errors
    /// [`CallError::State`] for any other transition.
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

    /// Abandons the stream without a FIN: written bytes are delivered, received bytes are dropped.
    ///
    /// Unless the remote resets the stream first, it is reset after `linger_timeout`.
    pub fn remove(self: &Arc<Self>) -> State {
        let mut inner = self.lock();
        if inner.state.is_done() || inner.notifications.is_finished() {
            return inner.state.state();
        }
        inner.write.apply(WriteInput::Abandon);
        self.stop_reading(&mut inner);
        inner.state.apply(Input::Close);
        let state = inner.state.state();
        self.finish(&mut inner);
        self.send_later(inner);
        state
    }

    /// Returns whether the remote has not agreed to the only proposal, whose answer is then
    /// reported when it arrives. If the stream ends without one, the record of that end is the
    /// report.
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
