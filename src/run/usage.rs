//! Mistakes in how the program was called.

/// A mistake in how a command was called: exit code 2, where a failure is 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl UsageError {
    /// Marks an error as one of usage.
    pub fn of(error: anyhow::Error) -> anyhow::Error {
        Self(format!("{error:#}")).into()
    }
}
