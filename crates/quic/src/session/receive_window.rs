//! Growth of a connection's receive window.

use std::time::Duration;

/// Decides when the remote may send more ahead of the application, as TCP's receive buffer grows:
/// when half of the window has been read within two round trips, the window limits the remote.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    size: u32,
    max: u32,
    /// Bytes read since `since`.
    read: usize,
    since: Option<Duration>,
}

impl ReceiveWindow {
    pub(super) const fn new(size: u32, max: u32) -> Self {
        Self {
            size,
            max,
            read: 0,
            since: None,
        }
    }

    /// Records bytes passed on.
    pub(super) const fn read(&mut self, bytes: usize) {
        self.read = self.read.saturating_add(bytes);
    }

    /// Returns the bytes by which the window should grow.
    pub(super) fn wants(&mut self, now: Duration, round_trip: Duration) -> Option<u32> {
        let since = *self.since.get_or_insert(now);
        if self.size >= self.max || self.read < (self.size / 2) as usize {
            return None;
        }
        self.read = 0;
        self.since = Some(now);
        let is_limiting = now.saturating_sub(since) < 2 * round_trip;
        is_limiting.then(|| self.size.min(self.max - self.size))
    }

    /// Grows by `bytes`; returns the new size.
    pub(super) fn grow(&mut self, bytes: u32) -> u32 {
        self.size = self.size.saturating_add(bytes).min(self.max);
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    #[test]
    fn grows_while_half_of_it_is_read_within_two_round_trips_and_not_beyond_its_maximum() {
        let start = Duration::ZERO;
        let mut window = ReceiveWindow::new(1_000, 3_000);
        assert_eq!(window.wants(start, RTT), None);
        window.read(499);
        assert_eq!(window.wants(start + RTT, RTT), None);
        window.read(1);
        assert_eq!(window.wants(start + RTT, RTT), Some(1_000));
        assert_eq!(window.grow(1_000), 2_000);
        window.read(1_000);
        assert_eq!(window.wants(start + 2 * RTT, RTT), Some(1_000));
        assert_eq!(window.grow(1_000), 3_000);
        window.read(3_000);
        assert_eq!(window.wants(start + 3 * RTT, RTT), None);
    }

    #[test]
    fn does_not_grow_for_a_remote_that_sends_slowly_or_when_growth_was_refused() {
        let start = Duration::ZERO;
        let mut window = ReceiveWindow::new(1_000, 3_000);
        assert_eq!(window.wants(start, RTT), None);
        window.read(500);
        assert_eq!(window.wants(start + 3 * RTT, RTT), None);
        window.read(500);
        assert_eq!(window.wants(start + 4 * RTT, RTT), Some(1_000));
        // Refused: asked for again after as much has been read.
        assert_eq!(window.wants(start + 4 * RTT, RTT), None);
        window.read(500);
        assert_eq!(window.wants(start + 5 * RTT, RTT), Some(1_000));
    }
}
