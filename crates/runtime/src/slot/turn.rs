//! A connection's turn with one of its streams: what the stream has ordered, and what it has to send.

use ferroswarm_proto::multistream::Answer;
use ferroswarm_proto::muxer::StreamKey;
use ferroswarm_proto::stream::{FinDue, FinState, Input, Pipe, State, WriteInput};

use crate::connection::Negotiation;
use crate::handlers::Handler;
use crate::sync::{Arc, MutexGuard};

use super::notifications::Pending;
use super::{Inner, StreamSlot, Wire};

/// A stream whose lock the connection holds: an order that is given meanwhile waits for the next turn.
pub(crate) struct Turn<'a> {
    slot: &'a Arc<StreamSlot>,
    inner: MutexGuard<'a, Inner>,
}

/// Where a stream stands with the wire.
pub(crate) enum Place {
    /// On it, by this key.
    Open(StreamKey),
    /// It is to be opened.
    Wanted,
    /// It has left the wire, or was ended before it was ever on it.
    Gone,
}

/// How far our half has come by the end of a turn.
pub(crate) enum LocalEnd {
    /// The FIN is out.
    Sent,
    /// Nobody reads here any more, and so many bytes wait to be sent before the end.
    Lingers { unsent: usize },
    /// The stream goes on.
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
    /// Where the stream stands. One that was forgotten here delivers what was written before.
    pub(crate) fn place(&self) -> Place {
        let inner = &self.inner;
        match inner.wire {
            Wire::Open(key) => Place::Open(key),
            Wire::Unopened(_) if inner.write.fin() != FinState::Cut => Place::Wanted,
            Wire::Unopened(_) | Wire::Off => Place::Gone,
        }
    }

    /// It is on the wire by `key` from here on; returns the negotiation that goes on there.
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

    /// It will never be on the wire, and leaves the ring; returns whether it was to be.
    pub(crate) fn give_up(&mut self) -> bool {
        self.leave_ring();
        let unopened = matches!(self.inner.wire, Wire::Unopened(_));
        if unopened {
            self.inner.wire = Wire::Off;
        }
        unopened
    }

    /// It has nothing more to send for now: the next order posts it again.
    pub(crate) fn leave_ring(&mut self) {
        self.inner.outgoing = false;
    }

    /// JavaScript's answer to what it was asked.
    pub(crate) fn take_answer(&mut self) -> Option<Answer<Handler>> {
        self.inner.orders.answer.take()
    }

    /// The code of the reset that ends the stream on the wire.
    pub(crate) fn take_reset(&mut self) -> Option<u32> {
        self.inner.orders.reset.take()
    }

    /// Whether the inbound stream was taken since the last turn.
    pub(crate) fn take_accept(&mut self) -> bool {
        std::mem::take(&mut self.inner.orders.accept)
    }

    /// Whether nobody reads any more, since the last turn: what has been read needs no credit.
    pub(crate) fn take_discard(&mut self) -> bool {
        let discards = std::mem::take(&mut self.inner.orders.discard);
        if discards {
            self.inner.read.take_consumed();
        }
        discards
    }

    /// Bytes that JavaScript has read since the last turn.
    pub(crate) fn take_consumed(&mut self) -> u32 {
        self.inner.read.take_consumed()
    }

    /// Consumed bytes at which credit is worth a frame from here on.
    pub(crate) fn set_credit_step(&mut self, bytes: u32) {
        self.inner.read.set_credit_step(bytes);
    }

    /// Bytes that wait to be sent.
    pub(crate) fn held(&self) -> usize {
        self.inner.write.pipe().len()
    }

    /// The front of them.
    pub(crate) fn to_send(&self) -> &Pipe {
        self.inner.write.pipe()
    }

    /// `count` of them are sealed.
    pub(crate) fn sent(&mut self, count: usize) {
        let Self { slot, inner } = self;
        inner.write.advance(count, &slot.carrier);
        slot.drained(inner);
    }

    /// Whether the end goes behind the last byte. Before a choice of protocols it never does; before the answer to a
    /// single proposal it does if the remote `accepts_early_fin`: js-libp2p loses one that comes before its handler listens.
    pub(crate) fn ends(&self, accepts_early_fin: bool) -> bool {
        match self.inner.write.half().fin_due() {
            FinDue::Now => true,
            FinDue::OnAnswer => accepts_early_fin,
            FinDue::Not => false,
        }
    }

    /// The end is sealed.
    pub(crate) fn end_sent(&mut self) {
        self.inner.write.apply(WriteInput::FinSent);
    }

    /// Ends the turn: the stream is finished if that was all.
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
    /// Takes a place in the ring; false where it stands there or in the outbox.
    pub(crate) fn enter_ring(&self) -> bool {
        !std::mem::replace(&mut self.lock().outgoing, true)
    }

    pub(crate) fn is_on_wire(&self) -> bool {
        self.lock().wire.key().is_some()
    }

    /// The connection has forgotten it.
    pub(crate) fn left_wire(&self) {
        let mut inner = self.lock();
        inner.wire = Wire::Off;
        inner.write.apply(WriteInput::Cut);
    }

    /// Nothing happens to it any more, as far as JavaScript is concerned.
    pub(crate) fn is_finished(&self) -> bool {
        self.lock().notifications.is_finished()
    }

    /// Its key, if it is finished and still on the wire.
    pub(crate) fn finished_key(&self) -> Option<StreamKey> {
        let inner = self.lock();
        inner
            .wire
            .key()
            .filter(|_| inner.notifications.is_finished())
    }

    /// Whether the remote is still to be sent a reset of it.
    pub(crate) fn owes_reset(&self) -> bool {
        let inner = self.lock();
        inner.wire.key().is_some() && inner.orders.reset.is_some()
    }

    /// Whether its writing half was closed and the remote has not been sent the end.
    pub(crate) fn owes_end(&self) -> bool {
        self.lock().write.fin() == FinState::Wanted
    }

    pub(crate) fn is_read_open(&self) -> bool {
        self.lock().state.is_read_open()
    }

    /// Bytes that wait to be sent, and whether it is finished.
    pub(crate) fn unsent(&self) -> (usize, bool) {
        let inner = self.lock();
        (inner.write.pipe().len(), inner.notifications.is_finished())
    }
}
