//! Proposals that JavaScript decides on: its predicates are asked about names that the table does not
//! have.
//!
//! The question goes up as a fact of the stream, the answer comes down as an order of it. Until then
//! what the remote sends waits in the stream's own pipe, within its window and the connection's
//! memory; the deadline of the negotiation holds, and every other stream goes on.

use ferroswarm_proto::multistream::{Answer, ProtocolId};
use ferroswarm_proto::muxer::StreamKey;

use crate::handlers::Handler;
use crate::slot::{Pending, StreamSlot};
use crate::sync::Arc;

use super::Connection;
use super::core::Core;

impl Core {
    /// JavaScript has decided: the negotiation goes on with what has come meanwhile.
    pub(super) fn answered(
        &mut self,
        connection: &Arc<Connection>,
        key: StreamKey,
        answer: Answer<Handler>,
    ) {
        let Some(entry) = self.entry(key) else { return };
        // Its time may have been up before the answer came.
        let Some(negotiation) = &mut entry.negotiation else {
            return;
        };
        negotiation.answer(answer);
        let remote_done = entry.remote_done;
        let waiting = entry.slot.take_back(answer);
        self.received(connection, key, &waiting);
        if remote_done {
            self.end_negotiation(key);
        }
    }

    /// The remote has ended its half: a negotiation that waits for more of it has failed.
    pub(super) fn end_negotiation(&mut self, key: StreamKey) {
        let Some(entry) = self.entry(key) else { return };
        let slot = Arc::clone(&entry.slot);
        let Some(negotiation) = &mut entry.negotiation else {
            return;
        };
        if let Err(fault) = negotiation.handle_end() {
            negotiation.give_up(&slot, fault);
            entry.negotiation = None;
            slot.never_told();
            self.requeue(&slot);
        }
    }
}

impl StreamSlot {
    /// Asks JavaScript about `name`, unless that has been done.
    pub(super) fn ask(self: &Arc<Self>, name: &ProtocolId) {
        let mut inner = self.lock();
        if inner.asked.is_none() && !inner.finished {
            inner.asked = Some(name.clone());
            self.tell(&mut inner, Pending::ASKED);
        }
    }

    /// The negotiation has failed: JavaScript never hears of the stream, unless it was asked about it and
    /// has not looked yet.
    pub(super) fn never_told(&self) {
        let mut inner = self.lock();
        if !inner.pending.contains(Pending::ASKED) {
            self.taken(&mut inner);
        }
    }

    /// JavaScript's answer, for the next turn of the connection.
    pub(crate) fn answer(self: &Arc<Self>, answer: Answer<Handler>) {
        let mut inner = self.lock();
        inner.orders.answer = Some(answer);
        self.send_later(inner);
    }

    /// Takes the question back, unless it was answered with yes, and what has come since it was asked.
    fn take_back(&self, answer: Answer<Handler>) -> Vec<u8> {
        let mut inner = self.lock();
        if answer == Answer::Refuse {
            inner.asked = None;
        }
        let mut bytes = vec![0; inner.recv.len()];
        inner
            .recv
            .copy_to(&mut bytes, &mut self.carrier.hub().pool());
        // They are received once more.
        inner.received -= bytes.len() as u64;
        self.charge(&mut inner);
        bytes
    }
}
