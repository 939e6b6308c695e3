//! JavaScript's side of a connection's lock: at its flush it may seal and send itself, and what is a
//! guest of its event loop it reads itself.

use std::time::Duration;

use crate::sync::{Arc, Ordering, fence};

use super::{Connection, Scratch};

/// Bytes that a flush seals on JavaScript's thread, whatever the connection holds: what a tick may have for it, in
/// one record. The driver's core seals the rest meanwhile. In a loop of `await write(256 KiB)` the event loop was
/// late by 2 ms (p99) with this bound, with four times as much too, by 2 to 4 ms with eight times and by 3 to 10 ms
/// without; 4 % of the bytes were sealed here, without a bound up to half.
const SEALED_MAX: usize = 16 << 10;

impl Connection {
    /// Seals and sends what is posted if the lock is free; else, or where bytes are left, the
    /// driver does it. Never waits.
    pub(crate) fn flush_inline(self: &Arc<Self>, scratch: &mut Scratch) {
        // Set before the attempt: a driver that holds the lock looks at it after letting go.
        self.dirty.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let Some(mut core) = self.core.try_lock() else {
            return;
        };
        self.dirty.store(false, Ordering::SeqCst);
        let flushed = core.flush(self, scratch, SEALED_MAX, self.now());
        drop(core);
        fence(Ordering::SeqCst);
        self.hub.stats.inline_writes.add(1);
        self.hub.stats.inline_bytes.add(flushed.sealed as u64);
        if flushed.needs_driver || self.driver_waits.load(Ordering::SeqCst) {
            self.kick();
        }
    }

    /// How long the event loop may poll behind an event of this connection.
    pub(crate) fn busy_poll(&self) -> Duration {
        self.limits.busy_poll
    }

    /// Reads a guest's socket if the lock is free; else its driver does. Never waits.
    pub(crate) fn read_inline(self: &Arc<Self>, scratch: &mut Scratch, may_stay: bool) {
        // Before the attempt, as in `flush_inline`; the event does not come again. A flag of its own:
        // a flush that gets the lock first clears `dirty`, and reads nothing.
        self.unread.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let Some(mut core) = self.core.try_lock() else {
            return;
        };
        self.unread.store(false, Ordering::SeqCst);
        let kick = core.move_to_loop(self, scratch, may_stay, self.now());
        drop(core);
        fence(Ordering::SeqCst);
        self.hub.stats.inline_reads.add(1);
        if kick || self.driver_waits.load(Ordering::SeqCst) {
            self.kick();
        }
    }

    /// Leaves it to the driver.
    pub(crate) fn flush_later(&self) {
        self.kick();
    }
}
