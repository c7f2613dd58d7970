//! Which databases this program can open here.

use crate::cli::{plain, say};
use crate::db::duckdb::Library;
use anyhow::Result;

/// Says which engines there are, from where, in which version. One that is missing is no failure.
pub fn run() -> Result<()> {
    let duckdb = match Library::find() {
        Ok(library) => format!(
            "DuckDB {} ({})",
            library.version(),
            library.path().display()
        ),
        Err(error) => format!("no DuckDB ({error})"),
    };
    say(format_args!(
        "databases: SQLite {} and PostgreSQL's protocol (built in), {}",
        rusqlite::version(),
        plain(&duckdb)
    ))
}
