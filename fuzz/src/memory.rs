//! The memory of a run, counted at the allocator. libFuzzer counts only memory that is touched, so not a vector of zeros.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator with counters for each thread.
pub struct Counted;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn taken(bytes: isize) {
    // A thread that ends has no counters any more.
    let held = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        held.get()
    });
    let _ = MOST.try_with(|most| most.set(most.get().max(held.unwrap_or(0))));
}

// SAFETY: all calls are passed on to the system's allocator.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size().cast_signed());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size().cast_signed());
        // SAFETY: what the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        taken(-layout.size().cast_signed());
        // SAFETY: what the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Calls `read`, which may hold at most n `bytes` more than before.
///
/// # Panics
/// When it takes more.
pub fn within<T>(bytes: usize, read: impl FnOnce() -> T) -> T {
    let before = HELD.get();
    MOST.set(before);
    let result = read();
    let most = MOST.get() - before;
    assert!(most <= bytes.cast_signed(), "held {most} bytes, but the limit is {bytes}");
    result
}
