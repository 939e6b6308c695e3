//! Agreeing on a stream's protocol, both roles, before its bytes are anybody's.
//!
//! The lines go through the stream's own pipes: what is to be sent joins the send pipe, what is
//! received is taken before it reaches the other one.

use ferroswarm_proto::multistream::{
    Answer, Dialer, Listener, Mode, NegotiationError, ProtocolTable,
};

use crate::error::StreamFault;
use crate::handlers::Handler;
use crate::slot::{Proposals, StreamSlot};
use crate::sync::Arc;

use crate::connection::Connection;

/// A stream's negotiation while it lasts.
pub(crate) enum Negotiation {
    Dialer {
        machine: Dialer,
        protocols: Box<[u32]>,
    },
    Listener {
        machine: Listener<Handler>,
        table: Arc<ProtocolTable<Handler>>,
    },
}

/// What input came to.
pub(super) enum Progress {
    /// More lines are to come.
    Open {
        consumed: usize,
    },
    /// Agreed; bytes behind `consumed` are the stream's.
    Negotiated {
        consumed: usize,
    },
    Failed,
}

/// Makes the slot of an outbound stream, with its first lines in the send pipe.
pub(in crate::connection) fn outbound_slot(
    connection: &Arc<Connection>,
    proposals: Proposals,
    usable: bool,
) -> Arc<StreamSlot> {
    let negotiation = Negotiation::dialer(&proposals, connection).map(|mut negotiation| {
        let lines = negotiation.take_lines();
        (negotiation, lines)
    });
    StreamSlot::outbound(connection, &proposals, usable, negotiation)
}

impl Negotiation {
    fn dialer(proposals: &Proposals, connection: &Connection) -> Option<Self> {
        let (protocols, mode) = match proposals {
            Proposals::Raw => return None,
            Proposals::Lazy(protocol) => (Box::from([*protocol]), Mode::Lazy),
            Proposals::AnyOf(protocols) => (protocols.clone(), Mode::V1),
        };
        let names = &connection.hub.names();
        // Numbers that name nothing propose nothing; the caller checks what it interns.
        let names = protocols
            .iter()
            .filter_map(|&protocol| names.name(protocol))
            .collect();
        Some(Self::Dialer {
            machine: Dialer::new(names, mode),
            protocols,
        })
    }

    /// The negotiation of an inbound stream; none where streams are handed over as they are.
    pub(super) fn listener(connection: &Connection) -> Option<Self> {
        let table = connection.handlers.table();
        let machine = Listener::default();
        (!connection.handlers.is_raw()).then_some(Self::Listener { machine, table })
    }

    /// Reads lines and answers them.
    pub(super) fn handle_input(&mut self, slot: &Arc<StreamSlot>, bytes: &[u8]) -> Progress {
        let mut consumed = 0;
        // A dialler stops at each refusal, until its next proposal is taken.
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
                    self.settle(slot, protocol);
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
    /// A listener's end goes behind its lines: a lazy dialer's own bytes look like a broken proposal
    /// right after the one that was refused, and a reset would take the refusal with it.
    pub(super) fn give_up(&self, slot: &Arc<StreamSlot>, fault: StreamFault) {
        match self {
            Self::Listener { .. } => {
                slot.close();
            }
            Self::Dialer { .. } => slot.fail(fault),
        }
    }

    /// The remote ended its half.
    ///
    /// # Errors
    /// If nothing was agreed on and nothing is asked.
    pub(super) fn handle_end(&mut self) -> Result<(), StreamFault> {
        match self {
            Self::Dialer { machine, .. } => machine.handle_end(),
            Self::Listener { machine, .. } => machine.handle_end(),
        }
        .map_err(fault_of)
    }

    /// Decides on the proposal that JavaScript was asked about.
    pub(super) fn answer(&mut self, answer: Answer<Handler>) {
        if let Self::Listener { machine, .. } = self {
            machine.answer(answer);
        }
    }

    /// Asks JavaScript about a proposal that only a predicate may know; once.
    fn query(&self, slot: &Arc<StreamSlot>) {
        if let Self::Listener { machine, .. } = self
            && let Some(name) = machine.queried()
        {
            slot.query(name);
        }
    }

    fn outcome(&self) -> Option<u32> {
        match self {
            Self::Dialer { machine, protocols } => machine
                .outcome()
                .and_then(|index| protocols.get(index).copied()),
            Self::Listener { machine, .. } => machine.outcome().map(|handler| handler.protocol),
        }
    }

    /// What serves an inbound stream, once that is agreed on.
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

    fn settle(&self, slot: &Arc<StreamSlot>, protocol: u32) {
        match self {
            // The connection has the last word on it.
            Self::Listener { .. } => {}
            Self::Dialer { .. } => slot.agreed(protocol),
        }
    }
}

fn fault_of(error: NegotiationError) -> StreamFault {
    match error {
        NegotiationError::Refused => StreamFault::UnsupportedProtocol,
        _ => StreamFault::Negotiation,
    }
}
