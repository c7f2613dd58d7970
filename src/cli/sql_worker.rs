//! `factory sql-worker`: a scoring process, which `eval-sql` and `sweep` start and kill. Not for people.

use super::private;
use crate::eval::worker::serve;
use anyhow::Result;
use std::io::{BufReader, stdin};
use std::path::{Path, PathBuf};

/// The command's name.
pub const NAME: &str = "sql-worker";

/// Address space of one process: SQLite's heap, the results of a row and the reference results that it keeps, with room.
const MAX_MEMORY: u64 = 1 << 30;

/// What starts one.
pub fn command() -> Result<[PathBuf; 2]> {
    Ok([program()?, PathBuf::from(NAME)])
}

/// This program. On Linux the running one itself, even if its file was replaced since.
pub fn program() -> Result<PathBuf> {
    match Path::new("/proc/self/exe") {
        linked if linked.exists() => Ok(linked.to_owned()),
        _ => Ok(std::env::current_exe()?),
    }
}

/// Limits the memory of this process.
pub fn limit_memory() -> Result<()> {
    // Elsewhere the kernel does not enforce it, and the engines' own limits and the caps on results remain.
    if cfg!(target_os = "linux") {
        rlimit::setrlimit(rlimit::Resource::AS, MAX_MEMORY, MAX_MEMORY)?;
    }
    Ok(())
}

/// Answers jobs from stdin until it ends.
pub fn run() -> Result<()> {
    limit_memory()?;
    serve(BufReader::new(stdin()), private::output()?)
}
