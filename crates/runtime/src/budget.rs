//! Memory into which receive windows may grow, per connection and for the whole process.
//!
//! Every stream starts with 256 KiB of window; growth is granted here. A grant means that the
//! remote may have that much more in flight, not that memory is allocated: received but unread data
//! is bounded by `connection_bytes_max`. A refusal leaves the window as it is.

use std::sync::atomic::{AtomicUsize, Ordering};

use ferroswarm_proto::muxer::MemoryBudget;

use crate::config::Limits;

/// Divisor of a connection's memory limit: its windows may grow by the quotient.
///
/// The rest holds the first 256 KiB of 50 streams and their chunks, so that a remote that respects
/// its windows but is not read loses no stream to the memory limit because of its grants.
const CONNECTION_SHARE: usize = 2;

/// Growth granted in this process, over all its nodes.
static PROCESS: WindowTotal = WindowTotal::new();

/// Window growth in bytes, over many connections.
#[derive(Debug)]
pub(crate) struct WindowTotal(AtomicUsize);

impl WindowTotal {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    fn granted(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns the window growth of this process, in bytes.
pub(crate) fn window_growth() -> usize {
    PROCESS.granted()
}

/// The budget of one connection; returns its whole grant when dropped.
#[derive(Debug)]
pub(crate) struct WindowBudget {
    total: &'static WindowTotal,
    granted: usize,
    /// Maximum growth of this connection.
    own_max: usize,
    /// Maximum growth of the process.
    total_max: usize,
}

impl WindowBudget {
    /// Creates the budget of a connection with these limits.
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self::of(&PROCESS, limits)
    }

    /// Returns the maximum window growth of a connection with these limits.
    pub(crate) const fn growth_max(limits: &Limits) -> usize {
        limits.connection_bytes_max / CONNECTION_SHARE
    }

    const fn of(total: &'static WindowTotal, limits: &Limits) -> Self {
        Self {
            total,
            granted: 0,
            own_max: Self::growth_max(limits),
            total_max: limits.window_memory_bytes,
        }
    }

    /// Returns the window growth of this connection.
    #[cfg(test)]
    pub(crate) const fn granted(&self) -> usize {
        self.granted
    }

    /// Returns the whole grant: the connection has ended and receives nothing more, even if it is
    /// still referenced.
    pub(crate) fn give_back_all(&mut self) {
        self.total.0.fetch_sub(self.granted, Ordering::Relaxed);
        self.granted = 0;
    }
}

impl MemoryBudget for WindowBudget {
    /// Grants growth that leaves the rest of the process at least as much as this connection has.
    ///
    /// The less is left, the less one connection gets of it, so that early connections never use
    /// all of it up.
    fn reserve(&mut self, bytes: u32) -> bool {
        let bytes = bytes as usize;
        let own = self.granted.saturating_add(bytes);
        if own > self.own_max {
            return false;
        }
        let grant = |total: usize| {
            let after = total.checked_add(bytes)?;
            (self.total_max.checked_sub(after)? >= own).then_some(after)
        };
        let granted = self
            .total
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grant)
            .is_ok();
        if granted {
            self.granted = own;
        }
        granted
    }

    fn release(&mut self, bytes: u32) {
        let bytes = (bytes as usize).min(self.granted);
        self.granted -= bytes;
        self.total.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for WindowBudget {
    fn drop(&mut self) {
        self.give_back_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u32 = 1 << 20;

    fn limits(connection_mib: usize, process_mib: usize) -> Limits {
        Limits {
            connection_bytes_max: connection_mib << 20,
            window_memory_bytes: process_mib << 20,
            ..Limits::default()
        }
    }

    /// Doubles a window from 1 MiB on until refused; returns its growth in MiB.
    fn grow(budget: &mut WindowBudget) -> usize {
        let mut size = MIB;
        while budget.reserve(size) {
            size *= 2;
        }
        budget.granted() >> 20
    }

    // A103
    #[test]
    fn a_connection_is_granted_half_of_its_memory() {
        static TOTAL: WindowTotal = WindowTotal::new();
        let mut budget = WindowBudget::of(&TOTAL, &limits(32, 1_024));
        assert_eq!(grow(&mut budget), 15);
        assert!(budget.reserve(MIB));
        assert!(!budget.reserve(1));
        assert_eq!(TOTAL.granted(), 16 << 20);
    }

    #[test]
    fn released_growth_returns_to_the_process() {
        static TOTAL: WindowTotal = WindowTotal::new();
        let mut one = WindowBudget::of(&TOTAL, &limits(32, 1_024));
        let mut other = WindowBudget::of(&TOTAL, &limits(32, 1_024));
        assert!(one.reserve(5 * MIB) && other.reserve(7 * MIB));
        one.release(2 * MIB);
        assert_eq!((one.granted(), TOTAL.granted()), (3 << 20, 10 << 20));
        drop(other);
        assert_eq!(TOTAL.granted(), 3 << 20);
        drop(one);
        assert_eq!(TOTAL.granted(), 0);
    }

    #[test]
    fn early_connections_leave_growth_to_later_ones() {
        static TOTAL: WindowTotal = WindowTotal::new();
        let mut granted = Vec::new();
        let mut budgets = Vec::new();
        for _ in 0..6 {
            let mut budget = WindowBudget::of(&TOTAL, &limits(1_024, 256));
            while budget.reserve(MIB) {}
            granted.push(budget.granted() >> 20);
            budgets.push(budget);
        }
        assert_eq!(granted, [128, 64, 32, 16, 8, 4]);
        // Freed growth is available to the remaining connections.
        budgets.remove(0);
        assert!(budgets[4].reserve(64 * MIB));
    }

    #[test]
    fn grants_never_exceed_the_process_limit() {
        static TOTAL: WindowTotal = WindowTotal::new();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    let mut budget = WindowBudget::of(&TOTAL, &limits(1_024, 64));
                    for _ in 0..10_000 {
                        if budget.reserve(MIB) {
                            assert!(TOTAL.granted() <= 64 << 20);
                        } else {
                            budget.release(3 * MIB);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(TOTAL.granted(), 0);
    }
}
