//! The primitives that the hub, the slots and the connection lock are built from.
//!
//! They stand in one place so that the model test can compile the same sources against a
//! scheduler that explores interleavings (`tests/model`).

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::time::Instant;

/// An epoch that lies ahead: until then a clock that starts there stands, unless a test puts it forward.
#[cfg(test)]
pub(crate) fn test_epoch() -> Instant {
    Instant::now() + std::time::Duration::from_secs(24 * 60 * 60)
}
