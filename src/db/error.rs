//! Why a database gave no answer, whatever its engine.

use serde::{Deserialize, Serialize};

/// Each is one line. A caller that kills a worker at its deadline says so itself: no engine here looks at a clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// The text is not one query, or wants something other than reading.
    #[error("refused: {0}")]
    Refused(String),
    /// The engine's own message about the query.
    #[error("{0}")]
    Sql(String),
    /// The query wants more memory or depth than it may have.
    #[error("resource limit: {0}")]
    Limit(String),
    /// The library, the file or the connection, not the query: what is open now is good for nothing more.
    #[error("database: {0}")]
    Database(String),
}
