//! Progress of the remote in taking bytes written to the socket.
//!
//! A successful write has only filled the kernel's buffer, which may hold minutes of a slow link; a
//! refused one reveals no more. While a timer may end the connection, the kernel is therefore
//! queried for the bytes left.

use std::time::Duration;

use ferroswarm_proto::muxer::Outgoing;

use crate::pipe::BytePipe;

/// Samples within the timeout of a timer.
const SAMPLES: u32 = 4;

/// Delivery state; counts are bytes since the start of the connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delivery {
    written: u64,
    /// End of the last sealed batch with data frames; only control frames follow.
    data_until: u64,
    /// Bytes taken by the remote as of the last sample.
    taken: u64,
    /// Last sample of a consecutive series; `None` while no timer waits for the remote.
    sampled_at: Option<Duration>,
    moved_at: Duration,
}

impl Delivery {
    /// Records that the socket has taken `count` bytes.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count as u64;
    }

    /// Records that the next `unsent` bytes include data frames.
    pub(super) fn carries_data(&mut self, unsent: usize) {
        self.data_until = self.written + unsent as u64;
    }

    /// Time at which the remote was last observed to take bytes; zero if never.
    pub(super) const fn moved_at(&self) -> Duration {
        self.moved_at
    }

    /// Time of the next sample for a timer with this `timeout` that runs since `since`.
    pub(super) fn next_sample(&self, since: Duration, timeout: Duration) -> Duration {
        self.sampled_at.unwrap_or(since).max(since) + timeout / SAMPLES
    }

    /// Ends the series of samples: no timer waits for the remote.
    pub(super) const fn stop_sampling(&mut self) {
        self.sampled_at = None;
    }

    /// Queries the kernel; returns `None` if the socket does not support it.
    pub(super) fn sample(&mut self, pipe: &dyn BytePipe, now: Duration) -> Option<Outgoing> {
        // The first sample of a series cannot date earlier progress.
        let follows = self.sampled_at.replace(now).is_some();
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

    /// A socket with a fixed number of unaccepted bytes.
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

    /// 500 bytes of data, followed by 28 bytes of a ping.
    fn sent() -> Delivery {
        let mut delivery = Delivery::default();
        delivery.carries_data(500);
        delivery.wrote(528);
        delivery
    }

    #[test]
    fn distinguishes_moving_data_from_waiting_data_and_from_a_ping() {
        let mut delivery = sent();
        let pipe = Unaccepted(AtomicUsize::new(528));
        assert_eq!(delivery.sample(&pipe, at(1)), Some(Outgoing::Waits));
        pipe.set(428);
        assert_eq!(delivery.sample(&pipe, at(2)), Some(Outgoing::Moves));
        assert_eq!(delivery.moved_at(), at(2));
        assert_eq!(delivery.sample(&pipe, at(3)), Some(Outgoing::Waits));
        pipe.set(28);
        assert_eq!(delivery.sample(&pipe, at(4)), Some(Outgoing::Moves));
        // Only the ping is left.
        pipe.set(0);
        assert_eq!(delivery.sample(&pipe, at(5)), Some(Outgoing::Gone));
    }

    #[test]
    fn progress_before_the_first_sample_is_not_dated() {
        let mut delivery = sent();
        let pipe = Unaccepted(AtomicUsize::new(0));
        assert_eq!(delivery.sample(&pipe, at(100)), Some(Outgoing::Gone));
        assert_eq!(delivery.moved_at(), Duration::ZERO);
    }
}
