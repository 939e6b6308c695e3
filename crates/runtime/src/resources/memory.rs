//! Memory of a connection as charged to its scope.

use ferroswarm_proto::resource::{Error, Priority};

use crate::sync::{AtomicUsize, Ordering};

use super::{Refusal, Resources, ScopeId};

/// Memory that a connection holds without being charged: idle ones, and those with small messages,
/// never take the lock for it.
pub(super) const UNCHARGED: usize = 16 << 10;

/// Memory of a connection is charged in steps of this size.
pub(super) const QUANTUM: usize = 64 << 10;

/// Memory of a connection as charged to its scope, in steps: its unsealed bytes, and the unread ones
/// for which the growth of its receive windows has reserved none.
///
/// Threads change the count of these bytes first and compare it with the charge afterwards; the one
/// that changes the charge compares again. All of this is sequentially consistent, so that one of
/// two threads sees what the other has done.
#[derive(Default)]
pub(crate) struct MemoryCharge(AtomicUsize);

impl MemoryCharge {
    /// Returns whether as much is charged as a connection that holds `used` bytes must be.
    pub(crate) fn covers(&self, used: usize) -> bool {
        used <= UNCHARGED || used <= self.0.load(Ordering::SeqCst)
    }

    /// Returns whether more is charged than a connection that holds `used` bytes needs to be: all
    /// of it once it holds next to nothing, and otherwise with a margin, as it may soon hold more.
    pub(crate) fn exceeds(&self, used: usize) -> bool {
        let charged = self.0.load(Ordering::SeqCst);
        charged > 0 && (used <= UNCHARGED || charged > used + 4 * QUANTUM)
    }

    /// Charges what the connection holds, as returned by `used`.
    ///
    /// # Errors
    /// The refusal; as much as before is charged then.
    pub(crate) fn settle(
        &self,
        resources: &Resources,
        connection: ScopeId,
        used: impl Fn() -> usize,
    ) -> Result<(), Refusal> {
        loop {
            self.charge(resources, connection, &used)?;
            let used = used();
            if self.covers(used) && !self.exceeds(used) {
                return Ok(());
            }
        }
    }

    fn charge(
        &self,
        resources: &Resources,
        connection: ScopeId,
        used: impl Fn() -> usize,
    ) -> Result<(), Refusal> {
        let mut state = resources.state.lock();
        let target = match used() {
            used if used <= UNCHARGED => 0,
            used => used.next_multiple_of(QUANTUM),
        };
        let charged = self.0.load(Ordering::SeqCst);
        let result = if target > charged {
            let more = (target - charged) as u64;
            state
                .manager
                .reserve_memory(connection, more, Priority::ALWAYS)
        } else {
            let less = (charged - target) as u64;
            state.manager.release_memory(connection, less).map(drop)
        };
        match result {
            Err(Error::Denied(denied)) => Err(denied.into()),
            // The scope is closed with the connection, when nothing is held any more.
            Ok(()) | Err(Error::Closed | Error::Misuse(_)) => {
                self.0.store(target, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}
