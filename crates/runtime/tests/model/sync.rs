//! The primitives of `src/sync.rs`, as scheduled by `shuttle`, and a clock that stands still.

use std::cell::Cell;
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

pub(crate) use shuttle::sync::MutexGuard;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::Arc;

/// A mutex with the interface of `parking_lot`'s.
#[derive(Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// The model's time. All its threads are continuations on one OS thread.
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The start of the model's time.
#[derive(Clone, Copy)]
pub(crate) struct Instant;

impl Instant {
    pub(crate) const fn now() -> Self {
        Self
    }

    pub(crate) fn elapsed(self) -> Duration {
        NOW.get()
    }
}

/// Sets the model's time.
pub(crate) fn set_time(now: Duration) {
    NOW.set(now);
}

/// Returns the current time: the model's clock stands still anyway.
pub(crate) fn test_epoch() -> Instant {
    Instant::now()
}
