//! What is wrong with the rows of a file, in one error.

use anyhow::{Error, Result, bail};

/// Most faults that are named; the others are counted.
const NAMED: usize = 10;
/// Most characters of each.
const LONGEST: usize = 250;

/// Faults of rows, each with its `file:line`.
#[derive(Default)]
pub struct Faults {
    first: Option<Error>,
    named: Vec<String>,
    count: usize,
}

impl Faults {
    pub fn add(&mut self, fault: Error) {
        self.count += 1;
        if self.named.len() < NAMED {
            let text = format!("{fault:#}");
            let mut short: String = text.chars().take(LONGEST).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            self.named.push(short);
        }
        self.first.get_or_insert(fault);
    }

    /// Errors where there are any.
    pub fn refuse(self) -> Result<()> {
        match (self.count, self.first) {
            (0, _) => Ok(()),
            (1, Some(only)) => Err(only),
            (count, _) => {
                let more = match count - self.named.len() {
                    0 => String::new(),
                    more => format!("; and {more} more"),
                };
                bail!("{count} rows are wrong: {}{more}", self.named.join("; "))
            }
        }
    }
}
