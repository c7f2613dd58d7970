//! Who works in a run folder: one process at a time. The operating system holds the lock, so that it ends with the process.

use crate::run::files::try_lock;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use sysinfo::System;

/// The lock's file in a run folder. It stays: a file that is deleted could be locked twice.
pub const FILE: &str = ".lock";
/// How often taking it is tried: who only asks whether it is held holds it for a moment.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// A process that works in a run folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    pub pid: u32,
    pub host: String,
    /// When it took the lock (RFC 3339).
    pub since: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { pid, host, since } = self;
        write!(f, "process {pid} on {host} since {since}")
    }
}

/// A held lock, free again when dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of a folder that exists, and writes its owner into it. Errors name the owner where another has it.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let cannot = || format!("cannot lock {}", path.display());
        let mut tries = 0;
        let file = loop {
            match try_lock(&path).with_context(cannot)? {
                Some(file) => break file,
                None => tries += 1,
            }
            if tries == TRIES {
                bail!(
                    "{} is being written by {}: wait until it is done",
                    folder.display(),
                    named(&path)
                );
            }
            thread::sleep(PAUSE);
        };
        let lock = Self { file };
        let owner = Owner {
            pid: std::process::id(),
            host: System::host_name().unwrap_or_else(|| "this host".to_owned()),
            since: super::clock::now(),
        };
        let mut line = serde_json::to_vec(&owner)?;
        line.push(b'\n');
        lock.file.set_len(0).with_context(cannot)?;
        (&lock.file).write_all(&line).with_context(cannot)?;
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock goes with the file's end; a name that stays in it says nothing then.
        let _ = self.file.set_len(0);
    }
}

/// Whether another process, or another part of this one, works in the folder now; in words. A process that died does not.
pub fn holder(folder: &Path) -> Result<Option<String>> {
    let path: PathBuf = folder.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(&path).with_context(cannot)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(named(&path))),
        Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
    }
}

/// The owner that a lock's file names.
fn named(path: &Path) -> String {
    let owner = fs::read(path).map(|bytes| serde_json::from_slice::<Owner>(&bytes));
    match owner {
        Ok(Ok(owner)) => owner.to_string(),
        // Between taking the lock and writing a name there is a moment without one.
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_by_name() {
        let folder = tempfile::tempdir().unwrap();
        assert!(holder(folder.path()).unwrap().is_none());
        let lock = Lock::take(folder.path()).unwrap();
        let me = format!("process {} on ", std::process::id());
        let error = Lock::take(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("is being written by {me}")),
            "{error}"
        );
        assert!(holder(folder.path()).unwrap().unwrap().starts_with(&me));
        drop(lock);
        assert!(holder(folder.path()).unwrap().is_none());
        drop(Lock::take(folder.path()).unwrap());
    }

    #[test]
    fn a_name_without_a_lock_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dead = r#"{"pid":1,"host":"gone","since":"2020-01-01T00:00:00Z"}"#;
        fs::write(folder.path().join(FILE), dead).unwrap();
        assert!(holder(folder.path()).unwrap().is_none());
        Lock::take(folder.path()).unwrap();
    }
}
