//! Events that a session reports to its caller.

use std::time::Duration;

use crate::muxer::StreamKey;

/// Event produced by input.
///
/// Per stream: `Opened` first, then data, then `Finished`, `Reset`, or `Finished` followed by
/// `Reset`, each at most once. None follows the caller's `reset` or `remove`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The remote opened a stream; call [`accept`](super::Session::accept) when the application
    /// takes it.
    Opened {
        /// The stream.
        key: StreamKey,
    },
    /// The remote acknowledged an outbound stream: another one may be opened.
    Acked {
        /// The stream.
        key: StreamKey,
    },
    /// The next bytes of a stream, at least one; a long frame is delivered in the pieces that
    /// arrive.
    Data {
        /// The stream.
        key: StreamKey,
        /// Borrowed from the input.
        bytes: &'a [u8],
    },
    /// The remote sends no more on this stream.
    Finished {
        /// The stream.
        key: StreamKey,
    },
    /// The stream is over: the remote reset it, or violated the protocol on it and it was reset
    /// locally.
    Reset {
        /// The stream.
        key: StreamKey,
        /// The remote's code, or [`ProtocolViolation`](crate::muxer::StreamErrorCode).
        code: u32,
    },
    /// A stream that had no credit has some again.
    Writable {
        /// The stream.
        key: StreamKey,
    },
    /// The remote accepts no more streams and must not open any: streams it opens after this are
    /// refused. Existing streams continue.
    GoAway {
        /// The remote's code.
        code: u32,
    },
    /// The remote answered our ping, and the clock was not paused in between.
    Pong {
        /// Time since [`ping`](super::Session::ping).
        rtt: Duration,
    },
}
