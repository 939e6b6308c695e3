//! The receive window of a connection.

use std::time::Duration;

/// Bytes that a remote may send ahead of the application at first, for which no memory is reserved: at a
/// round trip of 100 ms, 15 MB/s until the window has grown.
const WINDOW_MIN: u32 = 1_536 << 10;

/// Half a window that is passed on within two round trips, or this time, is too small: the remote would
/// wait for us. Within a host, the application's turns are longer than the round trips.
const FAST_TIME: Duration = Duration::from_millis(16);

/// What a remote may send on all streams ahead of the application: as much as the path carries, and what
/// streams that are not read may hold, so that the others do not wait for them.
///
/// Whatever exceeds the first window is reserved before the remote is allowed to send it.
pub(crate) struct Window {
    min: u32,
    max: u32,
    /// Window that the path needs.
    adapted: u32,
    /// Window that the remote has.
    granted: u32,
    /// Bytes by which it has shrunk and that the remote may send nevertheless, as credit is not taken
    /// back, and the number of bytes passed on at which it has used them up.
    excess: Option<(u32, u64)>,
    /// Bytes passed on when the path was last looked at, and when that was.
    since: (u64, Duration),
}

impl Window {
    pub(crate) const fn first(max: u32) -> u32 {
        if max < WINDOW_MIN { max } else { WINDOW_MIN }
    }

    pub(crate) const fn new(max: u32) -> Self {
        let min = Self::first(max);
        Self {
            min,
            max,
            adapted: min,
            granted: min,
            excess: None,
            since: (0, Duration::ZERO),
        }
    }

    /// Bytes beyond the first window that the remote may send.
    pub(crate) const fn reserved(&self) -> u32 {
        let excess = match self.excess {
            Some((bytes, _)) => bytes,
            None => 0,
        };
        self.granted - self.min + excess
    }

    /// Looks at the pace at which bytes are passed on.
    pub(crate) fn observe(&mut self, passed_on: u64, round_trip: Duration, now: Duration) {
        let (before, at) = self.since;
        if passed_on - before < u64::from(self.adapted / 2) {
            return;
        }
        if now.saturating_sub(at) < FAST_TIME.max(2 * round_trip) {
            self.adapted = self.adapted.saturating_mul(2).min(self.max);
        }
        self.since = (passed_on, now);
    }

    /// Forgets the pace: no stream is left.
    pub(crate) const fn forget(&mut self) {
        self.adapted = self.min;
    }

    /// Returns the window to grant while streams that are not read may hold `unread` bytes.
    pub(crate) fn target(&self, unread: u32) -> u32 {
        self.adapted.saturating_add(unread).min(self.max)
    }

    pub(crate) const fn granted(&self) -> u32 {
        self.granted
    }

    /// Returns whether the remote has credit of a larger window: it is not changed until that is used
    /// up, as quinn-proto adds credit of a growth to it.
    pub(crate) const fn has_excess(&self) -> bool {
        self.excess.is_some()
    }

    /// Returns the bytes beyond the window once the remote has used them up, and 0 otherwise.
    pub(crate) fn take_used(&mut self, passed_on: u64) -> u32 {
        let used = self.excess.take_if(|(_, at)| passed_on >= *at);
        used.map_or(0, |(bytes, _)| bytes)
    }

    /// Records a window that has been granted.
    pub(crate) fn grant(&mut self, window: u32, passed_on: u64) {
        let less = self.granted.saturating_sub(window);
        if less > 0 {
            self.excess = Some((less, passed_on + u64::from(less)));
        }
        self.granted = window;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_window_grows_while_its_bytes_are_passed_on_fast_and_shrinks_without_streams() {
        let mut window = Window::new(4 * WINDOW_MIN);
        let half = u64::from(WINDOW_MIN / 2);
        window.observe(half, 100 * MS, 199 * MS);
        assert_eq!(window.target(0), 2 * WINDOW_MIN);
        // Half of the larger one takes longer.
        window.observe(3 * half, 100 * MS, 500 * MS);
        assert_eq!(window.target(0), 2 * WINDOW_MIN);
        window.observe(5 * half, 100 * MS, 510 * MS);
        window.observe(9 * half, 100 * MS, 520 * MS);
        assert_eq!(window.target(0), 4 * WINDOW_MIN);
        window.forget();
        assert_eq!(window.target(0), WINDOW_MIN);
    }

    #[test]
    fn credit_of_a_window_that_shrinks_is_reserved_until_it_is_used_up() {
        let mut window = Window::new(8 * WINDOW_MIN);
        window.grant(3 * WINDOW_MIN, 0);
        assert_eq!(window.reserved(), 2 * WINDOW_MIN);
        window.grant(WINDOW_MIN, 100);
        assert!(window.has_excess());
        assert_eq!(window.reserved(), 2 * WINDOW_MIN);
        let used_up = 100 + 2 * u64::from(WINDOW_MIN);
        assert_eq!(window.take_used(used_up - 1), 0);
        assert_eq!(window.take_used(used_up), 2 * WINDOW_MIN);
        assert!(!window.has_excess());
        assert_eq!(window.reserved(), 0);
    }

    #[test]
    fn what_unread_streams_hold_is_granted_besides_within_the_maximum() {
        let window = Window::new(10 << 20);
        assert_eq!(window.target(6 << 20), WINDOW_MIN + (6 << 20));
        assert_eq!(window.target(12 << 20), 10 << 20);
        assert_eq!(Window::new(1 << 10).target(6 << 20), 1 << 10);
    }
}
