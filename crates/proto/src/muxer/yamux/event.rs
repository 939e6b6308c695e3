//! What a session tells its caller.

use std::time::Duration;

use crate::muxer::StreamKey;

/// What a piece of input amounts to.
///
/// Of one stream: `Opened` first, then data, then at most one of `Finished` and `Reset`, or
/// `Finished` and later `Reset`. Nothing follows `reset` or `remove` of the caller.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The remote opened a stream; [`accept`](super::Session::accept) when the application takes it.
    Opened {
        /// The stream.
        key: StreamKey,
    },
    /// The remote acknowledged a stream of ours: another one may be opened.
    Acked {
        /// The stream.
        key: StreamKey,
    },
    /// The next bytes of a stream, at least one; of a long frame as much as has arrived.
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
    /// The stream is over: the remote reset it, or broke its rules and it was reset here.
    Reset {
        /// The stream.
        key: StreamKey,
        /// The remote's code, or [`ProtocolViolation`](crate::muxer::StreamErrorCode).
        code: u32,
    },
    /// There is credit again on a stream that had none.
    Writable {
        /// The stream.
        key: StreamKey,
    },
    /// The remote takes no more streams and is to open none: what it opens behind this is refused. Those
    /// there are go on.
    GoAway {
        /// The remote's code.
        code: u32,
    },
    /// The remote answered our ping, and the clock was not paused in between.
    Pong {
        /// From [`ping`](super::Session::ping) to here.
        rtt: Duration,
    },
}
