//! A folder of results: filled beside its final place and renamed there when it is whole.

use super::files::{folder_of, partial, write_atomic};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A folder under construction. Dropped before [`Self::finish`], it is removed.
pub struct RunFolder {
    target: PathBuf,
    partial: PathBuf,
    finished: bool,
}

impl RunFolder {
    /// Starts the folder that is to become `target`, which must not exist yet or be empty.
    pub fn create(target: &Path) -> Result<Self> {
        check_free(target)?;
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
            finished: false,
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

    /// Moves the folder to its place. Where that fails the work is kept, and the error says where.
    pub fn finish(mut self) -> Result<()> {
        self.finished = true;
        move_into_place(&self.partial, &self.target)
    }
}

/// Errors where `target` is taken: a file, or a folder with something in it.
pub fn check_free(target: &Path) -> Result<()> {
    let occupied = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(
        !occupied && !target.is_file(),
        "{} exists: give another --out, or remove it first",
        target.display()
    );
    Ok(())
}

/// Renames the folder `partial` to `target`, which is free. Where that fails the error says where the work is.
pub fn move_into_place(partial: &Path, target: &Path) -> Result<()> {
    let moved = match target.exists() {
        true => fs::remove_dir(target),
        false => Ok(()),
    };
    moved
        .and_then(|()| fs::rename(partial, target))
        .with_context(|| {
            let (target, partial) = (target.display(), partial.display());
            format!("cannot write {target}; the finished run is in {partial}")
        })
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.finished {
            // The error that ended the run is the one to report.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// `runs/<date>-<what>-<name>`, numbered from 2 when taken.
pub fn default_path(what: &str, name: &str) -> PathBuf {
    let date = time::OffsetDateTime::now_utc().date();
    let base = format!("runs/{date}-{what}-{name}");
    let taken = |p: &PathBuf| p.exists() || partial(p).exists();
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
        let dropped = RunFolder::create(&target).unwrap();
        dropped.write("x", b"1").unwrap();
        drop(dropped);
        assert!(
            fs::read_dir(root.path().join("a"))
                .unwrap()
                .next()
                .is_none()
        );

        let kept = RunFolder::create(&target).unwrap();
        kept.write("x", b"1").unwrap();
        kept.finish().unwrap();
        assert_eq!(fs::read(target.join("x")).unwrap(), b"1");
        assert!(
            RunFolder::create(&target).is_err(),
            "an occupied folder is kept"
        );
    }
}
