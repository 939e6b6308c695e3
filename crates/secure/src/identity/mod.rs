//! Identity of a node: keys, peer id, and the credentials for both secure channels.

use std::fmt;
use std::sync::Arc;

pub use keypair::Keypair;
pub use keys::{KeyError, KeyType, PublicKey};
pub use peer_id::{PeerId, PeerIdError};

use crate::noise::NoiseCredentials;
use crate::tls::{QuicDialer, TlsCredentials, TlsCredentialsError};

mod keypair;
mod keys;
mod peer_id;

/// The long-lived credentials of a node, created once and shared by all its handshakes.
///
/// A Noise static key and a TLS certificate, each signed by the identity key, which handshakes
/// therefore do not use again.
pub struct Identity {
    keypair: Keypair,
    peer_id: PeerId,
    pub(crate) noise: NoiseCredentials,
    pub(crate) tls: TlsCredentials,
}

impl Identity {
    /// Derives the peer id, generates the Noise key and the TLS certificate, and signs them.
    pub fn new(keypair: Keypair) -> Result<Self, IdentityError> {
        let peer_id = PeerId::from_public_key(keypair.public());
        let noise = NoiseCredentials::new(&keypair)?;
        let tls = TlsCredentials::new(&keypair, peer_id)?;
        Ok(Self {
            keypair,
            peer_id,
            noise,
            tls,
        })
    }

    /// Returns the node's peer id.
    pub fn peer_id(&self) -> &PeerId {
        &self.peer_id
    }

    /// Returns the TLS settings of a QUIC dialer; a peer other than `expected` is rejected.
    pub fn quic_dialer(&self, expected: Option<PeerId>) -> QuicDialer {
        self.tls.quic_dialer(self.peer_id, expected)
    }

    /// Returns the TLS settings of a QUIC listener.
    pub fn quic_listener(&self) -> Arc<rustls::ServerConfig> {
        self.tls.quic_listener()
    }

    /// Returns the node's identity key.
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("peer_id", &self.peer_id)
            .finish_non_exhaustive()
    }
}

/// Error creating the credentials of a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The identity key failed to sign, or no Noise key could be generated.
    #[error("noise credentials could not be created")]
    Noise(#[from] KeyError),
    /// The TLS certificate could not be created.
    #[error("tls certificate could not be created")]
    Tls(#[from] TlsCredentialsError),
}
