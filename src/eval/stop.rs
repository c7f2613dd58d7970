//! Whether anybody still waits for what scoring processes do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Ends the scoring processes at work for whoever no longer waits. Nothing ends them unless told.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether the work is to end now.
    pub fn stops(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// What ends the work when it is dropped, as a caller's future is when the caller hangs up.
    pub fn when_dropped(&self) -> Waiting {
        Waiting(self.clone())
    }
}

/// Somebody who waits.
pub struct Waiting(Stop);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Relaxed);
    }
}
