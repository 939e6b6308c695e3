//! The streams of a connection.

mod asked;
mod inbound;
mod negotiation;
mod outbound;

pub(crate) use self::negotiation::Negotiation;
pub(super) use self::negotiation::outbound_slot;
