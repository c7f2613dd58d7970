//! What a query gives, and how much of it is taken.

use super::cell::Cell;
use serde::{Deserialize, Serialize};

/// A column of a result or of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// Its type as the engine writes it, such as `DECIMAL(10,2)`.
    pub declared: String,
}

/// How much of a result is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    pub rows: usize,
    /// Of memory, as [`Cell::bytes`] counts it, each row's own place included.
    pub bytes: usize,
}

/// A result, or its beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub columns: Vec<Column>,
    /// Each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
    /// Set if there was more than `rows`.
    pub cut: Option<Cut>,
}

/// Which bound the next row would have broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    Rows,
    Bytes,
}
