//! The tools of an episode: those of this program over the databases of rows, or those of a server.

mod builtin;
mod described;
mod server;

use super::call::{Call, Outcome};
use anyhow::Result;
pub use builtin::Builtin;
pub use described::answer;
use serde_json::Value;
pub use server::Server;
use std::panic::resume_unwind;
use std::thread;

/// What answers calls.
pub trait Tools {
    /// What may be called, as functions, beside the one that answers.
    fn offered(&self) -> &[Value];

    /// What each of `calls` gives, which say their database, in their order. Errors where a database or a server is gone: that is nothing that a
    /// model did.
    fn answers(&self, calls: &[(&str, &Call)]) -> Result<Vec<Said>>;
}

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    pub outcome: Outcome,
}

impl Said {
    /// Of a tool that did what it was asked.
    fn fine(text: String) -> Self {
        Self {
            text,
            outcome: Outcome::Ok,
        }
    }

    /// Of one that says why not.
    fn failed(text: String) -> Self {
        Self {
            outcome: Outcome::of_error(&text),
            text,
        }
    }
}

/// The tools with the one that answers, as a model is offered them.
pub fn all(tools: &dyn Tools) -> Vec<Value> {
    let mut all = tools.offered().to_vec();
    all.push(answer());
    all
}

/// What `work` makes of each of `all`, by so many threads, in their order.
fn spread<T: Sync, R: Send>(all: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
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
