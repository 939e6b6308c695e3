//! JavaScript's side of a connection's lock: at its flush it may seal and send itself, and what is a
//! guest of its event loop it reads itself.

use crate::sync::{Arc, Ordering, fence};

use super::link::LITTLE_BYTES;
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
        let mut kick = false;
        // Where the socket has refused bytes, the driver waits for it.
        if !core.ended && !core.wants_write() {
            let (sealed, left) = match core.transmit(self, scratch, SEALED_MAX, self.now()) {
                Ok(sent) => (sent.sealed, sent.is_cut),
                Err(fault) => {
                    core.fault = core.fault.or(Some(fault));
                    (0, true)
                }
            };
            core.count_frames(self);
            self.hub.stats.inline_bytes.add(sealed as u64);
            // The driver waits for the socket and for the clock, and it alone ends a connection.
            let sooner = core
                .next_deadline(self)
                .is_some_and(|at| core.armed.is_none_or(|armed| at < armed));
            // So it is with what the engine has held back.
            let held_back = core.engine.has_events();
            kick = left || core.write_failed || sooner || held_back;
        }
        kick |= core.wants_write();
        drop(core);
        fence(Ordering::SeqCst);
        self.hub.stats.inline_writes.add(1);
        if kick || self.driver_waits.load(Ordering::SeqCst) {
            self.kick();
        }
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
        let mut kick = false;
        if core.is_guest() && !core.ended {
            let buffer = scratch.read();
            // One that has suddenly more is not for this thread to open.
            let most = buffer.len().min(core.partial.len() + LITTLE_BYTES);
            let received = core.receive(self, &mut buffer[..most], self.now());
            kick = core.end_visit_turn(self, received, may_stay);
        }
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
