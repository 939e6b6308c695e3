//! multistream-select 1.0: agreeing on a protocol, line by line.
//!
//! A line is a varint length, text and a newline. The dialer proposes, the listener answers with the
//! same text or `na`. [`Dialer`] and [`Listener`] are machines over bytes: feed them with
//! `handle_input`, which consumes no byte past the agreement, and send what `poll_output` appends.
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
