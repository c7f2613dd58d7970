//! A run's folder: filled beside its final place and renamed there when the run is whole.

use super::files::write_atomic;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder under construction. Dropped before [`Self::finish`] or [`Self::keep`], it is removed.
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
        let partial = target.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot write {}", target.display()))?;
        Ok(Self {
            target: target.to_path_buf(),
            partial,
            metrics: None,
            finished: false,
            kept: false,
        })
    }

    /// Writes a file of the folder; `name` may lie in a folder of its own.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        write_atomic(&self.partial.join(name), content)
    }

    /// From now on the work is kept where it is, should the run stop before [`Self::finish`].
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Where the work is, once [`Self::keep`] was called.
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
