//! An allocator that counts, for the tests of what allocates and of what stays allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Calls that gave memory to this thread. Tests run on threads of their own.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that the process has allocated and not freed.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came, and counting neither allocates
// nor unwinds: the counters are an atomic and a plain cell that needs no initialisation and no drop.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        LIVE.fetch_add(size, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`, and `pointer` is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Calls of this thread that gave it memory, and bytes that the process holds.
pub(crate) fn counts() -> (usize, usize) {
    (CALLS.get(), LIVE.load(Ordering::Relaxed))
}
