//! Values for people: as text in a table or a CSV file, as plain JSON.

use super::answer::{Answer, Column};
use super::cell::Cell;
use crate::run::words::hex;
use serde_json::{Map, Value, json};

impl Cell {
    /// The value as a text; `None` is NULL. Lists and structs are their JSON, a blob is SQL's literal of it.
    pub fn text(&self) -> Option<String> {
        match self {
            Cell::Null => None,
            Cell::Text(text) | Cell::Decimal(text) | Cell::Moment { text, .. } => {
                Some(text.clone())
            }
            Cell::Boolean(boolean) => Some(boolean.to_string()),
            Cell::Integer(integer) => Some(integer.to_string()),
            Cell::Real(real) => Some(real.to_string()),
            Cell::Blob(bytes) => Some(literal(bytes)),
            Cell::List(_) | Cell::Struct(_) => Some(self.plain().to_string()),
        }
    }

    /// The value as JSON that says no more than itself: what JSON has no number for is a text, fields of one name in a struct are the last.
    pub fn plain(&self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Boolean(boolean) => json!(boolean),
            Cell::Integer(integer) => json!(integer),
            Cell::Real(real) if real.is_finite() => json!(real),
            Cell::Real(real) => json!(real.to_string()),
            Cell::Decimal(text) | Cell::Text(text) | Cell::Moment { text, .. } => json!(text),
            Cell::Blob(bytes) => json!(literal(bytes)),
            Cell::List(cells) => cells.iter().map(Cell::plain).collect(),
            Cell::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, cell)| (name.clone(), cell.plain()));
                Value::Object(fields.collect())
            }
        }
    }
}

/// SQL's literal of a blob.
pub fn literal(bytes: &[u8]) -> String {
    format!("x'{}'", hex(bytes))
}

impl Answer {
    /// Each row by the names of its columns. Errors with a name that two columns have.
    pub fn named(&self) -> Result<Vec<Map<String, Value>>, String> {
        for (at, column) in self.columns.iter().enumerate() {
            let twice = |other: &Column| other.name == column.name;
            if self.columns[..at].iter().any(twice) {
                return Err(column.name.clone());
            }
        }
        let named = |row: &Vec<Cell>| {
            let cells = self.columns.iter().zip(row);
            cells
                .map(|(column, cell)| (column.name.clone(), cell.plain()))
                .collect()
        };
        Ok(self.rows.iter().map(named).collect())
    }
}
