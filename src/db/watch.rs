//! Ends a scoring process from inside when a query does not end: one SQLite operation cannot be stopped in any other way.
//!
//! The clock is the process's own processor time, looked at by one of its threads. Stopped, both stand still, as they do while
//! the machine sleeps; so whoever started the process needs no clock of its own.

use crate::db::processor;
use std::process::exit;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The exit code of a process whose query used more time than it may.
pub const LATE_QUERY: i32 = 3;
/// The exit code of a process that was late in anything else.
pub const LATE: i32 = 4;

/// What a query may be late by: it looks at the clock itself between its steps.
const GRACE: Duration = Duration::from_millis(250);
/// How much time anything but a query may use: opening a database (building one from a script has a shorter deadline of its
/// own), comparing results.
const OTHER: Duration = Duration::from_secs(90);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(20);
/// Ticks without any work after which the process waits for something that does not come, such as a disk: half a minute.
const STILL: u32 = 1_500;

/// What the process is at.
#[derive(Clone, Copy)]
struct Task {
    /// The processor time at which it is late.
    deadline: Duration,
    code: i32,
}

/// The watch over one process.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<Option<Task>>>);

impl Watch {
    /// Starts the thread that looks at the clock; it ends with the process.
    pub fn start() -> Self {
        let watch = Self::default();
        let watched = watch.clone();
        thread::spawn(move || watched.look());
        watch
    }

    /// A query begins that may use `timeout`.
    pub fn query(&self, timeout: Duration) {
        self.begin(timeout + GRACE, LATE_QUERY);
    }

    /// Other work begins.
    pub fn other(&self) {
        self.begin(OTHER, LATE);
    }

    /// Nothing is to be watched: it waits for others.
    pub fn rest(&self) {
        self.set(None);
    }

    fn begin(&self, time: Duration, code: i32) {
        let deadline = processor::of_process() + time;
        self.set(Some(Task { deadline, code }));
    }

    fn set(&self, task: Option<Task>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = task;
    }

    fn look(&self) {
        let (mut last, mut still) = (Duration::ZERO, 0);
        loop {
            thread::sleep(TICK);
            // Held until the process ends, so that it is this task that is late and not the next.
            let task = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = processor::of_process();
            let works = now.saturating_sub(last) > TICK / 100;
            last = now;
            let Some(Task { deadline, code }) = *task else {
                still = 0;
                continue;
            };
            still = if works { 0 } else { still + 1 };
            if now >= deadline || still >= STILL {
                exit(code);
            }
        }
    }
}
