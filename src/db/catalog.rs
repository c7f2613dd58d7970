//! Tables out of what an engine's catalog returns: rows of tables, of columns, of keys.

use super::answer::{Answer, Bounds, Column};
use super::cell::Cell;
use super::schema::{ForeignKey, Table};
use crate::sql::error::SqlError;
use std::collections::BTreeMap;

/// Of what a catalog says; a hundred thousand tables take less.
pub const MOST: Bounds = Bounds {
    rows: usize::MAX,
    bytes: 256 << 20,
};

/// The rows of a query of the catalog, which was asked for [`MOST`].
pub fn rows<const N: usize>(answer: Answer) -> Result<Vec<[Cell; N]>, SqlError> {
    if answer.cut.is_some() {
        let most = format!("the catalog takes more than {} bytes", MOST.bytes);
        return Err(SqlError::ResourceLimit(most));
    }
    let other = |_| SqlError::Database("the catalog has other columns".to_owned());
    let rows = answer.rows.into_iter();
    rows.map(|row| row.try_into().map_err(other)).collect()
}

/// The tables by the names of their schemas and their own. A row of `tables` has schema, name, whether it is a view and how many rows it has;
/// one of `columns` schema, table, name and type; one of `keys` schema, table, columns and, for a foreign key, the other table and its columns.
pub fn assemble(
    tables: Vec<[Cell; 4]>,
    columns: Vec<[Cell; 4]>,
    keys: Vec<[Cell; 5]>,
) -> Vec<Table> {
    let mut all = BTreeMap::new();
    for [schema, name, view, rows] in tables {
        let table = Table {
            schema: text(schema),
            name: text(name),
            view: view == Cell::Boolean(true),
            rows: match rows {
                Cell::Integer(rows) => u64::try_from(rows).ok(),
                _ => None,
            },
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
        };
        all.insert((table.schema.clone(), table.name.clone()), table);
    }
    for [schema, table, name, declared] in columns {
        if let Some(table) = all.get_mut(&(text(schema), text(table))) {
            table.columns.push(Column {
                name: text(name),
                declared: text(declared),
            });
        }
    }
    for [schema, table, columns, other, referenced] in keys {
        if let Some(table) = all.get_mut(&(text(schema), text(table))) {
            match other {
                Cell::Text(other) if !other.is_empty() => table.foreign_keys.push(ForeignKey {
                    columns: texts(columns),
                    table: other,
                    referenced: texts(referenced),
                }),
                _ => table.primary_key = texts(columns),
            }
        }
    }
    all.into_values().collect()
}

fn text(cell: Cell) -> String {
    match cell {
        Cell::Text(text) => text,
        _ => String::new(),
    }
}

fn texts(cell: Cell) -> Vec<String> {
    match cell {
        Cell::List(cells) => cells.into_iter().map(text).collect(),
        _ => Vec::new(),
    }
}
