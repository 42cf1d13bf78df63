//! The program's allocator where the C library is musl, whose own asks the kernel for a page, and gives it
//! back, hundreds of times in the few milliseconds of a run. This one, dlmalloc, asks once for many.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::Dlmalloc;

/// dlmalloc behind a lock that costs next to nothing where no other thread wants it: belljar has one thread,
/// or a few that mostly wait. (A child that shares this memory, or has a copy of it, is only made where no
/// other thread can be in here.)
pub struct Allocator {
    taken: AtomicBool,
    heap: UnsafeCell<Dlmalloc>,
}

// SAFETY: the heap is only used by the thread that has set `taken`.
unsafe impl Sync for Allocator {}

impl Allocator {
    pub const fn new() -> Self {
        Self { taken: AtomicBool::new(false), heap: UnsafeCell::new(Dlmalloc::new()) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        let mut turns = 0_u32;
        while self.taken.swap(true, Ordering::Acquire) {
            turns = turns.saturating_add(1);
            // The thread that has it may have lost the processor.
            if turns > 100 { std::thread::yield_now() } else { spin_loop() }
        }
        // SAFETY: taken by us, until the line after this one. dlmalloc does not panic, and does not call
        // back.
        let done = work(unsafe { &mut *self.heap.get() });
        self.taken.store(false, Ordering::Release);
        done
    }
}

// Not inlined: with link-time optimisation all of dlmalloc would be copied to each place that allocates, 1.2
// MB of it.
// SAFETY: dlmalloc's own promises are those of GlobalAlloc; each function is called with what its caller has
// promised here.
unsafe impl GlobalAlloc for Allocator {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    #[inline(never)]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        self.with(|heap| unsafe { heap.free(pointer, layout.size(), layout.align()) });
    }

    #[inline(never)]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's.
        self.with(|heap| unsafe { heap.realloc(pointer, layout.size(), layout.align(), size) })
    }
}
