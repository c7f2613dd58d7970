//! `factory db-worker`: the process of one call to a database. Not for people.

use crate::cli::private;
use crate::cli::sql_worker::{limit_memory, program};
use crate::db::worker::serve;
use anyhow::Result;
use std::io::{BufReader, stdin};
use std::path::PathBuf;

/// The command's name.
pub const NAME: &str = "db-worker";

/// What starts one.
pub fn command() -> Result<[PathBuf; 2]> {
    Ok([program()?, PathBuf::from(NAME)])
}

/// Answers the call on stdin.
pub fn run() -> Result<()> {
    limit_memory()?;
    serve(BufReader::new(stdin()), private::output()?)
}
