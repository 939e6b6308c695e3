//! A counting allocator, for tests of allocations and of retained memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Allocating calls by this thread. Each test runs on its own thread.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that the process has allocated and not freed.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is forwarded unchanged to the system allocator, and counting neither allocates
// nor unwinds: the counters are an atomic and a plain cell that needs no initialisation and no
// drop.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `dealloc`, and `pointer` came from the system
        // allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        LIVE.fetch_add(size, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `realloc`, and `pointer` came from the system
        // allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Returns the number of allocating calls by this thread and of live bytes in the process.
pub(crate) fn counts() -> (usize, usize) {
    (CALLS.get(), LIVE.load(Ordering::Relaxed))
}
