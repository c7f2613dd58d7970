//! A run's folder: filled beside its final place and renamed there when the run is whole.

use super::files::{folder_of, write_atomic};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A folder under construction. Dropped before [`Self::finish`] or a first [`Self::checkpoint`], it is removed.
pub struct RunFolder {
    target: PathBuf,
    partial: PathBuf,
    metrics: Option<File>,
    finished: bool,
    kept: bool,
}

impl RunFolder {
    /// Starts the folder that is to become `target`, which must not exist yet or be empty.
    pub fn create(target: &Path) -> Result<Self> {
        let occupied = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some());
        ensure!(
            !occupied && !target.is_file(),
            "{} exists: give another --out, or remove it first",
            target.display()
        );
        let name = target
            .file_name()
            .with_context(|| format!("{} is no folder name", target.display()))?;
        let name = name.to_string_lossy();
        let cannot = || format!("cannot write {}", target.display());
        fs::create_dir_all(folder_of(target)).with_context(cannot)?;
        // Another run's leftovers are not to be mixed into this one: process numbers come again.
        let mut number = 0;
        let partial = loop {
            number += 1;
            let process = std::process::id();
            let partial = target.with_file_name(format!(".{name}.{process}-{number}.partial"));
            match fs::create_dir(&partial) {
                Ok(()) => break partial,
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e).with_context(cannot),
            }
        };
        Ok(Self {
            target: target.to_path_buf(),
            partial,
            metrics: None,
            finished: false,
            kept: false,
        })
    }

    /// Where the folder is while it is made.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        write_atomic(&self.partial.join(name), content)
    }

    /// Writes a folder of the folder, which appears whole. From now on the work is kept where it is,
    /// should the run stop before [`Self::finish`]; returns that place the first time.
    pub fn checkpoint(&mut self, name: &str, files: &[(&str, Vec<u8>)]) -> Result<Option<&Path>> {
        let (whole, part) = (self.partial.join(name), self.partial.join(".checkpoint"));
        for (file, content) in files {
            write_atomic(&part.join(file), content)?;
        }
        fs::rename(&part, &whole).with_context(|| format!("cannot write {}", whole.display()))?;
        let first = !std::mem::replace(&mut self.kept, true);
        Ok(first.then_some(&self.partial))
    }

    /// Where the work is, once a checkpoint was written.
    pub fn kept(&self) -> Option<&Path> {
        self.kept.then_some(&self.partial)
    }

    /// Appends a line to `metrics.jsonl`, which can be followed while the run goes on.
    pub fn metric(&mut self, line: &impl Serialize) -> Result<()> {
        let path = self.partial.join("metrics.jsonl");
        let file = match &mut self.metrics {
            Some(file) => file,
            None => self.metrics.insert(
                File::create(&path).with_context(|| format!("cannot write {}", path.display()))?,
            ),
        };
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        file.write_all(&bytes)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Moves the folder to its place. Where that fails the work is kept, and the error says where.
    pub fn finish(mut self) -> Result<()> {
        self.finished = true;
        let moved = match self.target.exists() {
            true => fs::remove_dir(&self.target),
            false => Ok(()),
        };
        moved
            .and_then(|()| fs::rename(&self.partial, &self.target))
            .with_context(|| {
                let (target, partial) = (self.target.display(), self.partial.display());
                format!("cannot write {target}; the finished run is in {partial}")
            })
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !(self.finished || self.kept) {
            // The error that ended the run is the one to report.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// `runs/<date>-<what>-<name>`, numbered from 2 when taken.
pub fn default_path(what: &str, name: &str) -> PathBuf {
    let date = time::OffsetDateTime::now_utc().date();
    let base = format!("runs/{date}-{what}-{name}");
    let taken = |p: &PathBuf| p.exists();
    let numbered = (2..).map(|n| PathBuf::from(format!("{base}-{n}")));
    let mut names = std::iter::once(PathBuf::from(&base)).chain(numbered);
    names
        .find(|p| !taken(p))
        .unwrap_or_else(|| PathBuf::from(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_outlives_a_run_that_stops() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("run");
        let mut run = RunFolder::create(&target).unwrap();
        let file = |bytes: &[u8]| [("adapter", bytes.to_vec())];
        let place = run.checkpoint("checkpoint-1", &file(b"1")).unwrap();
        let place = place.unwrap().to_path_buf();
        assert_eq!(run.checkpoint("checkpoint-2", &file(b"2")).unwrap(), None);
        assert_eq!(run.kept(), Some(place.as_path()));
        drop(run);
        assert_eq!(fs::read(place.join("checkpoint-2/adapter")).unwrap(), b"2");
        // The next run of the same name has a folder of its own.
        let next = RunFolder::create(&target).unwrap();
        next.write("x", b"1").unwrap();
        next.finish().unwrap();
        assert!(!target.join("checkpoint-1").exists() && place.exists());
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a/run");
        let mut dropped = RunFolder::create(&target).unwrap();
        dropped.metric(&1).unwrap();
        drop(dropped);
        assert!(
            fs::read_dir(root.path().join("a"))
                .unwrap()
                .next()
                .is_none()
        );

        let mut kept = RunFolder::create(&target).unwrap();
        kept.write("x", b"1").unwrap();
        kept.metric(&1).unwrap();
        kept.metric(&2).unwrap();
        kept.finish().unwrap();
        assert_eq!(fs::read(target.join("metrics.jsonl")).unwrap(), b"1\n2\n");
        assert!(
            RunFolder::create(&target).is_err(),
            "an occupied folder is kept"
        );
    }
}
