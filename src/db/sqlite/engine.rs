//! SQLite as an engine like the others: a file, or one built in memory from a script, opened confined.

use super::Draws;
use super::declared::declared;
use super::execute::{failure, query_of};
use super::schema::is_dangling;
use crate::db::answer::{Answer, Bounds, Column, Cut};
use crate::db::cell::Cell;
use crate::db::declared::Declared;
use crate::db::engine::Engine;
use crate::db::schema::{ForeignKey, Table};
use crate::sql::error::SqlError;
use anyhow::Context;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// An open database.
pub struct Sqlite {
    file: PathBuf,
    connection: Connection,
    draws: Draws,
}

impl Sqlite {
    /// Opens a file for reading. Nothing beside it is made.
    pub fn open(file: &Path) -> Result<Self, SqlError> {
        let (connection, draws) = super::open(file, false).map_err(of_database)?;
        Ok(Self {
            file: file.to_owned(),
            connection,
            draws,
        })
    }

    /// What its catalog says.
    fn look<T>(&self, read: impl FnOnce(&Connection) -> anyhow::Result<T>) -> Result<T, SqlError> {
        let read = || read(&super::open_whole(&self.file)?);
        let place = || format!("cannot read the schema of {}", self.file.display());
        read().with_context(place).map_err(of_database)
    }

    fn take(&self, mut statement: Statement, bounds: Bounds) -> Result<Answer, SqlError> {
        self.draws.store(0, Relaxed);
        let mut answer = Answer {
            columns: columns(&statement),
            rows: Vec::new(),
            cut: None,
        };
        let width = answer.columns.len();
        let mut cursor = statement.query([]).map_err(of_query)?;
        let mut bytes = 0;
        while let Some(record) = cursor.next().map_err(of_query)? {
            if answer.rows.len() == bounds.rows {
                answer.cut = Some(Cut::Rows);
                break;
            }
            let cell = |place| record.get_ref(place).map(cell);
            let row: Vec<Cell> = (0..width)
                .map(cell)
                .collect::<Result<_, _>>()
                .map_err(of_query)?;
            bytes += size_of::<Vec<Cell>>() + row.iter().map(Cell::bytes).sum::<usize>();
            if bytes > bounds.bytes {
                answer.cut = Some(Cut::Bytes);
                break;
            }
            answer.rows.push(row);
        }
        Ok(answer)
    }
}

impl Engine for Sqlite {
    fn version(&self) -> Result<String, SqlError> {
        Ok(format!("SQLite {}", rusqlite::version()))
    }

    fn schema(&self) -> Result<Vec<Table>, SqlError> {
        self.look(read)
    }

    fn declared(&self) -> Result<Vec<Declared>, SqlError> {
        self.look(declared)
    }

    fn run(&self, sql: &str, bounds: Bounds) -> Result<Answer, SqlError> {
        let statement = query_of(&self.connection, sql, Duration::ZERO)?;
        // The SQLite binding panics where memory ends between a value and its text.
        let taken = catch_unwind(AssertUnwindSafe(|| self.take(statement, bounds)));
        taken.unwrap_or_else(|_| Err(SqlError::out_of_memory()))
    }

    fn explain(&self, sql: &str, bounds: Bounds) -> Result<Answer, SqlError> {
        // Refused here if it is no query.
        query_of(&self.connection, sql, Duration::ZERO)?;
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let statement = self.connection.prepare(&sql).map_err(of_query)?;
        self.take(statement, bounds)
    }
}

fn columns(statement: &Statement) -> Vec<Column> {
    let column = |column: rusqlite::Column| Column {
        name: column.name().to_owned(),
        // What is computed has no declared type.
        declared: column.decl_type().unwrap_or_default().to_owned(),
    };
    statement.columns().into_iter().map(column).collect()
}

fn cell(value: ValueRef) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(integer) => Cell::Integer(integer),
        ValueRef::Real(real) => Cell::Real(real),
        ValueRef::Text(bytes) => match str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Blob(bytes.to_owned()),
        },
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_owned()),
    }
}

fn of_database(error: anyhow::Error) -> SqlError {
    SqlError::Database(format!("{error:#}"))
}

fn of_query(error: rusqlite::Error) -> SqlError {
    failure(error, Duration::ZERO)
}

/// All tables and views in the order of their making.
pub(super) fn read(connection: &Connection) -> anyhow::Result<Vec<Table>> {
    let listed = "SELECT name, type = 'view' FROM sqlite_schema
                  WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
    let mut listed = connection.prepare(listed)?;
    let mut columns = connection.prepare(
        "SELECT name, type, pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid",
    )?;
    let mut keys = connection.prepare(
        "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?1) ORDER BY id DESC, seq",
    )?;
    let mut tables = Vec::new();
    let mut rows = listed.query([])?;
    while let Some(row) = rows.next()? {
        let (name, view): (String, bool) = (row.get(0)?, row.get(1)?);
        let mut table = Table {
            schema: "main".to_owned(),
            view,
            rows: None,
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            name,
        };
        let found = columns.query_map([&table.name], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
        let found: Vec<(String, String, u32)> = match found.and_then(|found| found.collect()) {
            Err(error) if is_dangling(&error) => continue,
            found => found?,
        };
        let mut primary: Vec<(u32, String)> = Vec::new();
        for (name, declared, place) in found {
            if place > 0 {
                primary.push((place, name.clone()));
            }
            table.columns.push(Column { name, declared });
        }
        primary.sort();
        table.primary_key = primary.into_iter().map(|(_, name)| name).collect();
        let (mut found, mut last) = (keys.query([&table.name])?, None);
        while let Some(row) = found.next()? {
            let (id, other, from, to): (i64, String, String, Option<String>) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            if last != Some(id) {
                let key = ForeignKey {
                    columns: Vec::new(),
                    table: other,
                    referenced: Vec::new(),
                };
                table.foreign_keys.push(key);
                last = Some(id);
            }
            if let Some(key) = table.foreign_keys.last_mut() {
                key.columns.push(from);
                // Without a name the other table's primary key is meant.
                key.referenced.extend(to);
            }
        }
        tables.push(table);
    }
    let primary = |tables: &[Table], name: &str| {
        let table = tables
            .iter()
            .find(|table| table.name.eq_ignore_ascii_case(name));
        table
            .map(|table| table.primary_key.clone())
            .unwrap_or_default()
    };
    for at in 0..tables.len() {
        for nth in 0..tables[at].foreign_keys.len() {
            if tables[at].foreign_keys[nth].referenced.is_empty() {
                let other = primary(&tables, &tables[at].foreign_keys[nth].table);
                tables[at].foreign_keys[nth].referenced = other;
            }
        }
    }
    Ok(tables)
}
