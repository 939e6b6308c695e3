//! Protocol negotiation of a stream, in both roles, before its bytes reach the application.
//!
//! Outgoing lines go through the stream's send pipe; incoming lines are consumed before they reach
//! its receive pipe.

use ferroswarm_proto::multistream::{
    Answer, Dialer, Listener, Mode, NegotiationError, ProtocolId, ProtocolTable,
};

use crate::error::StreamFault;
use crate::handlers::Handler;
use crate::resources::{Refusal, StreamScope};
use crate::slot::{Proposals, StreamSlot};
use crate::sync::Arc;

use crate::connection::Connection;

/// Negotiation in progress on a stream.
pub(crate) enum Negotiation {
    Dialer {
        machine: Dialer,
        proposals: Proposals,
    },
    Listener {
        machine: Listener<Handler>,
        table: Arc<ProtocolTable<Handler>>,
    },
}

/// Outcome of handling input.
pub(super) enum Progress {
    /// More lines are expected.
    Open {
        consumed: usize,
    },
    /// Agreed; the bytes after `consumed` belong to the stream.
    Negotiated {
        consumed: usize,
    },
    Failed,
}

/// Creates the slot of an outbound stream, with its first lines in the send pipe.
pub(in crate::connection) fn outbound_slot(
    connection: &Arc<Connection>,
    scope: StreamScope,
    proposals: &Proposals,
    names: Box<[ProtocolId]>,
    usable: bool,
) -> Arc<StreamSlot> {
    let negotiation = Negotiation::dialer(proposals, names).map(|mut negotiation| {
        let lines = negotiation.take_lines();
        (negotiation, lines)
    });
    StreamSlot::outbound(connection, scope, proposals, usable, negotiation)
}

impl Negotiation {
    fn dialer(proposals: &Proposals, names: Box<[ProtocolId]>) -> Option<Self> {
        let mode = match proposals {
            Proposals::Raw => return None,
            Proposals::Lazy(_) => Mode::Lazy,
            Proposals::AnyOf(_) => Mode::V1,
        };
        Some(Self::Dialer {
            machine: Dialer::new(names, mode),
            proposals: proposals.clone(),
        })
    }

    /// Returns the negotiation of an inbound stream, or `None` if streams are raw.
    pub(super) fn listener(connection: &Connection) -> Option<Self> {
        let table = connection.handlers.table();
        let machine = Listener::default();
        (!connection.handlers.is_raw()).then_some(Self::Listener { machine, table })
    }

    /// Handles incoming lines and queues the replies.
    pub(super) fn handle_input(&mut self, slot: &Arc<StreamSlot>, bytes: &[u8]) -> Progress {
        let mut consumed = 0;
        // A dialer stops at each refusal until its next proposal has been taken.
        loop {
            let rest = &bytes[consumed..];
            let step = match self {
                Self::Dialer { machine, .. } => machine.handle_input(rest),
                Self::Listener { machine, table } => machine.handle_input(rest, table),
            };
            slot.send_lines(&self.take_lines());
            match (step, self.outcome()) {
                (Err(error), _) => {
                    self.give_up(slot, fault_of(error));
                    return Progress::Failed;
                }
                (Ok(count), Some(protocol)) => {
                    self.conclude(slot, protocol);
                    let consumed = consumed + count;
                    return Progress::Negotiated { consumed };
                }
                (Ok(0), None) => {
                    self.query(slot);
                    return Progress::Open { consumed };
                }
                (Ok(count), None) => consumed += count,
            }
        }
    }

    /// Ends a stream whose negotiation has failed.
    ///
    /// A listener closes after its lines instead of resetting: right after a refused proposal, the
    /// early bytes of a lazy dialer look like a malformed one, and a reset would discard the
    /// refusal.
    pub(super) fn give_up(&self, slot: &Arc<StreamSlot>, fault: StreamFault) {
        match self {
            Self::Listener { .. } => {
                slot.close();
            }
            Self::Dialer { .. } => slot.fail(fault),
        }
    }

    /// Handles the end of the remote's half.
    ///
    /// # Errors
    /// If no protocol was agreed on and no query is pending.
    pub(super) fn handle_end(&mut self) -> Result<(), StreamFault> {
        match self {
            Self::Dialer { machine, .. } => machine.handle_end(),
            Self::Listener { machine, .. } => machine.handle_end(),
        }
        .map_err(fault_of)
    }

    /// Applies JavaScript's answer to the pending query.
    pub(super) fn answer(&mut self, answer: Answer<Handler>) {
        if let Self::Listener { machine, .. } = self {
            machine.answer(answer);
        }
    }

    /// Queries JavaScript, once, about a proposal that only a predicate may match.
    fn query(&self, slot: &Arc<StreamSlot>) {
        if let Self::Listener { machine, .. } = self
            && let Some(name) = machine.queried()
        {
            slot.query(name);
        }
    }

    fn outcome(&self) -> Option<u32> {
        match self {
            Self::Dialer { machine, proposals } => machine
                .outcome()
                .and_then(|index| proposals.protocols().get(index).copied()),
            Self::Listener { machine, .. } => machine.outcome().map(|handler| handler.protocol),
        }
    }

    /// Handler of an inbound stream, once agreed on.
    pub(super) fn handler(&self) -> Option<Handler> {
        match self {
            Self::Dialer { .. } => None,
            Self::Listener { machine, .. } => machine.outcome(),
        }
    }

    fn take_lines(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        match self {
            Self::Dialer { machine, .. } => machine.poll_output(&mut lines),
            Self::Listener { machine, .. } => machine.poll_output(&mut lines),
        }
        lines
    }

    fn conclude(&self, slot: &Arc<StreamSlot>, protocol: u32) {
        match self {
            // The connection may still refuse the stream.
            Self::Listener { .. } => {}
            Self::Dialer { proposals, .. } => {
                // A single one was charged when the stream was opened.
                if proposals.protocols().len() > 1
                    && let Err(refusal) = charge_to_protocol(slot, protocol)
                {
                    slot.keep_refusal(refusal);
                    slot.fail(StreamFault::ResourceLimit);
                    return;
                }
                slot.agreed(protocol);
            }
        }
    }
}

/// Charges an outbound stream to the protocol that was agreed on.
fn charge_to_protocol(slot: &StreamSlot, protocol: u32) -> Result<(), Refusal> {
    let name = slot.carrier.hub().names().name(protocol);
    name.map_or(Ok(()), |name| slot.charge_to(&name, None))
}

fn fault_of(error: NegotiationError) -> StreamFault {
    match error {
        NegotiationError::Refused => StreamFault::UnsupportedProtocol,
        _ => StreamFault::Negotiation,
    }
}
