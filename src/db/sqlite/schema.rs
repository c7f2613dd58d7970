//! The tables, columns and foreign keys of a database.

use crate::sql::spider::{Schema, Table};
use anyhow::{Context, Result};
use rusqlite::{Connection, ErrorCode};
use std::path::Path;

/// Reads the schema of a database file, or of one built from a `.sql` file.
pub fn schema(file: &Path) -> Result<Schema> {
    let connection = super::open_whole(file)?;
    read_schema(&connection)
        .with_context(|| format!("cannot read the schema of {}", file.display()))
}

/// Reads the schema of an open database that may still be asked for it.
pub fn read_schema(connection: &Connection) -> Result<Schema> {
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
    let names = connection
        .prepare(names)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    let (mut tables, mut foreign_keys) = (Vec::new(), Vec::new());
    for name in names {
        let columns = connection
            .prepare("SELECT name FROM pragma_table_info(?1)")?
            .query_map([&name], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        // Without a column, the parent's primary key is meant.
        let keys = "SELECT \"from\", \"table\", coalesce(\"to\", (SELECT name FROM pragma_table_info(\"table\") WHERE pk = 1))
                    FROM pragma_foreign_key_list(?1)";
        let mut keys = connection.prepare(keys)?;
        let mut rows = keys.query([&name])?;
        while let Some(row) = rows.next()? {
            let to: Option<String> = row.get(2)?;
            if let Some(to) = to {
                foreign_keys.push(((name.clone(), row.get(0)?), (row.get(1)?, to)));
            }
        }
        tables.push(Table { name, columns });
    }
    Ok(Schema {
        tables,
        foreign_keys,
    })
}

/// All that a query may read from in a database file, or in one built from a `.sql` file: tables and views, with their columns.
pub fn named(file: &Path) -> Result<Vec<Table>> {
    let connection = super::open_whole(file)?;
    let read = || -> Result<Vec<Table>> {
        let names = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY rowid";
        let names = connection
            .prepare(names)?
            .query_map([], |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        // Generated columns are hidden, but not as those of virtual tables are.
        let columns = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1";
        let mut columns = connection.prepare(columns)?;
        let mut tables = Vec::new();
        for name in names {
            let found = columns.query_map([&name], |row| row.get(0));
            match found.and_then(|found| found.collect()) {
                Ok(columns) => tables.push(Table { name, columns }),
                Err(error) if is_dangling(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(tables)
    };
    read().with_context(|| format!("cannot read the schema of {}", file.display()))
}

/// Whether a view cannot be looked at because what it reads is no longer there. No query can read from it.
pub(super) fn is_dangling(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::Unknown)
}

/// The functions that queries have, by their names.
pub fn functions() -> Result<Vec<String>> {
    let connection = Connection::open_in_memory()?;
    let names = "SELECT DISTINCT name FROM pragma_function_list ORDER BY name";
    let names = connection
        .prepare(names)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::engine::Engine;
    use crate::db::sqlite::engine::Sqlite;

    #[test]
    fn a_view_of_what_is_gone_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.sql");
        let script = "CREATE TABLE t(a); CREATE VIEW v AS SELECT a FROM t; CREATE VIEW w AS SELECT m.b FROM m;";
        std::fs::write(&file, script).unwrap();
        let names = named(&file).unwrap();
        let names: Vec<&str> = names.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["t", "v"]);
        let tables = Sqlite::open(&file).unwrap().schema().unwrap();
        let tables: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(tables, names);
    }

    #[test]
    fn tables_columns_and_keys() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.sql");
        let script = "CREATE TABLE a(Id INTEGER PRIMARY KEY, n TEXT);
            CREATE TABLE b(x, y REFERENCES a, z REFERENCES a(n), FOREIGN KEY (x) REFERENCES gone(q));";
        std::fs::write(&file, script).unwrap();
        let schema = schema(&file).unwrap();
        let tables = schema
            .tables
            .iter()
            .map(|t| (t.name.as_str(), t.columns.join(" ")));
        assert_eq!(
            tables.collect::<Vec<_>>(),
            [("a", "Id n".to_owned()), ("b", "x y z".to_owned())]
        );
        let keys = schema.foreign_keys.iter();
        let mut keys: Vec<_> = keys
            .map(|((a, b), (c, d))| format!("{a}.{b}={c}.{d}"))
            .collect();
        keys.sort();
        assert_eq!(keys, ["b.x=gone.q", "b.y=a.Id", "b.z=a.n"]);
    }
}
