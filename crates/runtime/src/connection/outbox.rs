//! Requests of other threads to a connection, for the next holder of the core lock.

use std::collections::VecDeque;

use crate::error::CallError;
use crate::slot::StreamSlot;
use crate::sync::Arc;

use super::CloseRequest;
use super::streams::Streams;

/// Pending requests to the connection.
#[derive(Default)]
pub(super) struct Outbox {
    /// Streams with pending output, each at most once (its `outgoing` flag).
    streams: VecDeque<Arc<StreamSlot>>,
    close: Option<CloseRequest>,
    /// The remote has sent GoAway and accepts no more streams.
    going_away: bool,
    /// The connection has ended; nothing more is accepted.
    dead: bool,
}

impl Outbox {
    /// Reason for refusing new streams: [`CallError::ConnectionClosed`] or
    /// [`CallError::GoingAway`].
    pub(super) fn refusal(&self) -> Option<CallError> {
        if self.dead || self.close.is_some() {
            Some(CallError::ConnectionClosed)
        } else if self.going_away {
            Some(CallError::GoingAway)
        } else {
            None
        }
    }

    /// Posts a stream with pending output. Returns false after the remote's GoAway, when the
    /// connection may end with this stream.
    pub(super) fn post(&mut self, slot: Arc<StreamSlot>) -> bool {
        if !self.dead {
            self.streams.push_back(slot);
        }
        !self.going_away
    }

    /// Requests a close. A request that waits for less overrides one that waits for more.
    pub(super) fn close(&mut self, request: CloseRequest) {
        if self.close.is_none_or(|known| known.manner < request.manner) {
            self.close = Some(request);
        }
    }

    /// The pending close request.
    pub(super) const fn close_request(&self) -> Option<CloseRequest> {
        self.close
    }

    /// Posted streams that have not been collected.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Arc<StreamSlot>> {
        self.streams.iter()
    }

    pub(super) fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Moves the posted streams to `streams`; returns the pending close request.
    pub(super) fn collect(&mut self, streams: &mut Streams) -> Option<CloseRequest> {
        streams.post(&mut self.streams);
        self.close
    }

    /// Records that the remote accepts no more streams.
    pub(super) const fn stop_opening(&mut self) {
        self.going_away = true;
    }

    /// Marks the connection as ended; returns the posted streams that have not been collected.
    pub(super) fn end(&mut self) -> VecDeque<Arc<StreamSlot>> {
        self.dead = true;
        std::mem::take(&mut self.streams)
    }
}
