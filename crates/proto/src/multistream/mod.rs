//! multistream-select 1.0: line-based protocol negotiation.
//!
//! A line is a varint length, text and a newline. The dialer proposes, the listener answers with
//! the same text or `na`. [`Dialer`] and [`Listener`] are sans-io state machines: feed them with
//! `handle_input`, which consumes no bytes past the agreement, and send the output of
//! `poll_output`.
//!
//! Spec: multiformats/multistream-select; libp2p connections.

mod dialer;
mod error;
mod line;
mod listener;
mod protocol;

pub use dialer::{Dialer, Mode};
pub use error::NegotiationError;
pub use line::LINE_BYTES_MAX;
pub use listener::{Answer, LISTING_BYTES_MAX, Listener, PROPOSALS_MAX};
pub use protocol::{InvalidProtocol, Others, ProtocolId, ProtocolTable};
