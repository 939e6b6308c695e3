//! QUIC version 1 of libp2p: datagrams in, events of streams and datagrams out.
//!
//! Everything here is sans-io, on top of quinn-proto. An [`Endpoint`] assigns received datagrams to
//! connections; a [`Session`] is one of them. Its streams have dense [`StreamKey`]s, as those of a
//! muxer have, and its authenticated peer is the one of the TLS certificate, which is the same
//! as over TCP (libp2p specs, `quic/README.md` and `tls/tls.md`).
//!
//! [`StreamKey`]: ferroswarm_proto::muxer::StreamKey
#![forbid(unsafe_code)]

pub use close::CloseReason;
pub use config::{Config, Settings, Target};
pub use quinn_proto::{
    ConnectError, ConnectionEvent, ConnectionHandle, ConnectionId, DatagramEvent, EcnCodepoint,
    Endpoint, EndpointEvent, Incoming, Transmit,
};
pub use session::{Event, Session, Stats, Write};

mod close;
mod config;
mod congestion;
mod session;
#[cfg(test)]
mod testing;
mod window;
