//! JavaScript's side of a connection's lock: at its flush it may seal and send itself.

use crate::sync::{Arc, Ordering, fence};

use super::{Connection, Scratch};

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
        if !core.ended {
            let failed = core.transmit(self, scratch, self.now()).is_err();
            core.count_frames(self);
            // The driver waits for the socket and for the clock, and it alone ends a connection.
            let sooner = core
                .next_deadline(self)
                .is_some_and(|at| core.armed.is_none_or(|armed| at < armed));
            // So it is with what the engine has held back.
            let held_back = core.engine.has_events();
            kick = failed || core.wants_write() || core.write_failed || sooner || held_back;
        }
        drop(core);
        fence(Ordering::SeqCst);
        self.hub.stats.inline_writes.add(1);
        if kick || self.driver_waits.load(Ordering::SeqCst) {
            self.kick();
        }
    }

    /// Leaves it to the driver.
    pub(crate) fn flush_later(&self) {
        self.kick();
    }
}
