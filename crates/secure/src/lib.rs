//! Security of a ferroswarm connection: bytes in, a verified peer and sealed records out.
//!
//! Everything here is sans-io. A [`Handshake`] consumes and produces bytes until it is complete;
//! [`Handshake::finish`] then returns the peer's identity and a [`Channel`], which seals and opens
//! records in the caller's buffers. An [`Upgrade`] is a handshake plus the negotiations around it:
//! of the security protocol before and of the muxer after it. There are two exceptions to sans-io:
//! randomness from aws-lc-rs, and the wall clock with which rustls checks the validity of
//! certificates.
#![forbid(unsafe_code)]

pub use error::{HandshakeError, UpgradeError};
pub use handshake::{Handshake, HandshakeConfig, Role, Secured, Security};
pub use identity::{
    Identity, IdentityError, KeyError, KeyType, Keypair, PeerId, PeerIdError, PublicKey,
};
pub use noise::PayloadError;
pub use record::{Channel, Opened, RecordError};
pub use tls::{CertificateError, QuicDialer, TlsCredentialsError, quic_peer};
pub use upgrade::{Agreement, Progress, SecuredPeer, Upgrade, UpgradeConfig, Upgraded};

mod cipher;
mod der;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod identity;
mod noise;
mod protobuf;
mod record;
#[cfg(test)]
mod testing;
mod tls;
mod upgrade;
