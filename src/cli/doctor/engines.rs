//! Which databases this program can open here.

use crate::cli::{plain, say};
use crate::db::duckdb::Library;
use anyhow::Result;

/// Says which engines there are, from where, in which version. One that is missing is no failure.
pub fn run() -> Result<()> {
    say(format_args!(
        "databases: SQLite {} (built in)",
        rusqlite::version()
    ))?;
    match Library::find() {
        Ok(library) => say(format_args!(
            "databases: DuckDB {} ({})",
            plain(library.version()),
            plain(&library.path().display().to_string())
        )),
        Err(error) => say(format_args!(
            "databases: no DuckDB: {}",
            plain(&error.to_string())
        )),
    }
}
