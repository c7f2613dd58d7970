//! Who watches long work: hears what it has to say, and may ask it to stop. The library itself prints nothing.

use anyhow::Result;
use std::fmt::Arguments;

/// What work tells, and asks. Remarks alone have to be taken.
pub trait Observer {
    /// A remark for people, one line.
    fn note(&self, line: Arguments);

    /// The work begins: so many steps or rows, called `unit`. An error ends it.
    fn begin(&self, _total: usize, _unit: &str) -> Result<()> {
        Ok(())
    }

    /// So many of them are done, and how it goes.
    fn done(&self, _count: usize, _words: String) {}

    /// The work is over, however it ended.
    fn end(&self) {}

    /// Whether the work is to stop now. What is done is kept.
    fn stops(&self) -> bool {
        false
    }
}
