//! JavaScript's side of a connection's lock: a flush may seal and send inline, and a socket owned
//! by the event loop is read inline.

use std::time::Duration;

use crate::sync::{Arc, Ordering, fence};

use super::{Connection, Scratch};

/// Maximum number of bytes sealed per flush on JavaScript's thread: one record, enough for the
/// output of a tick. The driver's core seals the rest in parallel. In a loop of
/// `await write(256 KiB)`, event loop delay was 2 ms (p99) with this bound and with four times as
/// much, 2 to 4 ms with eight times and 3 to 10 ms without; 4 % of the bytes were sealed here, up
/// to half without a bound.
const SEALED_MAX: usize = 16 << 10;

impl Connection {
    /// Seals and sends posted output if the lock is free; otherwise, or if bytes are left, the
    /// driver does. Never blocks, except that a QUIC endpoint may be taking in a first packet. Returns
    /// whether the connection has ended with it.
    pub(crate) fn flush_inline(self: &Arc<Self>, scratch: &mut Scratch) -> bool {
        // Set before the attempt: a driver that holds the lock checks it after unlocking.
        self.dirty.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let Some(mut core) = self.core.try_lock() else {
            return false;
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
        flushed.has_ended
    }

    /// Maximum duration of busy polling after an event of this connection.
    pub(crate) fn busy_poll(&self) -> Duration {
        self.limits.busy_poll
    }

    /// Whether streams keep what was unread at their end.
    pub(crate) fn keeps_unread(&self) -> bool {
        self.limits.keep_unread
    }

    /// Reads the socket of a connection on the event loop if the lock is free; otherwise its driver
    /// does. Never blocks.
    pub(crate) fn read_inline(self: &Arc<Self>, scratch: &mut Scratch, may_stay: bool) {
        // Set before the attempt, as in `flush_inline`: the event is not repeated. A separate flag,
        // because a flush that takes the lock first clears `dirty` and reads nothing.
        self.unread.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let Some(mut core) = self.core.try_lock() else {
            return;
        };
        self.unread.store(false, Ordering::SeqCst);
        let kick = core.read_on_loop(self, scratch, may_stay, self.now());
        drop(core);
        fence(Ordering::SeqCst);
        self.hub.stats.inline_reads.add(1);
        if kick || self.driver_waits.load(Ordering::SeqCst) {
            self.kick();
        }
    }

    /// Leaves the flush to the driver.
    pub(crate) fn flush_later(&self) {
        self.kick();
    }
}
