//! What a run takes, counted at the allocator: libFuzzer sees only what is touched, and a vector of zeros is not.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with what each thread holds counted.
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

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size().cast_signed());
        // SAFETY: what the caller promises.
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

/// Does `read`, which may hold so many bytes beyond what is held before it.
///
/// # Panics
/// When it takes more.
pub fn within<T>(bytes: usize, read: impl FnOnce() -> T) -> T {
    let before = HELD.get();
    MOST.set(before);
    let result = read();
    let most = MOST.get() - before;
    assert!(most <= bytes.cast_signed(), "took {most} bytes, of {bytes} that it may");
    result
}
