//! Asynchronous commands: each has a request id and ends with one completion.

use ferroswarm_quic::CloseReason;
use ferroswarm_secure::UpgradeError;
use ferroswarm_store::StoreError;
use multiaddr::Multiaddr;
use rustls::CertificateError;
use thiserror::Error;

use crate::attempts::Attempt;
use crate::connection::Connection;
use crate::error::{OsError, TransportFault};
use crate::resolve::{Records, ResolveError};
use crate::resources::Refusal;
use crate::sync::Arc;

/// The end of a command.
pub struct Completion {
    /// Request id chosen by the caller.
    pub request: u32,
    /// Outcome of the command.
    pub outcome: Outcome,
}

/// Outcome of a command.
pub enum Outcome {
    /// Done, with nothing to report.
    Done,
    /// A listener is bound.
    Listening {
        /// Its id, for `unlisten` and `ListenerClosed`.
        listener: u32,
        /// The addresses actually bound.
        addresses: Vec<Multiaddr>,
    },
    /// A dial succeeded; its connection has already been announced.
    Dialled(Arc<Connection>),
    /// The upgrade of a duplex failed; one that succeeds ends as a dial does.
    UpgradeFailed(Box<Attempt>),
    /// Every attempt of a dial failed; contains those not taken yet.
    DialFailed(Vec<Attempt>),
    /// A lookup has found records.
    Resolved(Records),
    /// Entries of a store.
    Page(Vec<u8>),
    /// The command failed.
    Failed(CommandError),
}

/// Stage of a connection attempt, at present or when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Connecting the transport.
    Connect,
    /// Exchanging nonces with a remote of the private network.
    Psk,
    /// Negotiating and establishing security.
    Security,
    /// Negotiating the muxer.
    Muxer,
}

/// Reason an address can be neither dialled nor listened on here.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// No transport supports this part of it.
    #[error("no transport takes {0}")]
    NoTransport(Multiaddr),
    /// A node of a private network cannot protect its connections.
    #[error("no pre-shared key can protect {0}")]
    Unprotected(Multiaddr),
    /// Its zone is not a network interface of this host.
    #[error("this host has no interface {0:?}")]
    NoInterface(Box<str>),
    /// Its path has not the length of a Unix socket's.
    #[error("path of {length} bytes, expected 1 to {max}")]
    PathLength {
        /// Bytes of the path.
        length: usize,
        /// Maximum of this system.
        max: usize,
    },
    /// Its path contains a zero byte.
    #[error("path contains a zero byte")]
    PathZero,
}

/// Reason a connection attempt failed.
#[derive(Debug, Error, Clone)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address cannot be dialled here.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The socket failed.
    #[error("{0}")]
    Io(OsError),
    /// The deadline passed.
    #[error("timed out")]
    Timeout,
    /// The remote closed the connection during the attempt.
    #[error("the remote closed the connection")]
    Ended,
    /// The remote supports none of our protocols for this stage.
    #[error("the remote supports none of the proposed protocols")]
    Unsupported,
    /// The remote violated multistream-select.
    #[error("the remote broke multistream-select")]
    Negotiation(#[source] ferroswarm_proto::multistream::NegotiationError),
    /// The remote speaks another protocol, recognised by its first bytes.
    #[error("the remote speaks {0}, not libp2p")]
    Foreign(&'static str),
    /// What the remote sends is noise after deciphering.
    #[error("the remote has another pre-shared key, or none")]
    OtherNetwork,
    /// The security handshake failed.
    #[error(transparent)]
    Handshake(Arc<ferroswarm_secure::HandshakeError>),
    /// A record could not be opened.
    #[error("a record could not be opened")]
    Record,
    /// The remote refuses the connection, or does not speak QUIC version 1.
    #[error(transparent)]
    Quic(CloseReason),
    /// The TLS of the transport failed, which precedes the security of libp2p.
    #[error("tls of the transport failed")]
    TransportTls(#[source] rustls::Error),
    /// The certificate of the listener may only sign others.
    #[error(
        "the listener presents the certificate of an authority (CA:TRUE): it needs one that is not, \
         which the authority may sign"
    )]
    AuthorityCertificate,
    /// The system has no certificates of authorities, for this reason if it is known.
    #[error(
        "no certificates of authorities are found on this system; webSocket.roots names others"
    )]
    NoRoots(#[source] Option<Arc<rustls_native_certs::Error>>),
    /// The listener did not upgrade the connection to WebSocket.
    #[error("no WebSocket: {0}")]
    UpgradeRefused(ferroswarm_websocket::ResponseError),
    /// The remote violated WebSocket within the upgrade, or closed it.
    #[error(transparent)]
    WebSocket(TransportFault),
    /// The remote's request was not a valid upgrade to WebSocket.
    #[error("no WebSocket: {0}")]
    Upgrade(ferroswarm_websocket::RequestError),
    /// The remote's request, of this method, was for something else than our WebSocket.
    #[error("a {0} request that is not for our WebSocket")]
    NotWebSocket(Box<str>),
    /// The remote's request was for something else than our WebSocket, and the application has
    /// answered it.
    #[error("a request that the application has answered")]
    Answered,
    /// A limit of ours does not allow the connection.
    #[error("{0}")]
    Refused(Refusal),
    /// The gate does not allow the connection, for this reason.
    #[error("{0}")]
    Gated(Box<str>),
    /// A bug in this crate; affects this attempt only.
    #[error("internal error")]
    Internal,
}

impl From<std::io::Error> for ConnectError {
    fn from(error: std::io::Error) -> Self {
        match TransportFault::within(&error) {
            Some((fault @ (TransportFault::Frame(_) | TransportFault::Closed(_)), _)) => {
                Self::WebSocket(fault)
            }
            Some((TransportFault::Tls, _)) | None => Self::Io(error.into()),
        }
    }
}

impl From<rustls::Error> for ConnectError {
    fn from(error: rustls::Error) -> Self {
        match &error {
            rustls::Error::InvalidCertificate(CertificateError::Other(other))
                if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
            {
                Self::AuthorityCertificate
            }
            _ => Self::TransportTls(error),
        }
    }
}

impl From<UpgradeError> for ConnectError {
    fn from(error: UpgradeError) -> Self {
        match error {
            UpgradeError::Unsupported => Self::Unsupported,
            UpgradeError::Negotiation(error) => Self::Negotiation(error),
            UpgradeError::Handshake(error) => Self::Handshake(Arc::new(error)),
            UpgradeError::Record(_) => Self::Record,
            UpgradeError::Ended => Self::Ended,
            UpgradeError::Over => Self::Internal,
        }
    }
}

impl ConnectError {
    /// Returns whether the remote left, for whatever reason.
    pub(crate) fn is_departure(&self) -> bool {
        match self {
            Self::Ended => true,
            Self::Io(error) => matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
            ),
            _ => false,
        }
    }
}

/// Reason a command failed.
#[derive(Debug, Error, Clone)]
#[non_exhaustive]
pub enum CommandError {
    /// The address cannot be listened on here.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The socket could not be bound.
    #[error("{0}")]
    Io(OsError),
    /// The caller cancelled the command.
    #[error("aborted")]
    Aborted,
    /// The node is closed.
    #[error("the node is closed")]
    NodeClosed,
    /// There is no such listener.
    #[error("no such listener")]
    NoListener,
    /// The lookup failed.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The call of a store failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
}
