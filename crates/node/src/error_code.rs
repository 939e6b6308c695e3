//! The list of error codes: the numbers cross the boundary, users see the names.
//!
//! `ts/errors.ts` has the same; a test compares them through [`crate::tables`]. The range shows who must act:
//! 1xx misuse, 2xx closed, 3xx remote, 4xx environment, 5xx limit, 9xx bug.

use std::io::ErrorKind;

use ferroswarm_runtime::HandshakeError;
use ferroswarm_runtime::{
    AddressError, CallError, CloseReason, CommandError, ConnectError, ConnectionFault,
    ResolveError, SessionError, StoreError, StreamFault, TransportFault,
};

macro_rules! codes {
    ($($name:ident = $number:literal),* $(,)?) => {
        /// A stable error code.
        #[expect(non_camel_case_types, reason = "the spelling that users see")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("Number ", stringify!($number), ".")]
                $name = $number,
            )*
        }

        impl ErrorCode {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

codes! {
    ERR_INVALID_PARAMETERS = 100,
    ERR_STATE = 101,
    ERR_STREAM_STATE = 102,
    ERR_STALE_HANDLE = 103,
    ERR_BUFFER_TOO_SMALL = 104,
    ERR_STREAM_CLOSED = 200,
    ERR_STREAM_EOF = 201,
    ERR_CONNECTION_CLOSED = 202,
    ERR_MUXER_CLOSED = 203,
    ERR_ABORTED = 204,
    ERR_NODE_CLOSED = 205,
    ERR_STREAM_RESET = 300,
    ERR_MULTISELECT = 301,
    ERR_UNSUPPORTED_PROTOCOL = 302,
    ERR_UNEXPECTED_PEER = 303,
    ERR_MESSAGE_TOO_LARGE = 304,
    ERR_DECRYPTION_FAILED = 305,
    ERR_INCOMPLETE_READ = 306,
    ERR_ENCRYPTION_FAILED = 307,
    ERR_MUXER_PROTOCOL = 308,
    ERR_INVALID_FRAMING = 309,
    ERR_SELF_DIAL = 310,
    ERR_INVALID_RECORD = 311,
    ERR_DIAL = 400,
    ERR_DIAL_ALL_FAILED = 401,
    ERR_NO_REMOTE_ADDRS = 402,
    ERR_NO_CONNECTION = 403,
    ERR_LISTEN = 404,
    ERR_TIMEOUT = 405,
    ERR_CONNECTION_REFUSED = 406,
    ERR_UNREACHABLE = 407,
    ERR_CONNECTION_RESET = 408,
    ERR_IO = 409,
    ERR_NO_TRANSPORT = 410,
    ERR_ADDRESS_IN_USE = 411,
    ERR_ADDRESS_NOT_AVAILABLE = 412,
    ERR_UPGRADE = 413,
    ERR_CONNECTION_ENDED = 414,
    ERR_PERMISSION = 415,
    ERR_DIAL_BACK_OFF = 416,
    ERR_RAW_CONNECTION = 417,
    ERR_DNS_FAILURE = 420,
    ERR_DNS_NOT_FOUND = 421,
    ERR_DNS_NO_RECORDS = 422,
    ERR_DNS_TIMEOUT = 423,
    ERR_DNS_BAD_NAME = 424,
    ERR_BLACK_HOLE = 425,
    ERR_PEERSTORE = 426,
    ERR_PEERSTORE_LOCKED = 427,
    ERR_PEERSTORE_CORRUPT = 428,
    ERR_RESOURCE_LIMIT_EXCEEDED = 500,
    ERR_RESOURCE_SCOPE_CLOSED = 501,
    ERR_RATE_LIMIT = 502,
    ERR_LIMITED_CONNECTION = 503,
    ERR_STREAM_LIMIT = 504,
    ERR_CONNECTION_MEMORY = 505,
    ERR_DIAL_QUEUE_FULL = 506,
    ERR_DIAL_DENIED = 507,
    ERR_PEERSTORE_LIMIT = 508,
    ERR_INTERNAL = 900,
}

impl ErrorCode {
    /// The return value of a hot call that fails with this error.
    pub(crate) const fn return_value(self) -> i32 {
        -(self as u16 as i32)
    }

    /// The number in a record.
    pub(crate) const fn word(self) -> u32 {
        self as u32
    }
}

impl AsRef<str> for ErrorCode {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

impl From<CallError> for ErrorCode {
    fn from(error: CallError) -> Self {
        match error {
            CallError::StaleHandle => Self::ERR_STALE_HANDLE,
            CallError::EndOfStream => Self::ERR_STREAM_EOF,
            CallError::Closed => Self::ERR_STREAM_CLOSED,
            CallError::Reset => Self::ERR_STREAM_RESET,
            CallError::Failed(fault) => fault.into(),
            CallError::State => Self::ERR_STREAM_STATE,
            CallError::ConnectionClosed => Self::ERR_CONNECTION_CLOSED,
            CallError::GoingAway => Self::ERR_MUXER_CLOSED,
            CallError::StreamLimit => Self::ERR_STREAM_LIMIT,
            CallError::HandleLimit => Self::ERR_RESOURCE_LIMIT_EXCEEDED,
            CallError::BufferTooSmall(_) => Self::ERR_BUFFER_TOO_SMALL,
            _ => Self::ERR_INTERNAL,
        }
    }
}

impl From<StreamFault> for ErrorCode {
    fn from(fault: StreamFault) -> Self {
        match fault {
            StreamFault::UnsupportedProtocol => Self::ERR_UNSUPPORTED_PROTOCOL,
            StreamFault::Negotiation => Self::ERR_MULTISELECT,
            StreamFault::NegotiationTimeout => Self::ERR_TIMEOUT,
            StreamFault::Framing => Self::ERR_INVALID_FRAMING,
            StreamFault::MessageTooLarge => Self::ERR_MESSAGE_TOO_LARGE,
            StreamFault::Application => Self::ERR_IO,
            StreamFault::ResourceLimit => Self::ERR_STREAM_LIMIT,
            _ => Self::ERR_INTERNAL,
        }
    }
}

impl ErrorCode {
    /// Returns the error that ended a connection, or `None` after an ordinary close.
    pub(crate) fn of_end(fault: ConnectionFault) -> Option<Self> {
        Some(match fault {
            ConnectionFault::Local
            | ConnectionFault::NodeClosed
            | ConnectionFault::Ended
            | ConnectionFault::GoAway(_) => return None,
            ConnectionFault::Reset => Self::ERR_CONNECTION_RESET,
            ConnectionFault::Io(_) => Self::ERR_IO,
            ConnectionFault::Transport(TransportFault::Closed(_)) => Self::ERR_CONNECTION_RESET,
            ConnectionFault::Record | ConnectionFault::Transport(TransportFault::Tls) => {
                Self::ERR_DECRYPTION_FAILED
            }
            ConnectionFault::Muxer | ConnectionFault::Transport(TransportFault::Frame(_)) => {
                Self::ERR_MUXER_PROTOCOL
            }
            ConnectionFault::Keepalive
            | ConnectionFault::WriteStall
            | ConnectionFault::FrameStall => Self::ERR_TIMEOUT,
            _ => Self::ERR_INTERNAL,
        })
    }
}

impl From<&ConnectError> for ErrorCode {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Address(AddressError::NoInterface(_)) => Self::ERR_UNREACHABLE,
            ConnectError::Address(error) => error.into(),
            ConnectError::Io(error) => error.kind().into(),
            ConnectError::Timeout => Self::ERR_TIMEOUT,
            ConnectError::Refused(_) => Self::ERR_RESOURCE_LIMIT_EXCEEDED,
            ConnectError::Gated(_) => Self::ERR_DIAL_DENIED,
            ConnectError::Ended => Self::ERR_CONNECTION_ENDED,
            ConnectError::Quic(CloseReason::Refused) => Self::ERR_CONNECTION_REFUSED,
            ConnectError::Quic(_) => Self::ERR_UPGRADE,
            ConnectError::Unsupported => Self::ERR_UNSUPPORTED_PROTOCOL,
            ConnectError::Negotiation(_) | ConnectError::Foreign(_) => Self::ERR_MULTISELECT,
            ConnectError::Handshake(error) => (&**error).into(),
            ConnectError::Record | ConnectError::OtherNetwork => Self::ERR_DECRYPTION_FAILED,
            ConnectError::TransportTls(_)
            | ConnectError::AuthorityCertificate
            | ConnectError::NoRoots(_) => Self::ERR_ENCRYPTION_FAILED,
            ConnectError::UpgradeRefused(_) | ConnectError::WebSocket(_) => Self::ERR_UPGRADE,
            ConnectError::Upgrade(_) | ConnectError::NotWebSocket(_) => {
                Self::ERR_UNSUPPORTED_PROTOCOL
            }
            _ => Self::ERR_INTERNAL,
        }
    }
}

