//! Errors of handshakes and upgrades.

use ferroswarm_proto::multistream::NegotiationError;

use crate::identity::PeerId;
use crate::noise::PayloadError;
use crate::record::RecordError;
use crate::tls::CertificateError;

/// Reason for a failed handshake. Every error is final for the connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A Noise handshake message of length zero.
    #[error("handshake message is empty")]
    EmptyMessage,
    /// More handshake bytes than any legitimate peer sends.
    #[error("handshake message of {length} bytes exceeds limit of {limit}")]
    MessageTooLong {
        /// Bytes announced or received.
        length: usize,
        /// Maximum bytes accepted.
        limit: usize,
    },
    /// The Noise handshake itself failed: a wrong tag, a short message, a point of low order.
    #[error("noise handshake failed")]
    Noise(#[source] snow::Error),
    /// The Noise payload was rejected.
    #[error("noise payload is refused")]
    Payload(#[from] PayloadError),
    /// The TLS handshake itself failed, locally or at the peer.
    #[error("tls handshake failed")]
    Tls(#[from] rustls::Error),
    /// The peer's TLS certificate was rejected.
    #[error("tls certificate is refused")]
    Certificate(#[from] CertificateError),
    /// The peer did not agree on an application protocol over TLS.
    #[error("peer negotiated no application protocol")]
    MissingAlpn,
    /// The peer closed the TLS connection before the handshake completed.
    #[error("peer closed the connection during the handshake")]
    ClosedByPeer,
    /// The authenticated peer is not the expected one.
    #[error("expected peer {expected}, found {actual}")]
    PeerIdMismatch {
        /// The expected peer.
        expected: PeerId,
        /// The authenticated peer.
        actual: PeerId,
    },
    /// The peer is this node itself.
    #[error("peer is this node itself")]
    SelfDial,
    /// [`finish`](crate::Handshake::finish) was called before the handshake was complete and its
    /// output taken.
    #[error("handshake is not complete")]
    Incomplete,
    /// Input after a failure.
    #[error("handshake has already failed")]
    Failed,
}

impl HandshakeError {
    /// Returns the error of a handshake that the peer has ended with a TLS alert.
    pub fn from_alert(alert: u8) -> Self {
        Self::Tls(rustls::Error::AlertReceived(alert.into()))
    }

    /// Returns the TLS alert sent by the peer (RFC 8446, section 6), if any.
    pub fn alert(&self) -> Option<u8> {
        match self {
            Self::Tls(rustls::Error::AlertReceived(alert)) => Some((*alert).into()),
            _ => None,
        }
    }
}

/// Reason for a failed upgrade. Every error is final for the connection.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// No protocol of this stage in common.
    #[error("the remote supports none of the proposed protocols")]
    Unsupported,
    /// The remote violated multistream-select.
    #[error("the remote broke multistream-select")]
    Negotiation(#[source] NegotiationError),
    /// The security handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A record of the muxer negotiation could not be sealed or opened.
    #[error("a record could not be sealed or opened")]
    Record(#[from] RecordError),
    /// The remote ended the channel during the muxer negotiation.
    #[error("the remote ended the channel")]
    Ended,
    /// The upgrade has already completed or failed.
    #[error("the upgrade has already ended")]
    Over,
}

impl From<NegotiationError> for UpgradeError {
    fn from(error: NegotiationError) -> Self {
        match error {
            NegotiationError::Refused => Self::Unsupported,
            error => Self::Negotiation(error),
        }
    }
}
