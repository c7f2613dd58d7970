//! Tables as they were declared: types, primary keys, foreign keys of one column.

use anyhow::{Context, Result};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A declared table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub name: String,
    pub columns: Vec<Column>,
    pub keys: Vec<Key>,
    /// False for a table `WITHOUT ROWID`.
    pub has_rowid: bool,
}

/// A declared column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// As it was written; may be empty.
    pub declared: String,
    /// Its place in the primary key, from 1; 0 outside it.
    pub primary: u32,
}

/// A foreign key of one column, by the places of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub column: usize,
    /// Place of the table that it refers to.
    pub parent: usize,
    pub parent_column: usize,
}

/// Reads the ordinary tables of a database file, or of one built from a `.sql` file, in the order of their making. Views,
/// virtual tables and what lies behind them are left out.
pub fn layout(file: &Path) -> Result<Vec<Layout>> {
    let connection = super::open_whole(file)?;
    read(&connection).with_context(|| format!("cannot read the schema of {}", file.display()))
}

fn read(connection: &Connection) -> Result<Vec<Layout>> {
    let listed = "SELECT l.name, l.wr FROM pragma_table_list l JOIN sqlite_schema s ON s.name = l.name
                  WHERE l.schema = 'main' AND l.type = 'table' AND s.type = 'table' AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                  ORDER BY s.rowid";
    let mut tables = connection
        .prepare(listed)?
        .query_map([], |row| {
            Ok(Layout {
                name: row.get(0)?,
                columns: Vec::new(),
                keys: Vec::new(),
                has_rowid: !row.get::<_, bool>(1)?,
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let mut columns = connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
    for table in &mut tables {
        let found = columns.query_map([&table.name], |row| {
            Ok(Column {
                name: row.get(0)?,
                declared: row.get(1)?,
                primary: row.get(2)?,
            })
        })?;
        table.columns = found.collect::<Result<_, _>>()?;
    }
    // A key of several columns has several rows of one id.
    let mut declared = connection.prepare(
        "SELECT \"from\", \"table\", \"to\" FROM pragma_foreign_key_list(?1)
         GROUP BY id HAVING count(*) = 1 ORDER BY id DESC",
    )?;
    for at in 0..tables.len() {
        let found = declared.query_map([&tables[at].name], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        let found: Vec<(String, String, Option<String>)> = found.collect::<Result<_, _>>()?;
        let keys = found
            .into_iter()
            .filter_map(|(from, table, to)| {
                let parent = position(&tables, |known| &known.name, &table)?;
                let columns = &tables[parent].columns;
                let parent_column = match to {
                    Some(to) => position(columns, |column| &column.name, &to)?,
                    // Without a column, the parent's primary key is meant.
                    None => columns.iter().position(|column| column.primary == 1)?,
                };
                Some(Key {
                    column: position(&tables[at].columns, |column| &column.name, &from)?,
                    parent,
                    parent_column,
                })
            })
            .collect();
        tables[at].keys = keys;
    }
    Ok(tables)
}

/// Where a name stands; SQLite takes names in any case.
fn position<T>(all: &[T], name_of: impl Fn(&T) -> &String, name: &str) -> Option<usize> {
    all.iter()
        .position(|one| name_of(one).eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_and_virtual_tables_are_left_out_and_keys_are_places() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.sql");
        let script = "CREATE TABLE Shelf(Id INTEGER PRIMARY KEY, room TEXT);
            CREATE TABLE jar(a INT, b INT, shelf REFERENCES SHELF, PRIMARY KEY (b, a)) WITHOUT ROWID;
            CREATE TABLE lid(a, b, s REFERENCES shelf(room), FOREIGN KEY (a, b) REFERENCES jar(a, b));
            CREATE VIEW v AS SELECT 1; CREATE VIRTUAL TABLE f USING fts5(x);";
        std::fs::write(&file, script).unwrap();
        let found = layout(&file).unwrap();
        let names: Vec<_> = found.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["Shelf", "jar", "lid"]);
        assert_eq!(
            found.iter().map(|t| t.has_rowid).collect::<Vec<_>>(),
            [true, false, true]
        );
        let key = |column, parent_column| Key {
            column,
            parent: 0,
            parent_column,
        };
        assert_eq!(found[1].keys, [key(2, 0)]);
        assert_eq!(found[2].keys, [key(2, 1)]);
        let places: Vec<_> = found[1].columns.iter().map(|c| c.primary).collect();
        assert_eq!(places, [2, 1, 0]);
    }
}
