//! Errors that end a session or prevent a stream from opening.

use crate::muxer::ConnectionErrorCode;

/// Violation or timeout by the remote that ends the connection.
///
/// The session takes no more input after one of these; the caller sends a GoAway with
/// [`goaway_code`](Self::goaway_code) and closes.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A version other than 0.
    #[error("frame of version {version}, expected 0")]
    InvalidVersion {
        /// As received.
        version: u8,
    },
    /// A frame type beyond GoAway.
    #[error("frame of unknown type {kind}")]
    InvalidType {
        /// As received.
        kind: u8,
    },
    /// A flag other than SYN, ACK, FIN and RST.
    #[error("frame with unknown flags {flags:#06x}")]
    UnknownFlags {
        /// As received.
        flags: u16,
    },
    /// A stream frame for stream 0, or a new stream with an id that only we may allocate.
    #[error("stream id {id} is not the remote's to use")]
    InvalidStreamId {
        /// As received.
        id: u32,
    },
    /// A ping or GoAway that names a stream.
    #[error("session frame names stream {id}")]
    SessionFrameOnStream {
        /// As received.
        id: u32,
    },
    /// A new stream with the id of a live one.
    #[error("stream {id} is opened twice")]
    DuplicateStream {
        /// As received.
        id: u32,
    },
    /// A data frame longer than the remaining window of its stream.
    #[error("data frame of {length} bytes exceeds window of {window} on stream {id}")]
    WindowExceeded {
        /// The stream.
        id: u32,
        /// Payload length announced by the header.
        length: u32,
        /// Remaining credit of the remote.
        window: u32,
    },
    /// Total credit for a stream that exceeds 32 bits.
    #[error("credit of {delta} overflows the window of stream {id}")]
    CreditOverflow {
        /// The stream.
        id: u32,
        /// Credit added.
        delta: u32,
    },
    /// More data for nonexistent streams than the remote can still have had in flight.
    #[error(
        "data frame of {length} bytes for unknown stream {id} exceeds allowance of {allowance}"
    )]
    StrayData {
        /// As received.
        id: u32,
        /// Payload length announced by the header.
        length: u32,
        /// Remaining allowance.
        allowance: u64,
    },
    /// Too many frames without effect: empty data, repeated flags, unknown streams.
    #[error("too many frames without effect")]
    IdleFlood,
    /// More window updates than bytes they could account for.
    #[error("too many window updates")]
    WindowUpdateFlood,
    /// Too many streams that the remote opened and reset.
    #[error("too many streams reset by the remote")]
    RapidReset,
    /// Too many streams opened beyond the limits.
    #[error("too many streams opened beyond the limit")]
    RefusalFlood,
    /// Too many resets queued for a remote that does not read.
    #[error("{limit} resets wait to be sent")]
    ResetBacklog {
        /// Maximum number of queued resets.
        limit: usize,
    },
    /// The rest of a frame did not arrive in time.
    #[error("frame is not completed in time")]
    FrameStalled,
    /// Nothing arrived in time after a keepalive ping.
    #[error("keepalive ping is not answered in time")]
    KeepaliveTimeout,
}

/// GoAway code for a violation of yamux itself, from its specification.
const GOAWAY_PROTOCOL_ERROR: u32 = 1;

impl ProtocolError {
    /// Code for the GoAway frame sent to the remote.
    pub const fn goaway_code(self) -> u32 {
        match self {
            Self::InvalidVersion { .. }
            | Self::InvalidType { .. }
            | Self::UnknownFlags { .. }
            | Self::InvalidStreamId { .. }
            | Self::SessionFrameOnStream { .. }
            | Self::DuplicateStream { .. }
            | Self::WindowExceeded { .. }
            | Self::CreditOverflow { .. }
            | Self::StrayData { .. } => GOAWAY_PROTOCOL_ERROR,
            Self::IdleFlood
            | Self::WindowUpdateFlood
            | Self::RapidReset
            | Self::RefusalFlood
            | Self::ResetBacklog { .. } => ConnectionErrorCode::RateLimited as u32,
            Self::FrameStalled | Self::KeepaliveTimeout => ConnectionErrorCode::NoError as u32,
        }
    }
}

/// Reason a stream cannot be opened.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The limit on unacknowledged streams is reached. Retry after
    /// [`Event::Acked`](super::Event::Acked) or the end of an unacknowledged stream.
    #[error("too many streams are not acknowledged by the remote")]
    Unacked,
    /// All 2^31 stream ids are used.
    #[error("stream ids are exhausted")]
    IdsExhausted,
    /// The engine's limit on open streams is reached.
    #[error("too many streams are open")]
    TooMany,
    /// Either side has sent a GoAway.
    #[error("connection is going away")]
    GoingAway,
}
