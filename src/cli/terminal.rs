//! The terminal as an observer of long work: remarks on stderr, progress, and Ctrl-C.

use super::progress::Progress;
use super::{interrupt, note};
use crate::run::observer::Observer;
use anyhow::Result;
use std::cell::RefCell;
use std::fmt::Arguments;

/// See [`Observer`].
#[derive(Default)]
pub struct Terminal {
    progress: RefCell<Option<Progress>>,
}

impl Observer for Terminal {
    fn note(&self, line: Arguments) {
        note(line);
    }

    fn begin(&self, total: usize, unit: &str) -> Result<()> {
        interrupt::watch()?;
        *self.progress.borrow_mut() = Some(Progress::new(total, unit));
        Ok(())
    }

    fn done(&self, count: usize, words: String) {
        if let Some(progress) = &*self.progress.borrow() {
            progress.update(count, words);
        }
    }

    fn end(&self) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
    }

    fn stops(&self) -> bool {
        interrupt::asked()
    }
}
