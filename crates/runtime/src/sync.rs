//! Synchronization primitives of the hub, the slots and the connection lock.
//!
//! They are collected here so that the model test can compile the same sources against a
//! scheduler that explores interleavings (`tests/model`).

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::time::Instant;

/// Returns an epoch in the future: a clock that starts there stands still until then, unless a test
/// advances it.
#[cfg(test)]
pub(crate) fn test_epoch() -> Instant {
    Instant::now() + std::time::Duration::from_secs(24 * 60 * 60)
}
