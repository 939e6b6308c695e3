//! A connection's turn with one of its streams: the stream's commands and pending output.

use ferroswarm_proto::multistream::Answer;
use ferroswarm_proto::muxer::StreamKey;
use ferroswarm_proto::stream::{FinDue, FinState, Input, Pipe, State, WriteInput};

use crate::connection::Negotiation;
use crate::handlers::Handler;
use crate::resources::StreamScope;
use crate::sync::{Arc, MutexGuard};

use super::notifications::Pending;
use super::{Commands, Inner, StreamSlot, Wire};

/// A stream locked by its connection: commands given meanwhile wait for the next turn.
pub(crate) struct Turn<'a> {
    slot: &'a Arc<StreamSlot>,
    inner: MutexGuard<'a, Inner>,
}

/// State of a stream on the wire.
pub(crate) enum Place {
    /// Open under this key.
    Open(StreamKey),
    /// To be opened.
    Wanted,
    /// Removed from the wire, or ended before it was opened.
    Gone,
}

/// State of our half at the end of a turn.
pub(crate) enum LocalEnd {
    /// The FIN was sent.
    Sent,
    /// The read half is closed, and `unsent` bytes precede the end of ours.
    Lingers { unsent: usize },
    /// The stream is still in use.
    Open,
}

impl StreamSlot {
    /// Begins a turn.
    pub(crate) fn turn(self: &Arc<Self>) -> Turn<'_> {
        Turn {
            slot: self,
            inner: self.lock(),
        }
    }
}

impl<'a> Turn<'a> {
    /// Returns the stream's state on the wire. An abandoned stream still delivers the bytes written
    /// before.
    pub(crate) fn place(&self) -> Place {
        let inner = &self.inner;
        match inner.wire {
            Wire::Open(key) => Place::Open(key),
            Wire::Unopened(_) if inner.write.fin() != FinState::Cut => Place::Wanted,
            Wire::Unopened(_) | Wire::Off => Place::Gone,
        }
    }

    /// Marks the stream as opened under `key`; returns the negotiation, which the connection
    /// continues.
    pub(crate) fn opened(&mut self, key: StreamKey) -> Option<Box<Negotiation>> {
        let Self { slot, inner } = self;
        let before = std::mem::replace(&mut inner.wire, Wire::Open(key));
        if inner.write.half().takes_bytes() && inner.state.state() == State::Init {
            inner.state.apply(Input::Negotiated);
            slot.notify(inner, Pending::NEGOTIATED);
        }
        match before {
            Wire::Unopened(negotiation) => negotiation,
            Wire::Open(_) | Wire::Off => None,
        }
    }

    /// Abandons opening the stream, which leaves the ring; returns whether it was unopened.
    pub(crate) fn give_up(&mut self) -> bool {
        self.leave_ring();
        let unopened = matches!(self.inner.wire, Wire::Unopened(_));
        if unopened {
            self.inner.wire = Wire::Off;
        }
        unopened
    }

    /// Marks the stream as having nothing to send: the next command posts it again.
    pub(crate) fn leave_ring(&mut self) {
        self.inner.outgoing = false;
    }

    /// Scope of the stream.
    pub(crate) fn scope(&mut self) -> Option<&mut StreamScope> {
        self.inner.scope.as_mut()
    }

    /// Takes JavaScript's answer to a protocol query.
    pub(crate) fn take_answer(&mut self) -> Option<Answer<Handler>> {
        self.inner.commands.answer.take()
    }

    /// Returns whether bytes written before a pending reset go first.
    pub(crate) fn has_bytes_before_reset(&self) -> bool {
        let Commands {
            reset,
            reset_is_behind,
            ..
        } = self.inner.commands;
        reset.is_some() && reset_is_behind && self.held() > 0
    }

    /// Takes the code of a pending reset, and drops what is unsent.
    pub(crate) fn take_reset(&mut self) -> Option<u32> {
        let code = self.inner.commands.reset.take()?;
        let Self { slot, inner } = self;
        inner.write.cut(&slot.carrier);
        Some(code)
    }

    /// Returns whether the inbound stream was accepted since the last turn.
    pub(crate) fn take_accept(&mut self) -> bool {
        std::mem::take(&mut self.inner.commands.accept)
    }

