//! Per-stream state of proposals that JavaScript decides on.

use ferroswarm_proto::multistream::{Answer, ProtocolId};

use crate::handlers::Handler;
use crate::sync::Arc;

use super::{Pending, StreamSlot};

impl StreamSlot {
    /// Queries JavaScript about `name`, unless it has been queried already.
    pub(crate) fn query(self: &Arc<Self>, name: &ProtocolId) {
        let mut inner = self.lock();
        if inner.notifications.query(name) {
            self.notify(&mut inner, Pending::QUERIED);
        }
    }

    /// Protocol that JavaScript is queried about, or has accepted.
    pub(crate) fn queried(&self) -> Option<ProtocolId> {
        self.lock().notifications.queried().cloned()
    }

    /// Frees the backlog place of a stream that is never announced. A stream with a pending query
    /// or announcement counts until that is drained, because the ready list holds it as long.
    pub(crate) fn release_unannounced(&self) {
        let mut inner = self.lock();
        let known = &inner.notifications;
        if !known.is_announced() && !known.is_pending(Pending::QUERIED) {
            self.release_place(&mut inner);
        }
    }

    /// Stores JavaScript's answer for the next turn of the connection.
    pub(crate) fn answer(self: &Arc<Self>, answer: Answer<Handler>) {
        let mut inner = self.lock();
        inner.commands.answer = Some(answer);
        self.send_later(inner);
    }

    /// Withdraws the query if it was declined; returns the bytes received since it was made.
    pub(crate) fn withdraw_query(&self, answer: Answer<Handler>) -> Vec<u8> {
        let mut inner = self.lock();
        if answer == Answer::Refuse {
            inner.notifications.withdraw_query();
        }
        inner.read.withdraw_query(&self.carrier)
    }
}
