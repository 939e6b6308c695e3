//! The handshake of a connection, whichever of the two protocols was negotiated.

use std::fmt;
use std::sync::Arc;

use crate::error::HandshakeError;
use crate::identity::{Identity, PeerId, PublicKey};
use crate::noise::NoiseHandshake;
use crate::record::Channel;
use crate::tls::TlsHandshake;

/// The secure channel protocols of libp2p.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// TLS 1.3.
    Tls,
    /// Noise XX.
    Noise,
}

impl Security {
    /// The name under which multistream-select negotiates the protocol.
    pub const fn protocol_id(self) -> &'static str {
        match self {
            Self::Tls => "/tls/1.0.0",
            Self::Noise => "/noise",
        }
    }
}

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that dialled.
    Dialer,
    /// The end that accepted.
    Listener,
}

/// What a handshake has to know.
#[derive(Clone, Debug)]
pub struct HandshakeConfig {
    /// The node's credentials.
    pub identity: Arc<Identity>,
    /// Muxers offered for negotiation within the handshake, most preferred first; may be empty.
    pub muxers: Arc<[Box<str>]>,
    /// The only peer to accept; `None` accepts any but this node.
    pub expected_peer: Option<PeerId>,
}

impl HandshakeConfig {
    pub(crate) fn check_peer(&self, actual: PeerId) -> Result<(), HandshakeError> {
        if actual == *self.identity.peer_id() {
            return Err(HandshakeError::SelfDial);
        }
        match self.expected_peer {
            Some(expected) if expected != actual => {
                Err(HandshakeError::PeerIdMismatch { expected, actual })
            }
            _ => Ok(()),
        }
    }
}

/// A handshake in progress.
///
/// Feed received bytes to [`handle_input`](Self::handle_input) and send what
/// [`poll_output`](Self::poll_output) yields, also after an error, when it may be an alert for the
/// peer. Once [`is_complete`](Self::is_complete), [`finish`](Self::finish) hands over the channel.
pub struct Handshake {
    protocol: Protocol,
    has_failed: bool,
}

enum Protocol {
    Noise(Box<NoiseHandshake>),
    Tls(Box<TlsHandshake>),
}

/// What a completed handshake leaves behind.
#[derive(Debug)]
pub struct Secured {
    /// The peer, proven to hold its identity key.
    pub peer_id: PeerId,
    /// The peer's identity key.
    pub public_key: PublicKey,
    /// The muxer negotiated within the handshake; `None` leaves it to multistream-select.
    pub muxer: Option<Box<str>>,
    /// The channel; its first received record follows the last byte the handshake consumed.
    pub channel: Channel,
}

impl Handshake {
    /// Starts a handshake. A dialer has output at once.
    pub fn new(
        security: Security,
        role: Role,
        config: &HandshakeConfig,
    ) -> Result<Self, HandshakeError> {
        let protocol = match security {
            Security::Noise => Protocol::Noise(Box::new(NoiseHandshake::new(role, config)?)),
            Security::Tls => Protocol::Tls(Box::new(TlsHandshake::new(role, config)?)),
        };
        Ok(Self {
            protocol,
            has_failed: false,
        })
    }

    /// Takes received bytes and returns how many belonged to the handshake.
    ///
    /// Everything is consumed until the handshake is over, nothing afterwards: what remains is the
    /// channel's. The bytes may be overwritten.
    pub fn handle_input(&mut self, input: &mut [u8]) -> Result<usize, HandshakeError> {
        if self.has_failed {
            return Err(HandshakeError::Failed);
        }
        let result = match &mut self.protocol {
            Protocol::Noise(noise) => noise.handle_input(input),
            Protocol::Tls(tls) => tls.handle_input(input),
        };
        self.has_failed = result.is_err();
        result
    }

    /// Appends the bytes to send, if there are any.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        match &mut self.protocol {
            Protocol::Noise(noise) => noise.poll_output(out),
            Protocol::Tls(tls) => tls.poll_output(out),
        }
    }

    /// Whether the peer is verified and everything we had to say has been taken.
    ///
    /// A TLS dialer is complete before the listener has verified it; a refusal arrives as an alert
    /// on the channel.
    pub fn is_complete(&self) -> bool {
        !self.has_failed
            && match &self.protocol {
                Protocol::Noise(noise) => noise.is_complete(),
                Protocol::Tls(tls) => tls.is_complete(),
            }
    }

    /// Ends the handshake: who the peer is, and the channel to it.
    pub fn finish(self) -> Result<Secured, HandshakeError> {
        if !self.is_complete() {
            return Err(HandshakeError::Incomplete);
        }
        match self.protocol {
            Protocol::Noise(noise) => noise.finish(),
            Protocol::Tls(tls) => tls.finish(),
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let security = match &self.protocol {
            Protocol::Noise(_) => Security::Noise,
            Protocol::Tls(_) => Security::Tls,
        };
        f.debug_struct("Handshake")
            .field("security", &security)
            .field("is_complete", &self.is_complete())
            .finish_non_exhaustive()
    }
}

/// Moves bytes from the front of `input` to `buffer` until that holds `target`; returns how many.
pub(crate) fn fill(buffer: &mut Vec<u8>, input: &[u8], target: usize) -> usize {
    let taken = target.saturating_sub(buffer.len()).min(input.len());
    buffer.extend_from_slice(&input[..taken]);
    taken
}
