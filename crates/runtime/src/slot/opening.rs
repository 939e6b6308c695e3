//! Start of a stream: creation, negotiation and announcement.

use ferroswarm_proto::muxer::StreamKey;
use ferroswarm_proto::stream::{Agreement, FinState, Input, State, WriteInput};

use crate::connection::{Connection, Direction, Negotiation};
use crate::registry::Handle;
use crate::resources::StreamScope;
use crate::sync::Arc;

use super::notifications::{Notifications, Pending};
use super::{Carrier, Inner, Proposals, StreamSlot, Wire};

impl StreamSlot {
    /// Creates a stream opened by the remote. It takes a place in the backlog until JavaScript is
    /// notified of it.
    pub(crate) fn inbound(
        connection: &Arc<Connection>,
        scope: StreamScope,
        key: StreamKey,
    ) -> Arc<Self> {
        let mut inner = Inner::new(
            State::Open,
            Wire::Open(key),
            Agreement::Agreed,
            Notifications::opened_by_remote(),
        );
        inner.scope = Some(scope);
        let carrier = Carrier::Connection(Arc::clone(connection));
        Self::new(carrier, Direction::Inbound, inner)
    }

    /// Creates a stream opened by JavaScript, with the first negotiation lines in the send pipe. It
    /// counts as posted.
    pub(crate) fn outbound(
        connection: &Arc<Connection>,
        scope: StreamScope,
        proposals: &Proposals,
        usable: bool,
        negotiation: Option<(Negotiation, Vec<u8>)>,
    ) -> Arc<Self> {
        let state = if usable { State::Open } else { State::Init };
        let (agreement, protocol) = match *proposals {
            Proposals::Raw => (Agreement::Agreed, 0),
            Proposals::Lazy(protocol) => (Agreement::Unanswered, protocol),
            Proposals::AnyOf(_) => (Agreement::Undecided, 0),
        };
        let (negotiation, lines) = negotiation.unzip();
        // The driver may queue notifications from its first turn on; they wait for the handle.
        let mut inner = Inner::new(
            state,
            Wire::Unopened(negotiation.map(Box::new)),
            agreement,
            Notifications::opened_locally(),
        );
        inner.scope = Some(scope);
        inner.outgoing = true;
        inner.protocol = protocol;
        let carrier = Carrier::Connection(Arc::clone(connection));
        if let Some(lines) = lines {
            inner.write.push(&lines, &carrier);
        }
        Self::new(carrier, Direction::Outbound, inner)
    }

    /// Sets JavaScript's handle of the stream.
    pub(crate) fn set_handle(&self, handle: Handle) {
        self.lock().notifications.set_handle(handle);
    }

    pub(crate) fn handle(&self) -> Option<Handle> {
        self.lock().notifications.handle()
    }

    /// Announces an inbound stream and its protocol to JavaScript; returns whether it did.
    ///
    /// A stream that has already ended is never announced, and leaves the backlog unnoticed.
    pub(crate) fn announce(self: &Arc<Self>, protocol: u32) -> bool {
        let mut inner = self.lock();
        if inner.notifications.is_finished() {
            return false;
        }
        inner.notifications.announce();
        inner.protocol = protocol;
        self.notify(&mut inner, Pending::OPENED);
        true
    }

    /// Protocol of an announced stream.
    pub(crate) fn announced_protocol(&self) -> Option<u32> {
        let inner = self.lock();
        inner.notifications.is_announced().then_some(inner.protocol)
    }

    /// Queues negotiation lines, unless the stream has finished or its FIN was sent.
    pub(crate) fn send_lines(&self, lines: &[u8]) {
        let mut inner = self.lock();
        let ended = inner.notifications.is_finished() || inner.write.fin() == FinState::Sent;
        if !lines.is_empty() && !ended {
            inner.write.push(lines, &self.carrier);
        }
    }

    /// Records that the remote has agreed to `protocol` on an outbound stream.
    pub(crate) fn agreed(self: &Arc<Self>, protocol: u32) {
        let mut inner = self.lock();
        let awaited = inner.write.half().agreement() == Agreement::Awaited;
        inner.write.apply(WriteInput::Agreed);
        if inner.state.state() == State::Init {
            inner.protocol = protocol;
            inner.state.apply(Input::Negotiated);
            self.notify(&mut inner, Pending::NEGOTIATED);
        } else if awaited {
            self.notify(&mut inner, Pending::ANSWERED);
        }
        self.drained(&mut inner);
        self.finish_if_done(&mut inner);
    }
}
