//! Work that waits for others, over some threads.

use std::panic::resume_unwind;
use std::thread;

/// What `work` makes of each of `all`, by so many threads, in their order.
pub fn spread<T: Sync, R: Send>(
    all: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let threads = threads.clamp(1, all.len().max(1));
    let own = |first: usize| all.iter().skip(first).step_by(threads).map(&work);
    let mut found: Vec<std::vec::IntoIter<R>> = thread::scope(|scope| {
        let begun: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || own(first).collect::<Vec<R>>()))
            .collect();
        begun
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .map(Vec::into_iter)
            .collect()
    });
    let each = (0..all.len()).filter_map(|at| found[at % threads].next());
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_find_stands_in_order() {
        let all: Vec<usize> = (0..23).collect();
        for threads in [1, 2, 7, 23, 99] {
            let found = spread(&all, threads, |at| at * 2);
            assert_eq!(found, all.iter().map(|at| at * 2).collect::<Vec<_>>());
        }
        assert!(spread(&[] as &[usize], 4, |at| *at).is_empty());
    }
}