impl From<&AddressError> for ErrorCode {
    fn from(error: &AddressError) -> Self {
        match error {
            AddressError::PathLength { .. } | AddressError::PathZero => {
                Self::ERR_INVALID_PARAMETERS
            }
            _ => Self::ERR_NO_TRANSPORT,
        }
    }
}

impl From<&HandshakeError> for ErrorCode {
    fn from(error: &HandshakeError) -> Self {
        match error {
            HandshakeError::PeerIdMismatch { .. } => Self::ERR_UNEXPECTED_PEER,
            HandshakeError::SelfDial => Self::ERR_SELF_DIAL,
            _ => Self::ERR_ENCRYPTION_FAILED,
        }
    }
}

impl From<&SessionError> for ErrorCode {
    fn from(error: &SessionError) -> Self {
        match error {
            SessionError::Establish(error) => error.into(),
            SessionError::Record(_) => Self::ERR_DECRYPTION_FAILED,
            SessionError::NotEstablished | SessionError::Failed => Self::ERR_STATE,
            _ => Self::ERR_INTERNAL,
        }
    }
}

impl From<&CommandError> for ErrorCode {
    fn from(error: &CommandError) -> Self {
        match error {
            CommandError::Address(AddressError::NoInterface(_)) => Self::ERR_ADDRESS_NOT_AVAILABLE,
            CommandError::Address(error) => error.into(),
            CommandError::Io(error) => error.kind().into(),
            CommandError::Aborted => Self::ERR_ABORTED,
            CommandError::NodeClosed => Self::ERR_NODE_CLOSED,
            CommandError::NoListener => Self::ERR_INVALID_PARAMETERS,
            CommandError::Resolve(error) => error.into(),
            CommandError::Store(error) => (&**error).into(),
            _ => Self::ERR_INTERNAL,
        }
    }
}

