//! Progress on a terminal; a line now and then where there is none.

use super::note;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Progress through `total` steps or rows.
pub struct Progress {
    bar: ProgressBar,
    total: usize,
    terminal: bool,
}

impl Progress {
    /// Starts at 0 of `total` things called `unit`.
    pub fn new(total: usize, unit: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}  {{msg}}  {{elapsed}} < {{eta}}");
        let bar = match terminal {
            true => ProgressBar::new(total as u64),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Self {
            bar,
            total,
            terminal,
        }
    }

    /// Shows that `done` are done. Without a terminal every tenth of the way is one line.
    pub fn update(&self, done: usize, message: String) {
        let tenth = (self.total / 10).max(1);
        if !self.terminal && (done.is_multiple_of(tenth) || done == self.total) {
            note(format_args!("{done}/{} {message}", self.total));
        }
        self.bar.set_message(message);
        self.bar.set_position(done as u64);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
