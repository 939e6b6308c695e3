//! Commands that take time: each has a request id and ends with one completion.

use ferroswarm_secure::UpgradeError;
use multiaddr::Multiaddr;
use thiserror::Error;

use crate::attempts::Attempt;
use crate::connection::Connection;
use crate::error::OsError;
use crate::sync::Arc;

/// The end of a command.
pub struct Completion {
    /// The caller's id of it.
    pub request: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a command.
pub enum Outcome {
    /// Done, with nothing to tell.
    Done,
    /// A listener is bound.
    Listening {
        /// Its id, for `unlisten` and its end.
        listener: u32,
        /// The addresses it really has.
        addresses: Vec<Multiaddr>,
    },
    /// A dial ended in a connection, which has been announced before.
    Dialled(Arc<Connection>),
    /// Every attempt of a dial failed: those that nobody has taken yet.
    DialFailed(Vec<Attempt>),
    /// The command failed.
    Failed(CommandError),
}

/// Where an attempt to connect is, or was when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Connecting the transport.
    Dial,
    /// Negotiating and establishing security.
    Security,
    /// Negotiating the muxer.
    Muxer,
}

/// Why an address leads nowhere from here.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// No transport takes this part of it.
    #[error("no transport takes {0}")]
    NoTransport(Multiaddr),
    /// Its zone is no network interface of this host.
    #[error("this host has no interface {0:?}")]
    NoInterface(Box<str>),
}

/// Why an attempt to connect failed.
#[derive(Debug, Error, Clone)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not one to dial here.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The socket failed.
    #[error("{0}")]
    Io(OsError),
    /// The deadline passed.
    #[error("timed out")]
    Timeout,
    /// The remote closed the connection in the middle of it.
    #[error("the remote closed the connection")]
    Ended,
    /// The remote supports none of our protocols for this stage.
    #[error("the remote supports none of the proposed protocols")]
    Unsupported,
    /// The remote broke multistream-select.
    #[error("the remote broke multistream-select")]
    Negotiation(#[source] ferroswarm_proto::multistream::NegotiationError),
    /// The security handshake failed.
    #[error(transparent)]
    Handshake(Arc<ferroswarm_secure::HandshakeError>),
    /// A record could not be opened.
    #[error("a record could not be opened")]
    Record,
    /// A bug here; this attempt only.
    #[error("internal error")]
    Internal,
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
    /// The remote left, whatever made it.
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

/// Why a command failed.
#[derive(Debug, Error, Clone)]
#[non_exhaustive]
pub enum CommandError {
    /// The address is not one to listen on here.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The socket could not be bound.
    #[error("{0}")]
    Io(OsError),
    /// The caller gave up.
    #[error("aborted")]
    Aborted,
    /// The node is closed.
    #[error("the node is closed")]
    NodeClosed,
    /// The node has as many connections as it may.
    #[error("the node has {0} connections, as many as limits.connectionsMax allows")]
    TooManyConnections(usize),
    /// There is no such listener.
    #[error("no such listener")]
    NoListener,
}
