//! What tables a database has, read in a process of its own: a file may be anything, and reading its schema can take as long as any query.

use super::databases::Databases;
use super::session::Session;
use super::worker::{Job, Reply, Task};
use crate::db::registry::Driver;
use crate::db::schema::{self, layouts};
use crate::db::sqlite::layout::{Layout, layout};
use crate::db::sqlite::named;
use crate::sql::error::SqlError;
use crate::sql::spider::Table;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// A database's tables.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Described {
    /// Ordinary ones, as they were declared.
    pub tables: Vec<Layout>,
    /// All that queries may name, views among them.
    pub named: Vec<Table>,
}

/// Reads the row's own database.
pub(super) fn run(db: &str, session: &mut Session) -> Result<Described, SqlError> {
    let files = session.locate(db)?;
    if session.driver(&files[0]) != Driver::Sqlite {
        let tables = session.tables(&files[0])?;
        return Ok(Described {
            tables: layouts(&tables),
            named: tables.iter().map(schema::named).collect(),
        });
    }
    let read = || {
        anyhow::Ok(Described {
            tables: layout(&files[0])?,
            named: named(&files[0])?,
        })
    };
    read().map_err(|error| SqlError::Database(format!("{error:#}")))
}

/// The tables of the database called `db`. Errors where it cannot be read.
pub fn described(databases: &Databases, db: &str) -> Result<Described> {
    match databases.reply(Job::asked(Task::Describe, db, ""))? {
        Reply::Described(described) => Ok(described?),
        _ => bail!("a scoring process answered something else"),
    }
}
