//! What a database holds, whatever its engine.

use super::answer::Column;
use super::sqlite::layout;
use crate::sql::spider;
use serde::{Deserialize, Serialize};

/// A table or a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The schema that it is in, such as `main` or `public`.
    pub schema: String,
    pub name: String,
    pub view: bool,
    /// Rows, as far as the engine knows without counting.
    pub rows: Option<u64>,
    pub columns: Vec<Column>,
    /// Names of columns; empty where there is none.
    pub primary_key: Vec<String>,
    pub foreign_keys: Vec<ForeignKey>,
}

/// Columns that name a row of another table of the same schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub columns: Vec<String>,
    pub table: String,
    /// Of that table, in the order of `columns`.
    pub referenced: Vec<String>,
}

/// The tables as Spider's rules take them, without views.
pub fn spider(tables: &[Table]) -> spider::Schema {
    let own = || tables.iter().filter(|table| !table.view);
    let keys = own().flat_map(|table| {
        let keys = table.foreign_keys.iter();
        keys.flat_map(move |key| {
            let pairs = key.columns.iter().zip(&key.referenced);
            pairs.map(move |(from, to)| {
                let from = (table.name.clone(), from.clone());
                (from, (key.table.clone(), to.clone()))
            })
        })
    });
    spider::Schema {
        foreign_keys: keys.collect(),
        tables: own().map(named).collect(),
    }
}

/// A table or a view with its columns.
pub fn named(table: &Table) -> spider::Table {
    spider::Table {
        name: table.name.clone(),
        columns: table
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect(),
    }
}

/// The tables as prompts show them, without views and keys.
pub fn layouts(tables: &[Table]) -> Vec<layout::Layout> {
    let layout = |table: &Table| {
        let column = |column: &Column| layout::Column {
            name: column.name.clone(),
            declared: column.declared.clone(),
            primary: match table.primary_key.iter().position(|key| *key == column.name) {
                Some(place) => place as u32 + 1,
                None => 0,
            },
        };
        layout::Layout {
            name: table.name.clone(),
            columns: table.columns.iter().map(column).collect(),
            keys: Vec::new(),
            has_rowid: false,
        }
    };
    let own = tables.iter().filter(|table| !table.view);
    own.map(layout).collect()
}
