//! Errors of frames and upgrades.

use crate::frame::FRAME_BYTES_MAX;
use crate::upgrade::{HEAD_BYTES_MAX, HEADERS_MAX, Status};

/// Violation of RFC 6455 by the remote. Final for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A reserved bit is set, and no extension was agreed upon.
    #[error("a reserved bit of a frame is set")]
    ReservedBit,
    /// A reserved opcode.
    #[error("opcode {0} is reserved")]
    Opcode(u8),
    /// A frame of a dialer has no mask.
    #[error("a frame of a dialer has no mask")]
    Unmasked,
    /// A frame of a listener has a mask.
    #[error("a frame of a listener has a mask")]
    Masked,
    /// A length that a shorter form could express.
    #[error("the length of a frame is not in its shortest form")]
    LengthNotMinimal,
    /// A frame beyond the limit.
    #[error("frame of {length} bytes exceeds limit of {FRAME_BYTES_MAX}")]
    TooLarge {
        /// Its announced length.
        length: u64,
    },
    /// A control frame in fragments.
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// A control frame beyond 125 bytes.
    #[error("a control frame exceeds 125 bytes")]
    ControlTooLarge,
    /// A continuation of no message.
    #[error("a continuation frame continues no message")]
    NothingToContinue,
    /// A message that starts before the previous one has ended.
    #[error("a message starts within another")]
    MessageWithinMessage,
    /// A close frame of one byte.
    #[error("a close frame has half a code")]
    CloseLength,
    /// A close frame with a code that must not be sent.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// A close frame whose reason is not UTF-8.
    #[error("the reason of a close frame is not UTF-8")]
    CloseReason,
}

impl FrameError {
    /// Returns the code of the close frame that answers the violation.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::TooLarge { .. } => 1009,
            Self::ReservedBit
            | Self::Opcode(_)
            | Self::Unmasked
            | Self::Masked
            | Self::LengthNotMinimal
            | Self::ControlFragmented
            | Self::ControlTooLarge
            | Self::NothingToContinue
            | Self::MessageWithinMessage
            | Self::CloseLength
            | Self::CloseCode(_)
            | Self::CloseReason => 1002,
        }
    }
}

/// The source of randomness has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the generator of random bytes failed")]
pub struct RandomnessError;

/// Reason why a frame cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A close frame was sent or received, or is about to be sent.
    #[error("the connection is closing")]
    Closing,
    /// A frame beyond the limit.
    #[error("frame of {0} bytes exceeds limit of {FRAME_BYTES_MAX}")]
    TooLarge(usize),
    /// There is no mask key.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

/// Reason why a request is refused. Final for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The input is not HTTP/1.
    #[error("the request is not HTTP/1")]
    Malformed(#[source] httparse::Error),
    /// A request whose line and headers exceed the limit.
    #[error("the head of the request exceeds {HEAD_BYTES_MAX} bytes")]
    TooLarge,
    /// A request with too many headers.
    #[error("the request has more than {HEADERS_MAX} headers")]
    TooManyHeaders,
    /// An upgrade by another method than GET, by HTTP/1.0, or with a body.
    #[error("the upgrade is not a GET of HTTP/1.1 without a body")]
    NotUpgradable,
    /// An upgrade without a host, or with several.
    #[error("the upgrade must name one host")]
    Host,
    /// An upgrade without a valid key.
    #[error("the upgrade has no valid Sec-WebSocket-Key")]
    Key,
    /// An upgrade to another version than 13.
    #[error("the upgrade is to another version than 13")]
    Version,
}

impl RequestError {
    /// Returns the status that answers the request.
    pub const fn status(self) -> Status {
        match self {
            Self::TooLarge | Self::TooManyHeaders => Status::HEADERS_TOO_LARGE,
            Self::Version => Status::UPGRADE_REQUIRED,
            Self::Malformed(_) | Self::NotUpgradable | Self::Host | Self::Key => {
                Status::BAD_REQUEST
            }
        }
    }
}

/// Reason why an upgrade failed at its dialer. Final for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The input is not HTTP/1.
    #[error("the response is not HTTP/1")]
    Malformed(#[source] httparse::Error),
    /// A response whose line and headers exceed the limit.
    #[error("the head of the response exceeds {HEAD_BYTES_MAX} bytes")]
    TooLarge,
    /// A response with too many headers.
    #[error("the response has more than {HEADERS_MAX} headers")]
    TooManyHeaders,
    /// Another status than 101.
    #[error("the listener answered with status {0}")]
    Status(u16),
    /// A response of status 101 that does not switch to WebSocket by HTTP/1.1.
    #[error("the listener did not switch to WebSocket")]
    NotWebSocket,
    /// A response to another key.
    #[error("the listener's Sec-WebSocket-Accept does not fit the key")]
    Accept,
    /// An extension or a subprotocol that was not offered.
    #[error("the listener selected what was not offered")]
    NotOffered,
}
