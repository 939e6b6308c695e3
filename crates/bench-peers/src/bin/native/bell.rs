//! The hub's doorbell, for a blocking thread.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use ferroswarm_runtime::Doorbell;

/// A doorbell on which one thread waits.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    signal: Condvar,
}

impl Bell {
    /// Waits until the bell is rung or `deadline`, if any, has passed; returns whether it was rung.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            rung = match left {
                None => self
                    .signal
                    .wait(rung)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.signal.wait_timeout(rung, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::take(&mut *rung)
    }

    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.signal.notify_one();
    }
}

pub(crate) struct SharedBell(pub(crate) Arc<Bell>);

impl Doorbell for SharedBell {
    fn ring(&self) {
        self.0.ring();
    }
}
