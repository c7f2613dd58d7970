//! What a query returns, for people: columns and rows, bounded, with what was cut said.

use super::databases::Databases;
use super::session::Session;
use super::worker::{Job, Reply, Task};
use crate::db::shown::literal;
use crate::sql::error::SqlError;
use crate::sql::value;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most rows that are shown.
const ROWS: usize = 1_000;
/// Most bytes of them.
const BYTES: usize = 1_000_000;

/// A result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub columns: Vec<String>,
    /// Numbers, texts and null; a blob is SQLite's literal of it.
    pub rows: Vec<Vec<Value>>,
    /// How many rows there are, some of which may not be shown.
    pub total: usize,
}

/// A result, or why there is none.
pub type Shown = Result<Table, SqlError>;

/// Runs one query on the row's own database.
pub(super) fn run(db: &str, query: &str, session: &mut Session) -> Shown {
    let files = session.locate(db)?;
    let outcome = session.predicted(&files[0], query);
    let rows = outcome.as_ref().as_ref().map_err(SqlError::clone)?;
    let mut shown: Vec<Vec<Value>> = Vec::new();
    let mut bytes = 0;
    for row in rows.iter().take(ROWS) {
        bytes += row.iter().map(value::Value::bytes).sum::<usize>();
        // One row is shown, however long it is.
        if bytes > BYTES && !shown.is_empty() {
            break;
        }
        shown.push(row.iter().map(cell).collect());
    }
    Ok(Table {
        columns: session.columns(&files[0], query)?,
        rows: shown,
        total: rows.len(),
    })
}

fn cell(value: &value::Value) -> Value {
    match value {
        value::Value::Null => Value::Null,
        value::Value::Integer(integer) => json!(integer),
        // Infinity is no JSON.
        value::Value::Real(real) if real.is_finite() => json!(real),
        value::Value::Real(real) => json!(real.to_string()),
        value::Value::Text(bytes) => String::from_utf8_lossy(bytes).into(),
        value::Value::Blob(bytes) => literal(bytes).into(),
    }
}

/// What a query returns on the database called `db`.
pub fn table(databases: &Databases, db: &str, query: &str) -> Result<Shown> {
    match databases.reply(Job::asked(Task::Show, db, query))? {
        Reply::Shown(shown) => Ok(shown),
        _ => bail!("a scoring process answered something else"),
    }
}
