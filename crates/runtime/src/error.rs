//! End reasons: one enum per kind of object that can end, small enough for a record.

use std::fmt;
use std::io;

use ferroswarm_proto::muxer::StreamErrorCode;
use ferroswarm_websocket::{Close, FrameError};
use thiserror::Error;

/// An error of the operating system, with its number and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsError {
    kind: io::ErrorKind,
    number: Option<i32>,
}

impl OsError {
    /// Returns its kind in the standard library.
    pub const fn kind(self) -> io::ErrorKind {
        self.kind
    }

    /// Returns it as an error of the standard library.
    pub(crate) fn to_io(self) -> io::Error {
        match self.number {
            Some(number) => io::Error::from_raw_os_error(number),
            None => self.kind.into(),
        }
    }

    /// Returns the system's number; `None` for an error that is not the system's.
    pub const fn number(self) -> Option<i32> {
        self.number
    }
}

impl From<io::Error> for OsError {
    fn from(error: io::Error) -> Self {
        Self {
            kind: error.kind(),
            number: error.raw_os_error(),
        }
    }
}

impl From<io::ErrorKind> for OsError {
    fn from(kind: io::ErrorKind) -> Self {
        Self { kind, number: None }
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(number) = self.number else {
            return self.kind.fmt(f);
        };
        if let Some(name) = errno_name(number) {
            write!(f, "{name}: ")?;
        }
        io::Error::from_raw_os_error(number).fmt(f)
    }
}

/// Returns the name of an error number, as spelled in the system's headers.
#[cfg(unix)]
fn errno_name(number: i32) -> Option<String> {
    match nix::errno::Errno::from_raw(number) {
        nix::errno::Errno::UnknownErrno => None,
        name => Some(format!("{name:?}")),
    }
}

/// Windows has its own numbers, whose messages explain them.
#[cfg(not(unix))]
const fn errno_name(_number: i32) -> Option<String> {
    None
}

/// Reason a stream failed; its state is then ERROR, or its opening failed.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u16)]
pub enum StreamFault {
    /// Every proposed protocol was refused.
    #[error("the remote supports none of the proposed protocols")]
    UnsupportedProtocol = 1,
    /// The remote violated multistream-select.
    #[error("the remote broke multistream-select")]
    Negotiation = 2,
    /// Negotiation took longer than its deadline.
    #[error("negotiation took longer than its deadline")]
    NegotiationTimeout = 3,
    /// A message's prefix violates its framing.
    #[error("the remote broke the framing of messages")]
    Framing = 4,
    /// A message is longer than the limit.
    #[error("a message is longer than the limit")]
    MessageTooLarge = 5,
    /// The application or its own muxer failed the stream.
    #[error("the application or its muxer failed the stream")]
    Application = 6,
    /// A resource limit of this node does not allow it.
    #[error("a resource limit does not allow the stream")]
    ResourceLimit = 7,
}

impl StreamFault {
    /// Returns the code of the reset that the fault causes.
    pub(crate) const fn reset_code(self) -> StreamErrorCode {
        match self {
            Self::UnsupportedProtocol | Self::Negotiation | Self::NegotiationTimeout => {
                StreamErrorCode::ProtocolNegotiationFailed
            }
            Self::Framing | Self::MessageTooLarge => StreamErrorCode::ProtocolViolation,
            Self::Application => StreamErrorCode::NoError,
            Self::ResourceLimit => StreamErrorCode::ResourceLimitExceeded,
        }
    }
}

/// Reason for which a transport ends a connection, other than by its socket.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFault {
    /// The remote violated WebSocket.
    #[error("the remote broke WebSocket: {0}")]
    Frame(FrameError),
    /// The remote closed the WebSocket with a code that is not that of an orderly end.
    #[error("the remote closed the WebSocket with code {0}")]
    Closed(u16),
    /// The remote violated the TLS below WebSocket, or ended it with an alert.
    #[error("the TLS below WebSocket failed")]
    Tls,
}

impl TransportFault {
    /// Returns the fault within an error of a pipe, with what is to be said of it: the remote's own
    /// reason, or the violation.
    pub(crate) fn within(error: &io::Error) -> Option<(Self, Box<str>)> {
        let inner = error.get_ref()?;
        if let Some(violation) = inner.downcast_ref::<FrameError>() {
            return Some((Self::Frame(*violation), violation.to_string().into()));
        }
        if let Some(ClosedByRemote(close)) = inner.downcast_ref() {
            return Some((Self::Closed(close.code), close.reason.clone()));
        }
        let violation = inner.downcast_ref::<rustls::Error>()?;
        Some((Self::Tls, violation.to_string().into()))
    }
}

/// The remote's close frame, as the error of a pipe.
#[derive(Debug, Error)]
#[error("the remote closed the WebSocket with code {}", .0.code)]
pub(crate) struct ClosedByRemote(pub(crate) Close);

/// Reason a connection ended.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// Closed here.
    #[error("closed here")]
    Local,
    /// The node was closed.
    #[error("the node was closed")]
    NodeClosed,
    /// The remote closed its socket.
    #[error("the remote closed the connection")]
    Ended,
    /// The remote reset its socket.
    #[error("the remote reset the connection")]
    Reset,
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(OsError),
    /// The transport above the socket failed.
    #[error(transparent)]
    Transport(#[from] TransportFault),
    /// A record could not be opened.
    #[error("a record could not be opened")]
    Record,
    /// The remote violated the multiplexer's protocol.
    #[error("the remote broke the multiplexer's protocol")]
    Muxer,
    /// The remote sent GoAway.
    #[error("the remote sent GoAway with code {0}")]
    GoAway(u32),
    /// No answer to a keepalive ping.
    #[error("no answer to a keepalive ping")]
    Keepalive,
    /// The remote accepted no bytes for too long.
    #[error("the remote took no bytes for too long")]
    WriteStall,
    /// The rest of a frame did not arrive in time.
    #[error("a frame of the remote was not completed in time")]
    FrameStall,
    /// A bug in this crate; affects this connection only.
    #[error("internal error")]
    Internal,
}

/// Reason a call on a stream was refused.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The handle refers to no live object.
    #[error("stale handle")]
    StaleHandle,
    /// The remote ended its half and everything was read.
    #[error("end of stream")]
    EndOfStream,
    /// This half was closed here.
    #[error("stream closed")]
    Closed,
    /// The stream was reset.
    #[error("stream reset")]
    Reset,
    /// The stream failed.
    #[error("stream failed: {0}")]
    Failed(StreamFault),
    /// The state does not allow it.
    #[error("not allowed in this state")]
    State,
    /// The connection is gone.
    #[error("connection closed")]
    ConnectionClosed,
    /// The remote has sent GoAway and accepts no more streams.
    #[error("the remote takes no more streams")]
    GoingAway,
    /// The connection is at its limit of outbound streams.
    #[error("too many outbound streams")]
    StreamLimit,
    /// The environment is at its limit of handles.
    #[error("too many handles")]
    HandleLimit,
    /// The next message does not fit the buffer.
    #[error("a message of {0} bytes does not fit the buffer")]
    BufferTooSmall(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_system_error_has_its_name_and_number() {
        let error = OsError::from(io::Error::from_raw_os_error(nix::libc::EMFILE));
        let text = error.to_string();
        assert!(text.starts_with("EMFILE: "), "{text}");
        assert!(
            text.contains(&format!("os error {}", nix::libc::EMFILE)),
            "{text}"
        );
        assert_eq!(error.number(), Some(nix::libc::EMFILE));
        assert_eq!(OsError::from(io::ErrorKind::NotConnected).number(), None);
    }
}
