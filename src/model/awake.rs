//! Threads that stay awake between short pieces of work.

use rayon::Yield;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the others, when it is dropped, that they may sleep.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs `f` while the other threads of the pool look for work without a pause. A step of few rows is hundreds of products of some
/// microseconds each, and a thread that fell asleep between two of them is late for the next: waking one takes as long as its share.
pub fn awake<T>(f: impl FnOnce() -> T) -> T {
    let (Some(own), 2..) = (rayon::current_thread_index(), rayon::current_num_threads()) else {
        return f();
    };
    let done = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        scope.spawn_broadcast(|_, context| {
            // This thread runs `f`, and must not wait for its end while it waits for a part of it.
            while context.index() != own && !done.load(Ordering::Acquire) {
                if let Some(Yield::Idle) | None = rayon::yield_now() {
                    std::hint::spin_loop();
                }
            }
        });
        let _done = Done(&done);
        f()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn work_is_done_and_threads_are_free_behind_it() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            let sum = |n: u64| (0..n).into_par_iter().map(|i| i * i).sum::<u64>();
            for n in 0..200 {
                let found = pool.install(|| awake(|| (sum(n), awake(|| sum(n + 1)))));
                assert_eq!(found.1 - found.0, n * n, "{threads} threads");
            }
            let panics = || pool.install(|| awake(|| panic!("as it is asked to")));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
            assert_eq!(pool.install(|| sum(3)), 5);
        }
        assert_eq!(awake(|| 7), 7, "outside any pool");
    }
}
