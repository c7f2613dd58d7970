//! Threads that stay awake between short pieces of work.

use rayon::Yield;
use std::sync::atomic::{AtomicBool, Ordering};

/// Looks for work in vain until a thread gives up: about a tenth of a millisecond, longer than what lies between two products.
const LOOKS: usize = 2000;

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
            // This thread runs `f`, and must not wait for its end while it waits for a part of it. Another one may have come here in the
            // middle of such a part: it must not wait for ever.
            let mut looks = 0;
            while context.index() != own && looks < LOOKS && !done.load(Ordering::Acquire) {
                looks = match rayon::yield_now() {
                    Some(Yield::Executed) => 0,
                    Some(Yield::Idle) | None => looks + 1,
                };
                std::hint::spin_loop();
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
            for n in 0..2000 {
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
