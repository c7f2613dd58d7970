//! A database of another engine as a SQLite file: its tables with their keys, and a bounded number of their rows.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, params_from_iter};

use crate::db::home::Home;
use crate::db::sandbox::Sandbox;
use crate::db::schema::Table;
use crate::sql::error::SqlError;
use crate::sql::identifier::quoted;
use crate::sql::value::Row;

/// Rows that are taken of a table; fewer where they do not fit a result.
const ROWS: [usize; 4] = [20_000, 2_000, 200, 20];
/// How long reading a table may take.
const READ: Duration = Duration::from_secs(120);

/// Copies the database called `db` at `home` into `file`, which is not there yet. Tells of each table that is cut.
pub fn import(home: &Home, db: &str, file: &Path) -> Result<Vec<String>> {
    let mut sandbox = Sandbox::new(home.clone(), false);
    let place = sandbox.locate(db)?.into_iter().next();
    let place = place.context("a database that was found")?;
    let mut tables = sandbox.tables(&place)?;
    tables.retain(|table| !table.view && !table.columns.is_empty());
    ensure!(!tables.is_empty(), "{home}: the database has no tables");
    let mut copy = Connection::open(file)?;
    let transaction = copy.transaction()?;
    let mut cut = Vec::new();
    for table in &tables {
        let (rows, whole) = read(&mut sandbox, &place, table)
            .with_context(|| format!("{home}: table {}", table.name))?;
        transaction.execute(&declared(table), [])?;
        let marks = vec!["?"; table.columns.len()].join(", ");
        let insert = format!("INSERT INTO {} VALUES ({marks})", quoted(&table.name));
        let mut insert = transaction.prepare(&insert)?;
        for row in &rows {
            insert
                .execute(params_from_iter(row))
                .with_context(|| format!("{home}: table {}", table.name))?;
        }
        if !whole {
            let rows = rows.len();
            cut.push(format!(
                "of table {} the first {rows} rows alone",
                table.name
            ));
        }
    }
    if !cut.is_empty() {
        drop_orphans(&transaction, &tables)?;
    }
    transaction.commit()?;
    Ok(cut)
}

/// The first rows of a table, and whether they are all.
fn read(sandbox: &mut Sandbox, place: &Path, table: &Table) -> Result<(Vec<Row>, bool)> {
    let columns: Vec<String> = table.columns.iter().map(|c| quoted(&c.name)).collect();
    let (columns, name) = (columns.join(", "), quoted(&table.name));
    let mut last = SqlError::out_of_memory();
    for most in ROWS {
        let sql = format!("SELECT {columns} FROM {name} LIMIT {}", most + 1);
        match sandbox.run(place, false, &sql, READ) {
            Ok(mut rows) => {
                let whole = rows.len() <= most;
                rows.truncate(most);
                return Ok((rows, whole));
            }
            Err(error @ SqlError::ResourceLimit(_)) => last = error,
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.into())
}

fn declared(table: &Table) -> String {
    let list = |names: &[String]| {
        names
            .iter()
            .map(|name| quoted(name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let columns = table.columns.iter();
    let columns = columns.map(|c| format!("{} {}", quoted(&c.name), kind(&c.declared)));
    let mut parts: Vec<String> = columns.collect();
    if !table.primary_key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(&table.primary_key)));
    }
    for key in &table.foreign_keys {
        parts.push(format!(
            "FOREIGN KEY ({}) REFERENCES {} ({})",
            list(&key.columns),
            quoted(&key.table),
            list(&key.referenced)
        ));
    }
    format!(
        "CREATE TABLE {} ({})",
        quoted(&table.name),
        parts.join(", ")
    )
}

/// The type of a column as SQLite knows types.
fn kind(declared: &str) -> &'static str {
    let declared = declared.to_lowercase();
    let begins = |words: &[&str]| words.iter().any(|word| declared.starts_with(word));
    match () {
        () if declared.ends_with(']') || begins(&["interval"]) => "TEXT",
        () if begins(&["bool"]) => "BOOLEAN",
        () if begins(&["timestamp"]) => "DATETIME",
        () if begins(&["date"]) => "DATE",
        () if begins(&["blob", "bytea"]) => "BLOB",
        () if begins(&["decimal", "numeric", "real", "double", "float"]) => "REAL",
        () if declared.contains("int") && !begins(&["point"]) => "INTEGER",
        () => "TEXT",
    }
}

/// Takes rows away whose keys lead to rows that were not taken, until none is left.
fn drop_orphans(copy: &Connection, tables: &[Table]) -> Result<()> {
    loop {
        let mut dropped = 0;
        for table in tables {
            for key in &table.foreign_keys {
                let pairs = key.columns.iter().zip(&key.referenced);
                let same = pairs.map(|(own, other)| {
                    format!("parent.{} = child.{}", quoted(other), quoted(own))
                });
                let own = key.columns.iter();
                let set = own.map(|own| format!("child.{} IS NOT NULL", quoted(own)));
                let sql = format!(
                    "DELETE FROM {} AS child WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS parent WHERE {})",
                    quoted(&table.name),
                    set.collect::<Vec<_>>().join(" AND "),
                    quoted(&key.table),
                    same.collect::<Vec<_>>().join(" AND ")
                );
                dropped += copy.execute(&sql, [])?;
            }
        }
        if dropped == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::answer::Column;
    use crate::db::schema::ForeignKey;

    #[test]
    fn types_become_sqlites() {
        for (declared, expected) in [
            ("BIGINT", "INTEGER"),
            ("uinteger", "INTEGER"),
            ("DECIMAL(10,2)", "REAL"),
            ("double precision", "REAL"),
            ("character varying(20)", "TEXT"),
            ("timestamp without time zone", "DATETIME"),
            ("date", "DATE"),
            ("boolean", "BOOLEAN"),
            ("interval", "TEXT"),
            ("integer[]", "TEXT"),
            ("bytea", "BLOB"),
        ] {
            assert_eq!(kind(declared), expected, "{declared}");
        }
    }

    #[test]
    fn rows_without_their_parents_go() {
        let column = |name: &str| Column {
            name: name.to_owned(),
            declared: "integer".to_owned(),
        };
        let table = |name: &str, columns: &[&str], key: Option<(&str, &str)>| Table {
            schema: "s".to_owned(),
            name: name.to_owned(),
            view: false,
            rows: None,
            columns: columns.iter().map(|name| column(name)).collect(),
            primary_key: vec!["id".to_owned()],
            foreign_keys: Vec::from_iter(key.map(|(own, other)| ForeignKey {
                columns: vec![own.to_owned()],
                table: other.to_owned(),
                referenced: vec!["id".to_owned()],
            })),
        };
        let tables = [
            table("lines", &["id", "order"], Some(("order", "orders"))),
            table("orders", &["id", "buyer"], Some(("buyer", "buyers"))),
            table("buyers", &["id"], None),
        ];
        let copy = Connection::open_in_memory().unwrap();
        for table in &tables {
            copy.execute(&declared(table), []).unwrap();
        }
        // SQLite's library here checks keys.
        copy.execute_batch(
            "PRAGMA foreign_keys = off;
             INSERT INTO buyers VALUES (1);
             INSERT INTO orders VALUES (1, 1), (2, 9), (3, NULL);
             INSERT INTO lines VALUES (1, 1), (2, 2), (3, 3), (4, 8);",
        )
        .unwrap();
        drop_orphans(&copy, &tables).unwrap();
        let count = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM orders"), 2);
        assert_eq!(count("SELECT sum(id) FROM lines"), 4);
    }
}