impl From<&StoreError> for ErrorCode {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Locked => Self::ERR_PEERSTORE_LOCKED,
            StoreError::Corrupt(_) | StoreError::Version(_) => Self::ERR_PEERSTORE_CORRUPT,
            StoreError::Io(_) | StoreError::Closed => Self::ERR_PEERSTORE,
            _ => Self::ERR_INTERNAL,
        }
    }
}

impl From<&ResolveError> for ErrorCode {
    fn from(error: &ResolveError) -> Self {
        match error {
            ResolveError::BadName => Self::ERR_DNS_BAD_NAME,
            ResolveError::NotFound => Self::ERR_DNS_NOT_FOUND,
            ResolveError::NoRecords(_) => Self::ERR_DNS_NO_RECORDS,
            ResolveError::Timeout(_) => Self::ERR_DNS_TIMEOUT,
            _ => Self::ERR_DNS_FAILURE,
        }
    }
}

impl From<ErrorKind> for ErrorCode {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::ConnectionRefused => Self::ERR_CONNECTION_REFUSED,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Self::ERR_CONNECTION_RESET
            }
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                Self::ERR_UNREACHABLE
            }
            ErrorKind::AddrInUse => Self::ERR_ADDRESS_IN_USE,
            ErrorKind::AddrNotAvailable => Self::ERR_ADDRESS_NOT_AVAILABLE,
            ErrorKind::TimedOut => Self::ERR_TIMEOUT,
            ErrorKind::PermissionDenied => Self::ERR_PERMISSION,
            _ => Self::ERR_IO,
        }
    }
}
