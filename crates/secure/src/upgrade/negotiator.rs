//! Negotiation of one of a few names, in either role.

use ferroswarm_proto::multistream::{
    Dialer, Listener, Mode, NegotiationError, ProtocolId, ProtocolTable,
};

use crate::handshake::Role;

/// A negotiation without lazy proposals.
pub(super) enum Negotiator {
    Dialer(Dialer),
    Listener {
        machine: Listener<usize>,
        table: ProtocolTable<usize>,
    },
}

impl Negotiator {
    pub(super) fn new(role: Role, names: Box<[ProtocolId]>) -> Self {
        match role {
            Role::Dialer => Self::Dialer(Dialer::new(names, Mode::V1)),
            Role::Listener => {
                let mut table = ProtocolTable::default();
                for (index, name) in names.into_iter().enumerate() {
                    table.insert(name, index);
                }
                Self::Listener {
                    machine: Listener::default(),
                    table,
                }
            }
        }
    }

    pub(super) fn poll_output(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Dialer(machine) => machine.poll_output(out),
            Self::Listener { machine, .. } => machine.poll_output(out),
        }
    }

    pub(super) fn handle_input(&mut self, input: &[u8]) -> Result<usize, NegotiationError> {
        match self {
            Self::Dialer(machine) => machine.handle_input(input),
            Self::Listener { machine, table } => machine.handle_input(input, table),
        }
    }

    /// Returns the index of the agreed name.
    pub(super) fn outcome(&self) -> Option<usize> {
        match self {
            Self::Dialer(machine) => machine.outcome(),
            Self::Listener { machine, .. } => machine.outcome(),
        }
    }
}
