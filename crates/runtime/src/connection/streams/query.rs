//! Proposals that JavaScript decides on: its predicates are asked about names that the table does not
//! have.
//!
//! The question goes up as a fact of the stream, the answer comes down as an order of it. Until then
//! what the remote sends waits in the stream's own pipe, within its window and the connection's
//! memory; the deadline of the negotiation holds, and every other stream goes on.

use ferroswarm_proto::multistream::Answer;
use ferroswarm_proto::muxer::StreamKey;

use crate::connection::Connection;
use crate::connection::link::Link;
use crate::handlers::Handler;
use crate::sync::Arc;

use super::Streams;

impl Streams {
    /// JavaScript has decided: the negotiation goes on with what has come meanwhile.
    pub(super) fn answered(
        &mut self,
        link: &mut Link,
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
        let waiting = entry.slot.withdraw_query(answer);
        self.received(link, connection, key, &waiting);
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
            slot.never_announced();
            self.requeue(&slot);
        }
    }
}
