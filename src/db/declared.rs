//! What declarations say beside what queries need: NULL, defaults, how values come to be, comments.

use super::cell::Cell;
use super::schema::Table;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A table or a view as it was declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    pub table: Table,
    pub comment: Option<String>,
    /// The statement that made it, where the engine keeps that.
    pub statement: Option<String>,
    /// Of the table's columns, in their order.
    pub columns: Vec<Declaration>,
}

/// What is declared of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declaration {
    pub nullable: bool,
    /// As SQL; of a generated column what it is computed by.
    pub default: Option<String>,
    pub generated: Option<Generated>,
    /// The options of an identity column, by their names.
    pub identity: Option<Value>,
    pub comment: Option<String>,
}

/// When a generated value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generated {
    /// When it is read.
    Virtual,
    /// When its row is written.
    Stored,
}

impl Default for Declaration {
    fn default() -> Self {
        Self {
            nullable: true,
            default: None,
            generated: None,
            identity: None,
            comment: None,
        }
    }
}

/// The tables with what a catalog says of them. A row of `facts` has schema, table, column (of the table itself none), whether it may be NULL,
/// default, `s` where it is generated and stored, options of an identity column as JSON, comment.
pub(super) fn declare(tables: Vec<Table>, facts: Vec<[Cell; 8]>) -> Vec<Declared> {
    let mut of_columns: BTreeMap<[String; 3], Declaration> = BTreeMap::new();
    let mut of_tables: BTreeMap<[String; 2], Option<String>> = BTreeMap::new();
    for [
        schema,
        table,
        column,
        nullable,
        default,
        generated,
        identity,
        comment,
    ] in facts
    {
        let (schema, table) = (text(schema).unwrap_or_default(), text(table));
        let (table, comment) = (table.unwrap_or_default(), text(comment));
        let Some(column) = text(column) else {
            of_tables.insert([schema, table], comment);
            continue;
        };
        let declaration = Declaration {
            nullable: nullable != Cell::Boolean(false),
            default: text(default),
            generated: (text(generated).as_deref() == Some("s")).then_some(Generated::Stored),
            identity: text(identity).and_then(|json| serde_json::from_str(&json).ok()),
            comment,
        };
        of_columns.insert([schema, table, column], declaration);
    }
    let declared = |table: Table| {
        let of = |column: &super::answer::Column| {
            let key = [&table.schema, &table.name, &column.name].map(String::clone);
            of_columns.remove(&key).unwrap_or_default()
        };
        let columns = table.columns.iter().map(of).collect();
        let key = [table.schema.clone(), table.name.clone()];
        Declared {
            comment: of_tables.remove(&key).flatten(),
            statement: None,
            columns,
            table,
        }
    };
    tables.into_iter().map(declared).collect()
}

fn text(cell: Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text),
        _ => None,
    }
}
