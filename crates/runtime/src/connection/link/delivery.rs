//! What the remote has taken of the bytes that were written to the socket.
//!
//! A write that succeeds has filled the kernel's buffer, which may hold minutes of a slow link; one that is refused
//! tells no more. So where a clock is about to end the connection, the kernel is asked what is left.

use std::time::Duration;

use ferroswarm_proto::muxer::Outgoing;

use crate::pipe::BytePipe;

/// Looks within the time that a clock gives the remote.
const LOOKS: u32 = 4;

/// Counts in bytes since the start of the connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delivery {
    written: u64,
    /// End of the last data frame that was sealed; what is behind it are control frames.
    data_until: u64,
    /// As of the last look.
    taken: u64,
    /// The last look of those that follow one another; none while nobody waits for the remote.
    looked_at: Option<Duration>,
    moved_at: Duration,
}

impl Delivery {
    /// The socket has taken `count` bytes.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count as u64;
    }

    /// Data frames are among the `unsent` bytes that come next.
    pub(super) fn carries_data(&mut self, unsent: usize) {
        self.data_until = self.written + unsent as u64;
    }

    /// Since when it has not been seen that the remote takes anything, if it was before.
    pub(super) const fn moved_at(&self) -> Duration {
        self.moved_at
    }

    /// The next look of a clock that gives the remote `patience` and runs since `since`.
    pub(super) fn next_look(&self, since: Duration, patience: Duration) -> Duration {
        self.looked_at.unwrap_or(since).max(since) + patience / LOOKS
    }

    /// Nobody waits for the remote.
    pub(super) const fn rest(&mut self) {
        self.looked_at = None;
    }

    /// Asks the kernel; none where it does not tell.
    pub(super) fn look(&mut self, pipe: &dyn BytePipe, now: Duration) -> Option<Outgoing> {
        // The first look after a while cannot tell when it was that something moved.
        let follows = self.looked_at.replace(now).is_some();
        let unaccepted = pipe.unaccepted()? as u64;
        let before = std::mem::replace(&mut self.taken, self.written.saturating_sub(unaccepted));
        let has_moved = follows && self.taken > before;
        if has_moved {
            self.moved_at = now;
        }
        Some(if has_moved && before < self.data_until {
            Outgoing::Moves
        } else if self.taken < self.data_until {
            Outgoing::Waits
        } else {
            Outgoing::Gone
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use super::*;

    /// A socket of which the kernel tells so much.
    struct Unaccepted(AtomicUsize);

    impl Unaccepted {
        fn set(&self, bytes: usize) {
            self.0.store(bytes, Ordering::Relaxed);
        }
    }

    impl BytePipe for Unaccepted {
        fn try_read(&self, _into: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }

        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn unaccepted(&self) -> Option<usize> {
            Some(self.0.load(Ordering::Relaxed))
        }

        fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_writable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn shutdown(&self) -> io::Result<()> {
            Ok(())
        }

        fn close(&self) {}
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// 500 bytes of data and 28 of a ping behind them.
    fn sent() -> Delivery {
        let mut delivery = Delivery::default();
        delivery.carries_data(500);
        delivery.wrote(528);
        delivery
    }

    #[test]
    fn tells_data_that_moves_from_data_that_waits_and_from_a_ping() {
        let mut delivery = sent();
        let pipe = Unaccepted(AtomicUsize::new(528));
        assert_eq!(delivery.look(&pipe, at(1)), Some(Outgoing::Waits));
        pipe.set(428);
        assert_eq!(delivery.look(&pipe, at(2)), Some(Outgoing::Moves));
        assert_eq!(delivery.moved_at(), at(2));
        assert_eq!(delivery.look(&pipe, at(3)), Some(Outgoing::Waits));
        pipe.set(28);
        assert_eq!(delivery.look(&pipe, at(4)), Some(Outgoing::Moves));
        // What is left is the ping.
        pipe.set(0);
        assert_eq!(delivery.look(&pipe, at(5)), Some(Outgoing::Gone));
    }

    #[test]
    fn what_moved_while_nobody_looked_has_no_time() {
        let mut delivery = sent();
        let pipe = Unaccepted(AtomicUsize::new(0));
        assert_eq!(delivery.look(&pipe, at(100)), Some(Outgoing::Gone));
        assert_eq!(delivery.moved_at(), Duration::ZERO);
    }
}
