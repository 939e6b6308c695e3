//! Proposals that JavaScript decides on, as the stream keeps them.

use ferroswarm_proto::multistream::{Answer, ProtocolId};

use crate::handlers::Handler;
use crate::sync::Arc;

use super::{Pending, StreamSlot};

impl StreamSlot {
    /// Asks JavaScript about `name`, unless that has been done.
    pub(crate) fn query(self: &Arc<Self>, name: &ProtocolId) {
        let mut inner = self.lock();
        if inner.notifications.query(name) {
            self.notify(&mut inner, Pending::QUERIED);
        }
    }

    /// The protocol that JavaScript is asked about.
    pub(crate) fn queried(&self) -> Option<ProtocolId> {
        self.lock().notifications.queried().cloned()
    }

    /// Frees the place in the backlog of a stream that JavaScript never hears of. One that it is about to be asked
    /// about, or told of, counts until then: the ready list holds it as long.
    pub(crate) fn never_announced(&self) {
        let mut inner = self.lock();
        let known = &inner.notifications;
        if !known.is_announced() && !known.is_pending(Pending::QUERIED) {
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
    pub(crate) fn withdraw_query(&self, answer: Answer<Handler>) -> Vec<u8> {
        let mut inner = self.lock();
        if answer == Answer::Refuse {
            inner.notifications.withdraw_question();
        }
        inner.read.withdraw_query(&self.carrier)
    }
}
