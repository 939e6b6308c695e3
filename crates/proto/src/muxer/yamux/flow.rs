//! Window arithmetic: the credit of the remote and our own.

use std::time::Duration;

use crate::muxer::{MemoryBudget, WINDOW_INITIAL};

/// Number of window updates per window: a quarter is consumed before its credit is announced.
///
/// At a quarter the credit returns before a sender with a full pipe runs dry, and a window costs
/// four small frames.
const UPDATES_PER_WINDOW: u32 = 4;

/// Maximum number of bytes consumed before their credit is announced.
///
/// Unannounced credit is unused: of 16 MiB in quarters only 12 MiB are in use at a time, which
/// yielded 1.6 Gbit/s on a path of 2 Gbit/s and 63 ms. A frame per 512 KiB costs nothing.
const UPDATE_STEP_MAX: u32 = 512 << 10;

/// Maximum number of round trips to consume a window in for it to double.
///
/// A window-limited sender uses one window per round trip, whatever its size, so growth continues
/// until a window holds at least four times what the path and the reader take in a round trip.
const GROWTH_ROUND_TRIPS: u32 = 4;

/// Minimum round trip assumed for growth, whatever was measured.
///
/// On a loopback of 50 us the time per window is that of the reader's thread hops and batches, and
/// a window of 4 MiB pays off from about 50 MB/s: 2 MiB in 40 ms.
const ROUND_TRIP_MIN: Duration = Duration::from_millis(10);

/// Adds to the send credit; `None` on overflow.
pub(super) const fn add_credit(credit: u32, delta: u32) -> Option<u32> {
    credit.checked_add(delta)
}

/// Receive window of one stream: the bytes the remote may send.
///
/// `size` is always the sum of the bytes the remote may still send (`remaining`), those received
/// and not consumed, and those consumed and not announced (`owed`).
#[derive(Clone, Debug)]
pub(super) struct ReceiveWindow {
    size: u32,
    remaining: u32,
    owed: u32,
    /// Start of the current measurement of consumption, one per window.
    epoch_at: Duration,
    epoch_bytes: u32,
}

/// Bound on window growth, and the round trip that governs it.
#[derive(Copy, Clone, Debug)]
pub(super) struct GrowthLimits {
    pub(super) size_max: u32,
    /// `None` before the first measurement.
    pub(super) rtt: Option<Duration>,
}

impl ReceiveWindow {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            size: WINDOW_INITIAL,
            remaining: WINDOW_INITIAL,
            owed: 0,
            epoch_at: now,
            epoch_bytes: 0,
        }
    }

    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// Bytes that the remote may still send.
    pub(super) const fn remaining(&self) -> u32 {
        self.remaining
    }

    /// Debits a frame at its header; `false` if it exceeds the remaining window.
    pub(super) const fn receive(&mut self, length: u32) -> bool {
        match self.remaining.checked_sub(length) {
            Some(remaining) => {
                self.remaining = remaining;
                true
            }
            None => false,
        }
    }

    /// Records that the application consumed `bytes`; grows the window if it was used up quickly.
    pub(super) fn consume(
        &mut self,
        bytes: u32,
        now: Duration,
        limits: GrowthLimits,
        budget: &mut dyn MemoryBudget,
    ) {
        self.give_back(bytes);
        let deadline = limits.rtt.unwrap_or_default().max(ROUND_TRIP_MIN) * GROWTH_ROUND_TRIPS;
        if now.saturating_sub(self.epoch_at) > deadline {
            // Idle or slow. Subsequent data may be fast, so the measurement restarts here.
            self.epoch_at = now;
            self.epoch_bytes = 0;
            return;
        }
        self.epoch_bytes = self.epoch_bytes.saturating_add(bytes);
        if self.epoch_bytes >= self.size {
            self.epoch_at = now;
            self.epoch_bytes = 0;
            self.grow(limits.size_max, budget);
        }
    }

    /// Credits `bytes` as consumed.
    pub(super) fn give_back(&mut self, bytes: u32) {
        let held = self.size - self.remaining - self.owed;
        debug_assert!(bytes <= held, "consumed {bytes} of {held} bytes held");
        self.owed += bytes.min(held);
    }

    /// Credits everything received, since it will not be read.
    pub(super) const fn give_back_all(&mut self) {
        self.owed = self.size - self.remaining;
    }

    /// Owed bytes that trigger an update.
    pub(super) const fn update_step(&self) -> u32 {
        let share = self.size / UPDATES_PER_WINDOW;
        if share < UPDATE_STEP_MAX {
            share
        } else {
            UPDATE_STEP_MAX
        }
    }

    /// Whether enough is owed to trigger an update.
    pub(super) const fn is_update_due(&self) -> bool {
        self.owed >= self.update_step()
    }

    /// Takes the credit to announce and adds it to the remote's.
    pub(super) const fn take_update(&mut self) -> u32 {
        let delta = self.owed;
        // At most `size`, by the invariant of the type.
        self.remaining += delta;
        self.owed = 0;
        delta
    }

    fn grow(&mut self, size_max: u32, budget: &mut dyn MemoryBudget) {
        let size = self
            .size
            .saturating_mul(2)
            .min(size_max.max(WINDOW_INITIAL));
        let growth = size - self.size.min(size);
        if growth > 0 && budget.reserve(growth) {
            self.size = size;
            self.owed += growth;
        }
    }
}
