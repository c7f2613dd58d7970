//! A file that grows by a line a finished piece of work, so that an interrupted run can go on. It lies beside the output that
//! replaces it at the end.

use super::observer::Observer;
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// An open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// The journal of a run: begun by it, or where the run goes `on` the one that is there, with its pieces. Errors where that is of another run, and
    /// where a new run would lose it.
    pub fn open<T: DeserializeOwned>(
        path: &Path,
        header: &impl Serialize,
        on: bool,
        observer: &dyn Observer,
    ) -> Result<(Self, Vec<T>)> {
        if !on {
            return Ok((Self::begin_new(path, header)?, Vec::new()));
        }
        if let Some(old) = Self::resume(path, header)? {
            return Ok(old);
        }
        let place = path.display();
        observer.note(format_args!(
            "no {place} to go on with: starting with the first row"
        ));
        Ok((Self::begin(path, header)?, Vec::new()))
    }

    /// Begins a journal whose first line is `header`; an older one is gone. Errors where another process writes it.
    pub fn begin(path: &Path, header: &impl Serialize) -> Result<Self> {
        Self::create(path)?.headed(header)
    }

    /// [`Self::begin`] that keeps an older one where it holds a piece, and errors.
    fn begin_new(path: &Path, header: &impl Serialize) -> Result<Self> {
        let journal = Self::create(path)?;
        let place = path.display();
        let old = fs::read(path).with_context(|| format!("cannot read {place}"))?;
        let pieces = old.split(|byte| *byte == b'\n').skip(2).count();
        ensure!(
            pieces == 0,
            "{place} holds what an interrupted run has done: go on with --resume, or delete it"
        );
        journal.headed(header)
    }

    /// Opens the file, new or old.
    fn create(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        fs::create_dir_all(super::files::folder_of(path)).with_context(cannot)?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(cannot)?;
        lock(&file, path)?;
        let path = path.to_owned();
        Ok(Self { path, file })
    }

    /// The journal with nothing but `header` in it.
    fn headed(mut self, header: &impl Serialize) -> Result<Self> {
        let emptied = self.file.set_len(0);
        emptied.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.add(header)?;
        Ok(self)
    }

    /// Opens a journal of an interrupted run and hands on its pieces; a last line that was cut off is dropped. `None` where
    /// there is no journal, an error where it is of another run: its header is not `header`.
    pub fn resume<T: DeserializeOwned>(
        path: &Path,
        header: &impl Serialize,
    ) -> Result<Option<(Self, Vec<T>)>> {
        let cannot = || format!("cannot read {}", path.display());
        if !path.exists() {
            return Ok(None);
        }
        let mut reader = BufReader::new(File::open(path).with_context(cannot)?);
        let (mut line, mut whole, mut pieces) = (Vec::new(), 0, Vec::new());
        let expected = to_line(header)?;
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).with_context(cannot)?;
            if !line.ends_with(b"\n") {
                break;
            }
            if whole > 0 {
                let piece = serde_json::from_slice(&line);
                pieces.push(piece.with_context(|| format!("{}: not a journal", path.display()))?);
            } else if line != expected {
                bail!(
                    "{} is of a run with other inputs or flags{}: give the same, or delete it and start again",
                    path.display(),
                    different(&line, &expected)
                );
            }
            whole += read as u64;
        }
        if whole == 0 {
            return Ok(None);
        }
        let file = OpenOptions::new().append(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        lock(&file, path)?;
        file.set_len(whole)?;
        let path = path.to_owned();
        Ok(Some((Self { path, file }, pieces)))
    }

    /// Adds a piece: one write, so that only the last line can be cut off.
    pub fn add(&mut self, piece: &impl Serialize) -> Result<()> {
        let line = to_line(piece)?;
        let written = self.file.write_all(&line);
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Takes the journal away once its output is written.
    pub fn remove(self) -> Result<()> {
        let removed = fs::remove_file(&self.path);
        removed.with_context(|| format!("cannot delete {}", self.path.display()))
    }
}

/// What a journal begins with; `None` where there is none.
pub fn header<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let cannot = || format!("cannot read {}", path.display());
    let mut line = Vec::new();
    let file = File::open(path).with_context(cannot)?;
    BufReader::new(file)
        .read_until(b'\n', &mut line)
        .with_context(cannot)?;
    // One that was cut off is none.
    Ok(serde_json::from_slice(&line).ok())
}

/// Until the file is closed.
fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => bail!("{}: another run is writing it", path.display()),
        // Not every file system can.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// ` (--seed, --data)`: what two headers that are JSON objects say otherwise.
fn different(one: &[u8], other: &[u8]) -> String {
    let object = |line| serde_json::from_slice::<BTreeMap<String, Value>>(line);
    let (Ok(one), Ok(other)) = (object(one), object(other)) else {
        return String::new();
    };
    let keys: BTreeSet<&str> = one.keys().chain(other.keys()).map(String::as_str).collect();
    let keys = keys
        .into_iter()
        .filter(|key| one.get(*key) != other.get(*key));
    format!(" ({})", keys.collect::<Vec<_>>().join(", "))
}

fn to_line(piece: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(piece)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::files::partial;
    use serde_json::json;

    #[test]
    fn goes_on_after_a_line_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = partial(&folder.path().join("new/rows.jsonl"));
        assert!(Journal::resume::<u32>(&path, &"run").unwrap().is_none());
        assert!(header::<String>(&path).unwrap().is_none());
        let mut journal = Journal::begin(&path, &"run").unwrap();
        journal.add(&1).unwrap();
        journal.add(&2).unwrap();
        drop(journal);
        let mut cut = fs::read(&path).unwrap();
        cut.extend(b"33");
        fs::write(&path, &cut).unwrap();

        assert_eq!(header::<String>(&path).unwrap().unwrap(), "run");
        let (mut journal, pieces) = Journal::resume::<u32>(&path, &"run").unwrap().unwrap();
        assert_eq!(pieces, [1, 2]);
        journal.add(&4).unwrap();
        let other = Journal::begin(&path, &"run").err().unwrap().to_string();
        assert!(other.contains("another run is writing it"), "{other}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "\"run\"\n1\n2\n4\n");
        journal.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn another_run_is_refused_and_an_empty_journal_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.partial");
        drop(Journal::begin(&path, &"run").unwrap());
        let error = Journal::resume::<u32>(&path, &"other")
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("of a run with other inputs"), "{error}");
        fs::write(&path, "\"ru").unwrap();
        assert!(header::<String>(&path).unwrap().is_none());
        assert!(Journal::resume::<u32>(&path, &"run").unwrap().is_none());
    }

    #[test]
    fn a_refusal_names_what_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.partial");
        let header = |seed: u32, more: &str| json!({"--seed": seed, "--base": "b", more: 1});
        drop(Journal::begin(&path, &header(1, "--top-p")).unwrap());
        let error = Journal::resume::<u32>(&path, &header(2, "--stop"));
        let error = error.err().unwrap().to_string();
        assert!(error.contains("(--seed, --stop, --top-p)"), "{error}");
    }

    #[test]
    fn a_new_run_spares_what_another_has_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.partial");
        // Nothing is lost with a header alone.
        drop(Journal::begin_new(&path, &"run").unwrap());
        Journal::begin_new(&path, &"run").unwrap().add(&1).unwrap();
        let error = Journal::begin_new(&path, &"run").err().unwrap().to_string();
        assert!(error.contains("go on with --resume"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "\"run\"\n1\n");
    }
}
