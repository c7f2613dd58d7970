//! The database that a script makes, kept as a file: built once, in a process of its own, and not anew for each who opens it.

use super::databases::Databases;
use super::session::Session;
use super::worker::{Job, Reply, Task};
use crate::db::sqlite::build_into;
use crate::sql::error::SqlError;
use anyhow::{Result, bail};
use std::path::Path;

/// What became of it.
pub type Built = Result<(), SqlError>;

/// Builds the row's own database into `file`.
pub(super) fn run(db: &str, file: &str, session: &mut Session) -> Built {
    let files = session.locate(db)?;
    let built = build_into(&files[0], Path::new(file));
    built.map_err(|error| SqlError::Database(format!("{error:#}")))
}

/// Builds the script called `db` into `file`, which is not there yet. Errors where it cannot be built.
pub fn build(databases: &Databases, db: &str, file: &Path) -> Result<()> {
    let Some(file) = file.to_str() else {
        bail!("{} is not UTF-8", file.display());
    };
    match databases.reply(Job::asked(Task::Build, db, file))? {
        Reply::Built(built) => Ok(built?),
        _ => bail!("a scoring process answered something else"),
    }
}
