//! Security of a ferroswarm connection: bytes in, a verified peer and sealed records out.
//!
//! Everything here is sans-io. A [`Handshake`] eats bytes and produces bytes until it is complete;
//! [`Handshake::finish`] then yields who the peer is and a [`Channel`], which seals and opens
//! records in the caller's buffers. An [`Upgrade`] is a handshake with the negotiations before and behind
//! it: of the security protocol and of the muxer. Two things come from the outside all the same: randomness from
//! aws-lc-rs, and the wall clock with which rustls checks the validity of a certificate.
#![forbid(unsafe_code)]

pub use error::{HandshakeError, UpgradeError};
pub use handshake::{Handshake, HandshakeConfig, Role, Secured, Security};
pub use identity::{
    Identity, IdentityError, KeyError, KeyType, Keypair, PeerId, PeerIdError, PublicKey,
};
pub use noise::PayloadError;
pub use record::{Channel, Opened, RecordError};
pub use tls::{CertificateError, TlsCredentialsError};
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
