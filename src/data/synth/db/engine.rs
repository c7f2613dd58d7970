//! Runs drafts on their databases and says which are good: they return something, leave nothing open, and no shorter query
//! answers the same.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::db::home::Home;
use crate::db::sandbox::Sandbox;
use crate::sql::compare::same_text;
use crate::sql::determined::left_open;
use crate::sql::error::SqlError;
use crate::sql::value::{Row, Value};

use super::draft::Draft;

/// Processor time of a query; a question worth asking takes far less of a database of this size.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Processor time of a look at a whole table.
const LOOK: Duration = Duration::from_secs(120);
/// Most rows of an answer.
const MOST_ROWS: usize = 5_000;

/// Databases, open for reading only.
pub struct Engine {
    sandbox: Sandbox,
}

impl Engine {
    pub fn new() -> Self {
        Self {
            // Files are named by their whole paths.
            sandbox: Sandbox::new(Home::Folder(PathBuf::new()), false),
        }
    }

    /// The rows of a query that must run.
    pub fn look(&mut self, file: &Path, sql: &str) -> Result<Vec<Row>> {
        match self.sandbox.run(file, false, sql, LOOK) {
            Ok(rows) => Ok(rows),
            Err(error) => bail!("{error}"),
        }
    }

    /// Whether a draft is a good one.
    ///
    /// # Errors
    /// When the database itself fails.
    pub fn keeps(&mut self, file: &Path, draft: &Draft) -> Result<bool> {
        let Some(rows) = self.rows(file, &draft.sql)? else {
            return Ok(false);
        };
        let trivial = match &rows[..] {
            [] => true,
            [row] => row.iter().all(|value| {
                matches!(value, Value::Null | Value::Integer(0)) || *value == Value::Real(0.0)
            }),
            _ => rows
                .iter()
                .all(|row| row.iter().all(|value| *value == Value::Null)),
        };
        if trivial || rows.len() > MOST_ROWS {
            return Ok(false);
        }
        let run = |sql: &str, reversed| Box::new(self.sandbox.run(file, reversed, sql, TIMEOUT));
        if !matches!(left_open(&draft.sql, &rows, run), Ok(None)) {
            return Ok(false);
        }
        if let Some(same) = &draft.same
            && !self
                .rows(file, same)?
                .is_some_and(|other| same_text(&rows, &other))
        {
            return Ok(false);
        }
        for shorter in &draft.shorter {
            let same = self
                .rows(file, &shorter.sql)?
                .is_some_and(|other| match shorter.ordered {
                    true => other == rows,
                    false => same_text(&rows, &other),
                });
            if same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rows of a query; none where it fails by its own fault.
    fn rows(&mut self, file: &Path, sql: &str) -> Result<Option<Vec<Row>>> {
        match self.sandbox.run(file, false, sql, TIMEOUT) {
            Ok(rows) => Ok(Some(rows)),
            Err(SqlError::Database(error)) => bail!("{error}"),
            Err(SqlError::Sql(error))
                if error.contains("malformed") || error.contains("disk I/O") =>
            {
                bail!("{}: {error}", file.display())
            }
            Err(_) => Ok(None),
        }
    }
}
