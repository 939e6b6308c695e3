//! The handshake of a connection, over either protocol.

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
    /// Returns the protocol's name in multistream-select.
    pub const fn protocol_id(self) -> &'static str {
        match self {
            Self::Tls => "/tls/1.0.0",
            Self::Noise => "/noise",
        }
    }
}

/// The local role in the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that dialled.
    Dialer,
    /// The end that accepted.
    Listener,
}

/// Configuration of a handshake.
#[derive(Clone, Debug)]
pub struct HandshakeConfig {
    /// The node's credentials.
    pub identity: Arc<Identity>,
    /// Muxers offered for negotiation within the handshake, most preferred first; may be empty.
    pub muxers: Arc<[Box<str>]>,
    /// The only peer to accept; `None` accepts any peer except this node.
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
/// Feed received bytes to [`handle_input`](Self::handle_input) and send the output of
/// [`poll_output`](Self::poll_output), even after an error: it may be an alert for the peer. Once
/// [`is_complete`](Self::is_complete), [`finish`](Self::finish) returns the channel.
pub struct Handshake {
    protocol: Protocol,
    has_failed: bool,
}

enum Protocol {
    Noise(Box<NoiseHandshake>),
    Tls(Box<TlsHandshake>),
}

/// Result of a completed handshake.
#[derive(Debug)]
pub struct Secured {
    /// The peer, authenticated by its identity key.
    pub peer_id: PeerId,
    /// The peer's identity key.
    pub public_key: PublicKey,
    /// The muxer negotiated within the handshake; `None` leaves it to multistream-select.
    pub muxer: Option<Box<str>>,
    /// The channel; its first inbound record follows the last byte consumed by the handshake.
    pub channel: Channel,
}

impl Handshake {
    /// Starts a handshake. A dialer has output immediately.
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

    /// Processes received bytes and returns how many the handshake consumed.
    ///
    /// All bytes are consumed until the handshake is over, none afterwards: the rest belongs to the
    /// channel. The bytes may be overwritten.
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

    /// Appends pending output to `out`.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        match &mut self.protocol {
            Protocol::Noise(noise) => noise.poll_output(out),
            Protocol::Tls(tls) => tls.poll_output(out),
        }
    }

    /// Returns whether the peer is verified and all output has been taken.
    ///
    /// A TLS dialer completes before the listener has verified it; a rejection arrives as an alert
    /// on the channel.
    pub fn is_complete(&self) -> bool {
        !self.has_failed
            && match &self.protocol {
                Protocol::Noise(noise) => noise.is_complete(),
                Protocol::Tls(tls) => tls.is_complete(),
            }
    }

    /// Ends the handshake; returns the peer's identity and the channel.
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

/// Fills `buffer` up to `target` bytes from the front of `input`; returns the bytes consumed.
pub(crate) fn fill(buffer: &mut Vec<u8>, input: &[u8], target: usize) -> usize {
    let count = target.saturating_sub(buffer.len()).min(input.len());
    buffer.extend_from_slice(&input[..count]);
    count
}
