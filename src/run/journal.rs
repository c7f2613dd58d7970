//! A file that grows by a line a finished piece of work, so that an interrupted run can go on. It lies beside the output that
//! replaces it at the end.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// An open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins a journal whose first line is `header`; an older one is gone. Errors where another process writes it.
    pub fn begin(path: &Path, header: &impl Serialize) -> Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        fs::create_dir_all(super::files::folder_of(path)).with_context(cannot)?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(cannot)?;
        lock(&file, path)?;
        file.set_len(0).with_context(cannot)?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
        };
        journal.add(header)?;
        Ok(journal)
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
                    "{} is of a run with other inputs or flags: delete it, or leave out --resume",
                    path.display()
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

fn to_line(piece: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(piece)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::files::partial;

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
}
