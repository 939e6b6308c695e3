//! What other threads have asked of a connection, for whoever next holds the core's lock.

use std::collections::VecDeque;

use crate::error::CallError;
use crate::slot::StreamSlot;
use crate::sync::Arc;

use super::CloseRequest;
use super::streams::Streams;

/// Orders for the connection.
#[derive(Default)]
pub(super) struct Outbox {
    /// Streams with something to send, each at most once (its `outgoing` flag).
    streams: VecDeque<Arc<StreamSlot>>,
    close: Option<CloseRequest>,
    /// The remote's GoAway has come: it takes no more streams.
    going_away: bool,
    /// The connection has ended: nothing more is taken.
    dead: bool,
}

impl Outbox {
    /// Why no stream is opened any more: [`CallError::ConnectionClosed`] or [`CallError::GoingAway`].
    pub(super) fn refusal(&self) -> Option<CallError> {
        if self.dead || self.close.is_some() {
            Some(CallError::ConnectionClosed)
        } else if self.going_away {
            Some(CallError::GoingAway)
        } else {
            None
        }
    }

    /// Posts a stream with something to send. False when the connection takes no more streams, and so may end with
    /// this one.
    pub(super) fn post(&mut self, slot: Arc<StreamSlot>) -> bool {
        if !self.dead {
            self.streams.push_back(slot);
        }
        !self.going_away
    }

    /// Asks for the end. A request that waits for less overrides one that waits for more.
    pub(super) fn close(&mut self, request: CloseRequest) {
        if self.close.is_none_or(|known| known.manner < request.manner) {
            self.close = Some(request);
        }
    }

    /// How the connection is to end, if it is.
    pub(super) const fn close_request(&self) -> Option<CloseRequest> {
        self.close
    }

    /// Streams that were posted and not collected.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Arc<StreamSlot>> {
        self.streams.iter()
    }

    pub(super) fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Gives what was posted to `streams`; returns how the connection is to end, if it is.
    pub(super) fn collect(&mut self, streams: &mut Streams) -> Option<CloseRequest> {
        streams.post(&mut self.streams);
        self.close
    }

    /// The remote takes no more streams.
    pub(super) const fn open_no_more(&mut self) {
        self.going_away = true;
    }

    /// The connection has ended; returns what was posted and not collected.
    pub(super) fn end(&mut self) -> VecDeque<Arc<StreamSlot>> {
        self.dead = true;
        std::mem::take(&mut self.streams)
    }
}
