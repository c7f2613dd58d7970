//! Why a query gave no rows.

use serde::{Deserialize, Serialize};

/// Why a query gave no rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SqlError {
    /// It outlived its deadline, in milliseconds of processor time.
    #[error("timed out after {0} ms")]
    Timeout(u64),
    /// It wanted something other than reading, or was not one statement.
    #[error("refused: {0}")]
    Refused(String),
    /// It was too large, too deep, or returned too much.
    #[error("resource limit: {0}")]
    ResourceLimit(String),
    /// SQLite's own message.
    #[error("{0}")]
    Sql(String),
    /// The database could not be opened: nothing that the query did.
    #[error("database: {0}")]
    Database(String),
    /// A gold result cannot be used, in a file or from another database of a row's test suite, as the text says.
    #[error("{0}")]
    Gold(String),
}

impl SqlError {
    /// Memory ended.
    pub fn out_of_memory() -> Self {
        Self::ResourceLimit("out of memory".to_owned())
    }

    /// The same; what it says of a database is put otherwise.
    pub fn of_database(self, otherwise: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Database(what) => Self::Database(otherwise(&what)),
            error => error,
        }
    }
}
