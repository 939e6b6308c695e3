//! Window arithmetic: what the remote may send, what we may send.

use std::time::Duration;

use crate::muxer::{MemoryBudget, WINDOW_INITIAL};

/// Share of a window that is consumed before credit for it goes out.
///
/// At a quarter the credit is back before a sender with a full pipe runs dry, and a window costs
/// four small frames.
const UPDATES_PER_WINDOW: u32 = 4;

/// Most bytes that are consumed before credit for them goes out.
///
/// What is not announced yet is not on the path: of 16 MiB in quarters only 12 MiB are in use at a
/// time, which made 1.6 Gbit/s of a path of 2 Gbit/s and 63 ms. A frame for 512 KiB costs nothing.
const UPDATE_STEP_MAX: u32 = 512 << 10;

/// Round trips within which a window has to be consumed for it to double.
///
/// A sender that the window holds up uses a window per round trip, whatever its size, so growth goes
/// on until a window holds at least four times what the path and the reader take in a round trip.
const GROWTH_ROUND_TRIPS: u32 = 4;

/// Round trip below which the measured one does not matter for growth.
///
/// On a loopback of 50 us the time of a window is that of the reader's thread hops and batches, and
/// a window of 4 MiB is worth having from about 50 MB/s on: 2 MiB in 40 ms.
const ROUND_TRIP_MIN: Duration = Duration::from_millis(10);

/// Adds to the credit for sending; `None` when the sum does not fit.
pub(super) const fn add_credit(credit: u32, delta: u32) -> Option<u32> {
    credit.checked_add(delta)
}

/// What the remote may send on one stream.
///
/// `size` is always the sum of what the remote may still send (`remaining`), what was received and
/// not consumed, and what was consumed and not announced (`owed`).
#[derive(Clone, Debug)]
pub(super) struct ReceiveWindow {
    size: u32,
    remaining: u32,
    owed: u32,
    /// Reserved from the memory budget.
    reserved: u32,
    /// Consumption is measured from here, window by window.
    epoch_at: Duration,
    epoch_bytes: u32,
}

/// Where growth of a window ends and what it is measured with.
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
            reserved: 0,
            epoch_at: now,
            epoch_bytes: 0,
        }
    }

    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// What the remote may still send.
    pub(super) const fn remaining(&self) -> u32 {
        self.remaining
    }

    /// Debits a frame at its header; `false` when it is longer than the remote may send.
    pub(super) const fn receive(&mut self, length: u32) -> bool {
        match self.remaining.checked_sub(length) {
            Some(remaining) => {
                self.remaining = remaining;
                true
            }
            None => false,
        }
    }

    /// The application consumed `bytes`; grows the window if it was used up quickly.
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
            // Idle or slow. What follows may be quick, so that it is measured from here.
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

    /// Credits `bytes` that nobody will read.
    pub(super) fn give_back(&mut self, bytes: u32) {
        let held = self.size - self.remaining - self.owed;
        debug_assert!(bytes <= held, "consumed {bytes} of {held} bytes held");
        self.owed += bytes.min(held);
    }

    /// Credits everything received: nobody will read it.
    pub(super) const fn give_back_all(&mut self) {
        self.owed = self.size - self.remaining;
    }

    /// Bytes owed that are worth an update of their own.
    pub(super) const fn update_step(&self) -> u32 {
        let share = self.size / UPDATES_PER_WINDOW;
        if share < UPDATE_STEP_MAX {
            share
        } else {
            UPDATE_STEP_MAX
        }
    }

    /// Whether enough is owed for an update of its own.
    pub(super) const fn is_update_due(&self) -> bool {
        self.owed >= self.update_step()
    }

    /// The credit to announce, from here on the remote's.
    pub(super) const fn take_update(&mut self) -> u32 {
        let delta = self.owed;
        // At most `size`, by the invariant of the type.
        self.remaining += delta;
        self.owed = 0;
        delta
    }

    /// What has to go back to the memory budget; asks once.
    pub(super) fn take_reserved(&mut self) -> u32 {
        std::mem::take(&mut self.reserved)
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
            self.reserved += growth;
        }
    }
}
