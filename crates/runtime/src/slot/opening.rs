//! How a stream begins: made by a connection, negotiated, and told of.

use ferroswarm_proto::muxer::StreamKey;
use ferroswarm_proto::stream::{Input, State};

use crate::connection::{Connection, Direction, Negotiation};
use crate::registry::Handle;
use crate::sync::Arc;

use super::{FinState, Pending, Proposals, StreamSlot};

impl StreamSlot {
    /// A stream that the remote has opened. It takes a place in the backlog until JavaScript is told of it.
    pub(crate) fn inbound(connection: &Arc<Connection>, key: StreamKey) -> Arc<Self> {
        let slot = Self::new(connection, Direction::Inbound, State::Open);
        {
            let mut inner = slot.lock();
            inner.key = Some(key);
            inner.untaken = true;
        }
        slot
    }

    /// A stream that JavaScript opens, with the first lines of its negotiation in the send pipe. It counts as posted.
    pub(crate) fn outbound(
        connection: &Arc<Connection>,
        proposals: Proposals,
        usable: bool,
        negotiation: Option<(Negotiation, Vec<u8>)>,
    ) -> Arc<Self> {
        let state = if usable { State::Open } else { State::Init };
        let slot = Self::new(connection, Direction::Outbound, state);
        {
            let mut inner = slot.lock();
            inner.outgoing = true;
            // From its first turn on the driver has facts to tell; they wait for the handle.
            inner.announced = true;
            inner.undecided = matches!(proposals, Proposals::AnyOf(_));
            if let Proposals::Lazy(protocol) = proposals {
                inner.protocol = protocol;
                inner.unanswered = true;
            }
            if let Some((negotiation, lines)) = negotiation {
                slot.push_send(&mut inner, &lines);
                inner.negotiation = Some(Box::new(negotiation));
            }
            inner.orders.open = Some(proposals);
        }
        slot
    }

    /// JavaScript knows the stream by `handle` from here on.
    pub(crate) fn set_handle(&self, handle: Handle) {
        self.lock().handle = Some(handle);
    }

    pub(crate) fn handle(&self) -> Option<Handle> {
        self.lock().handle
    }

    /// Tells JavaScript of an inbound stream and its protocol; returns whether it did.
    ///
    /// One that has ended meanwhile never is told of: it leaves the backlog as it came.
    pub(crate) fn announce(self: &Arc<Self>, protocol: u32) -> bool {
        let mut inner = self.lock();
        if inner.finished {
            return false;
        }
        inner.announced = true;
        inner.protocol = protocol;
        self.tell(&mut inner, Pending::OPENED);
        true
    }

    /// The protocol that an announced stream is served by.
    pub(crate) fn announced_protocol(&self) -> Option<u32> {
        let inner = self.lock();
        inner.announced.then_some(inner.protocol)
    }

    /// Sends lines of the negotiation. A stream that was reset meanwhile, or finished, sends nothing more.
    pub(crate) fn send_lines(&self, lines: &[u8]) {
        let mut inner = self.lock();
        if !lines.is_empty() && !inner.finished && inner.fin != FinState::Sent {
            self.push_send(&mut inner, lines);
        }
    }

    /// The remote has agreed to speak `protocol` on a stream that was opened here.
    pub(crate) fn agreed(self: &Arc<Self>, protocol: u32) {
        let mut inner = self.lock();
        inner.undecided = false;
        inner.unanswered = false;
        if inner.state.state() == State::Init {
            inner.protocol = protocol;
            inner.state.apply(Input::Settled);
            self.tell(&mut inner, Pending::SETTLED);
        } else if std::mem::take(&mut inner.answer_awaited) {
            self.tell(&mut inner, Pending::ANSWERED);
        }
        self.drained(&mut inner);
        self.finish_if_done(&mut inner);
    }
}
