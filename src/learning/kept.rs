//! What is drawn of rows, kept beside the output until that is written, so that an interrupted run goes on behind it.

use crate::db::sqlite::Now;
use crate::eval::databases::Databases;
use crate::run::files::{is_device, partial};
use crate::run::journal::{self, Journal};
use crate::run::observer::Observer;
use crate::run::usage::UsageError;
use anyhow::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What it depends on, by the names of flags.
pub type Identity = Map<String, Value>;
/// The time of day that all queries see, in an identity.
const NOW: &str = "--now";

/// What there is of the first rows, and where that of more is added.
pub struct Kept {
    path: PathBuf,
    journal: Journal,
    rows: usize,
}

impl Kept {
    /// Begins the journal at `path`, or opens it where the run goes `on`; what is in it, row by row. Errors where that is of another run, and where
    /// a new run would lose it.
    pub fn open<T: DeserializeOwned>(
        path: &Path,
        identity: &Identity,
        on: bool,
        observer: &dyn Observer,
    ) -> Result<(Self, Vec<T>)> {
        let (journal, parts) = Journal::open::<Vec<T>>(path, identity, on, observer)?;
        let done: Vec<T> = parts.into_iter().flatten().collect();
        let kept = Self {
            path: path.to_owned(),
            journal,
            rows: done.len(),
        };
        Ok((kept, done))
    }

    /// Adds what there is of the next rows.
    pub fn add<T: Serialize>(&mut self, part: &[T]) -> Result<()> {
        self.journal.add(&part)?;
        self.rows += part.len();
        Ok(())
    }

    /// The output is written: what was kept goes.
    pub fn end(self) -> Result<()> {
        self.journal.remove()
    }

    /// `error`, which ended the work on `all` rows, and how to go on behind it.
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

/// The file that grows beside the output `out`, where that is one. Errors where there is none for a run to go `on` with.
pub fn beside(out: Option<&Path>, on: bool) -> Result<Option<PathBuf>> {
    let out = out.filter(|out| !is_device(out));
    if on && out.is_none() {
        let message = "--resume needs an --out that is a file".to_owned();
        return Err(UsageError(message).into());
    }
    Ok(out.map(partial))
}

/// The time of day of a run: the `given` one, else that of the run that is gone `on` with, whose journal is at `path`, else the present one.
pub fn time(given: Option<Now>, path: Option<&Path>, on: bool) -> Result<Now> {
    let header = match path {
        Some(path) if on && given.is_none() => journal::header::<Identity>(path)?,
        _ => None,
    };
    let kept = header.and_then(|header| header.get(NOW)?.as_str()?.parse().ok());
    Ok(given.or(kept).unwrap_or_else(Now::current))
}

/// How the queries of what is drawn are judged, for an identity.
pub fn judged(databases: &Databases, now: Now) -> Identity {
    let Databases {
        home,
        timeout,
        rules,
        ..
    } = databases;
    let said = [
        ("databases", home.to_string().into()),
        ("--timeout-ms", (timeout.as_millis() as u64).into()),
        ("--extract", json!(rules.extract)),
        ("--follow-links", rules.follow_links.into()),
        (NOW, json!(now)),
    ];
    let said = said.map(|(name, value)| (name.to_owned(), value));
    said.into_iter().collect()
}
