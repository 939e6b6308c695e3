//! Proposals decided by JavaScript: its predicates are queried about names that the table lacks.
//!
//! The query is a notification of the stream, the answer a command to it. Until then, received
//! bytes wait in the stream's own pipe, within its window and the connection's memory; the
//! negotiation deadline still applies, and other streams are not blocked.

use ferroswarm_proto::multistream::Answer;
use ferroswarm_proto::muxer::StreamKey;

use crate::connection::Connection;
use crate::connection::link::StreamLink;
use crate::handlers::Handler;
use crate::sync::Arc;

use super::Streams;

impl Streams {
    /// Resumes the negotiation with JavaScript's answer and the bytes received meanwhile.
    pub(super) fn answered(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Arc<Connection>,
        key: StreamKey,
        answer: Answer<Handler>,
    ) {
        let Some(entry) = self.entry(key) else { return };
        // The negotiation may have timed out before the answer.
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

    /// Handles the end of the remote's half: a negotiation that expects more input has failed.
    pub(super) fn end_negotiation(&mut self, key: StreamKey) {
        let Some(entry) = self.entry(key) else { return };
        let slot = Arc::clone(&entry.slot);
        let Some(negotiation) = &mut entry.negotiation else {
            return;
        };
        if let Err(fault) = negotiation.handle_end() {
            negotiation.give_up(&slot, fault);
            entry.negotiation = None;
            slot.release_unannounced();
            self.requeue(&slot);
        }
    }
}
