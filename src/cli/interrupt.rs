//! Ctrl-C and SIGTERM: the step at hand is finished, and what is done is kept. A second one ends the program at once.

use anyhow::{Context, Result};
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);
static WATCHED: AtomicBool = AtomicBool::new(false);

/// The shell's exit code for a program that Ctrl-C ended.
const ENDED: i32 = 130;

/// From now on, such a signal only asks.
pub fn watch() -> Result<()> {
    // A command may do long work several times.
    if WATCHED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let handler = || {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(ENDED);
        }
    };
    ctrlc::set_handler(handler).context("signals cannot be handled")
}

/// Whether there was one.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
