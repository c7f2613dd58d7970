//! A domain's database in memory: what its tables are and what a query answers.

use std::fs;
use std::path::Path;

use crate::db::sqlite::{BUILD_TIME, open, read_schema, run_script, schema};
use crate::sql::spider::{Schema, Table};
use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// Bounds on a query of somebody's database.
const MOST_ROWS: usize = 20_000;
const STEPS: u32 = 20_000_000;
const STEPS_PER_LOOK: i32 = 10_000;

/// The rows a query returns; a text cell starts with a quote, so that '1' is not 1.
pub type Answer = Vec<Vec<String>>;

/// A database built from a schema script.
pub struct Database {
    connection: Connection,
    pub tables: Vec<Table>,
    pub links: Vec<Link>,
    /// Most rows of an answer.
    most: usize,
    /// Most steps of a query; steps, unlike time, are the same on every machine.
    steps: Option<u32>,
}

/// A foreign key: `table.column` refers to `parent.key`.
pub struct Link {
    pub table: String,
    pub column: String,
    pub parent: String,
    pub key: String,
}

impl Database {
    /// Builds the database of the script at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let script = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::build(&script).with_context(|| path.display().to_string())
    }

    /// Builds the database of a script.
    pub fn build(script: &str) -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        run_script(&connection, script, BUILD_TIME)?;
        // Its own queries are as long as they are.
        connection.progress_handler(0, None::<fn() -> bool>)?;
        let Schema {
            tables,
            foreign_keys,
        } = read_schema(&connection)?;
        let link = |((table, column), (parent, key))| Link {
            table,
            column,
            parent,
            key,
        };
        Ok(Self {
            connection,
            tables,
            links: foreign_keys.into_iter().map(link).collect(),
            most: usize::MAX,
            steps: None,
        })
    }

    /// Opens a database file for reading alone; queries that take too long or return too much fail.
    pub fn confined(path: &Path, links: Vec<Link>) -> Result<Self> {
        let tables = schema(path)?.tables;
        let (connection, _) = open(path, false)?;
        Ok(Self {
            connection,
            tables,
            links,
            most: MOST_ROWS,
            steps: Some(STEPS),
        })
    }

    /// The schema in one line: `a(id, name); b(id, a_id)`.
    pub fn schema_line(&self) -> String {
        let tables = self.tables.iter();
        let lines: Vec<String> = tables
            .map(|table| format!("{}({})", table.name, table.columns.join(", ")))
            .collect();
        lines.join("; ")
    }

    /// The columns of a table; none when there is no such table.
    pub fn columns(&self, table: &str) -> &[String] {
        self.tables
            .iter()
            .find(|known| known.name == table)
            .map_or(&[], |table| &table.columns)
    }

    /// What `sql` answers. Where it has no `order by` of its own, the order is blanked by sorting.
    pub fn answer(&self, sql: &str) -> Result<Answer> {
        if let Some(steps) = self.steps {
            let mut left = steps;
            let late = move || {
                left = left.saturating_sub(STEPS_PER_LOOK as u32);
                left == 0
            };
            self.connection
                .progress_handler(STEPS_PER_LOOK, Some(late))?;
        }
        let mut statement = self.connection.prepare(sql)?;
        ensure!(
            statement.readonly() && statement.column_count() > 0,
            "not a select"
        );
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        let mut answer = Vec::new();
        while let Some(row) = rows.next()? {
            let cells: Result<Vec<String>, _> =
                (0..width).map(|at| row.get_ref(at).map(cell)).collect();
            answer.push(cells?);
            ensure!(answer.len() <= self.most, "returns too many rows");
        }
        if !sql.to_lowercase().contains("order by") {
            answer.sort();
        }
        Ok(answer)
    }

    /// What `sql` answers when SQLite walks the tables backwards: the same, if the query leaves nothing open.
    pub fn answer_backwards(&self, sql: &str) -> Result<Answer> {
        self.connection
            .execute_batch("pragma reverse_unordered_selects = on")?;
        let answer = self.answer(sql);
        self.connection
            .execute_batch("pragma reverse_unordered_selects = off")?;
        answer
    }

    /// The first column of a query's rows, as text.
    pub fn values(&self, sql: &str) -> Result<Vec<String>> {
        column::<rusqlite::types::Value>(&self.connection, sql, 0).map(|values| {
            values
                .iter()
                .map(|value| cell(value.into()).trim_start_matches('\'').to_string())
                .collect()
        })
    }
}

fn column<T: rusqlite::types::FromSql>(
    connection: &Connection,
    sql: &str,
    index: usize,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let values = statement.query_map([], |row| row.get(index))?;
    Ok(values.collect::<Result<_, _>>()?)
}

fn cell(value: ValueRef) -> String {
    match value {
        ValueRef::Null => "null".to_string(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) if number.fract() == 0.0 => format!("{number:.0}"),
        ValueRef::Real(number) => format!("{number:.6}"),
        ValueRef::Text(text) => format!("'{}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => format!("{bytes:?}"),
    }
}
