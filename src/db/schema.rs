//! What a database holds, whatever its engine.

use super::answer::Column;
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
