//! The doorbell of the hub, for a thread that sleeps.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use ferroswarm_runtime::Doorbell;

/// A doorbell that one thread waits at.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    /// Whether it was rung until `deadline`; waits without one.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            rung = match left {
                None => self
                    .heard
                    .wait(rung)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.heard.wait_timeout(rung, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::take(&mut *rung)
    }

    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_one();
    }
}

pub(crate) struct Rope(pub(crate) Arc<Bell>);

impl Doorbell for Rope {
    fn ring(&self) {
        self.0.ring();
    }
}