    /// Returns whether the read half was closed since the last turn; bytes read before then need no
    /// credit.
    pub(crate) fn take_discard(&mut self) -> bool {
        let discards = std::mem::take(&mut self.inner.commands.discard);
        if discards {
            self.inner.read.take_consumed();
        }
        discards
    }

    /// Returns whether the write half is open.
    pub(crate) fn is_write_open(&self) -> bool {
        self.inner.write.fin() == FinState::Open
    }

    /// Takes the number of bytes that JavaScript has read since the last turn.
    pub(crate) fn take_consumed(&mut self) -> u32 {
        self.inner.read.take_consumed()
    }

    /// Sets the number of consumed bytes at which credit is worth a frame.
    pub(crate) fn set_credit_step(&mut self, bytes: u32) {
        self.inner.read.set_credit_step(bytes);
    }

    /// Number of bytes waiting to be sent.
    pub(crate) fn held(&self) -> usize {
        self.inner.write.pipe().len()
    }

    /// Bytes waiting to be sent.
    pub(crate) fn to_send(&self) -> &Pipe {
        self.inner.write.pipe()
    }

    /// Records that `count` bytes are sealed.
    pub(crate) fn sent(&mut self, count: usize) {
        let Self { slot, inner } = self;
        inner.write.advance(count, &slot.carrier);
        slot.drained(inner);
    }

    /// Returns whether the FIN follows the last byte. While a choice of protocols is pending it
    /// never does; before the answer to a single proposal it does if the remote
    /// `accepts_early_fin`: js-libp2p loses a FIN that arrives before its handler listens.
    pub(crate) fn is_fin_due(&self, accepts_early_fin: bool) -> bool {
        match self.inner.write.half().fin_due() {
            FinDue::Now => true,
            FinDue::OnAnswer => accepts_early_fin,
            FinDue::Not => false,
        }
    }

    /// Records that the FIN is sealed.
    pub(crate) fn fin_sent(&mut self) {
        self.inner.write.apply(WriteInput::FinSent);
    }

    /// Ends the turn, and finishes the stream if it is complete.
    pub(crate) fn end(mut self) -> LocalEnd {
        let Self { slot, inner } = &mut self;
        match inner.write.fin() {
            FinState::Sent => {
                slot.finish_if_done(inner);
                LocalEnd::Sent
            }
            FinState::Wanted | FinState::Withheld | FinState::Cut
                if !inner.state.is_read_open() =>
            {
                LocalEnd::Lingers {
                    unsent: inner.write.pipe().len(),
                }
            }
            FinState::Open | FinState::Wanted | FinState::Withheld | FinState::Cut => {
                LocalEnd::Open
            }
        }
    }
}

impl StreamSlot {
    /// Marks the stream as being in the ring; returns false if it already is, or is in the outbox.
    pub(crate) fn enter_ring(&self) -> bool {
        !std::mem::replace(&mut self.lock().outgoing, true)
    }

    pub(crate) fn is_on_wire(&self) -> bool {
        self.lock().wire.key().is_some()
    }

    /// Records that the connection has removed the stream.
    pub(crate) fn removed_from_wire(&self) {
        let mut inner = self.lock();
        inner.wire = Wire::Off;
        inner.write.apply(WriteInput::Cut);
        inner.release_scope(self.direction, &self.carrier);
    }

    /// Returns whether the stream has finished for JavaScript: no further events follow.
    pub(crate) fn is_finished(&self) -> bool {
        self.lock().notifications.is_finished()
    }

    /// Returns the key if the stream is finished and still on the wire.
    pub(crate) fn finished_key(&self) -> Option<StreamKey> {
        let inner = self.lock();
        inner
            .wire
            .key()
            .filter(|_| inner.notifications.is_finished())
    }

    /// Returns whether a reset is still to be sent.
    pub(crate) fn has_pending_reset(&self) -> bool {
        let inner = self.lock();
        inner.wire.key().is_some() && inner.commands.reset.is_some()
    }

    /// Returns whether a requested FIN has not been sent.
    pub(crate) fn has_unsent_fin(&self) -> bool {
        self.lock().write.fin() == FinState::Wanted
    }

    pub(crate) fn is_read_open(&self) -> bool {
        self.lock().state.is_read_open()
    }

    /// Returns the number of bytes waiting to be sent, and whether the stream is finished.
    pub(crate) fn unsent(&self) -> (usize, bool) {
        let inner = self.lock();
        (inner.write.pipe().len(), inner.notifications.is_finished())
    }
}
