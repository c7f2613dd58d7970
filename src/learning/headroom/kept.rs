//! What is drawn and judged, kept beside the output until that is written, so that an interrupted run goes on behind it.

use crate::db::sqlite::Now;
use crate::learning::rollouts::Group;
use crate::run::journal::{self, Journal};
use crate::run::observer::Observer;
use anyhow::{Error, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What kept groups depend on, by the names of flags.
pub type Identity = Map<String, Value>;
/// The time of day that all queries see, in an identity.
pub const NOW: &str = "--now";

/// The groups of the first rows, and where those of more are added.
pub struct Kept {
    path: PathBuf,
    journal: Journal,
    rows: usize,
}

impl Kept {
    /// Begins the journal at `path`, or opens it where the run goes `on`; the groups that are in it. Errors where those are of another run, and
    /// where a new run would lose them.
    pub fn open(
        path: &Path,
        identity: &Identity,
        on: bool,
        observer: &dyn Observer,
    ) -> Result<(Self, Vec<Group>)> {
        let old = match on {
            true => Journal::resume::<Vec<Group>>(path, identity)?,
            false => None,
        };
        let (journal, groups) = match old {
            Some((journal, parts)) => (journal, parts.into_iter().flatten().collect()),
            None if on => {
                let place = path.display();
                observer.note(format_args!(
                    "no {place} to go on with: starting with the first row"
                ));
                (Journal::begin(path, identity)?, Vec::new())
            }
            None => (Journal::begin_new(path, identity)?, Vec::new()),
        };
        let kept = Self {
            path: path.to_owned(),
            journal,
            rows: groups.len(),
        };
        Ok((kept, groups))
    }

    /// Adds the groups of the next rows.
    pub fn add(&mut self, part: &[Group]) -> Result<()> {
        self.journal.add(&part)?;
        self.rows += part.len();
        Ok(())
    }

    /// The output is written: what was kept goes.
    pub fn end(self) -> Result<()> {
        self.journal.remove()
    }

    /// `error`, and how to go on behind it.
    pub fn stopped(self, error: Error, all: usize) -> Error {
        match self.rows {
            0 => {
                // Nothing is in it, and the first error is the one to report.
                let _ = self.journal.remove();
                error
            }
            rows => error.context(format!(
                "stopped; {rows} of {all} rows are kept in {}, go on with the same command and --resume",
                self.path.display()
            )),
        }
    }
}

/// The time of day of the interrupted run whose journal is at `path`.
pub fn time(path: &Path) -> Result<Option<Now>> {
    let header = journal::header::<Identity>(path)?;
    Ok(header.and_then(|header| header.get(NOW)?.as_str()?.parse().ok()))
}
