//! Ends of a command that have an exit code of their own: a mistake in how it was called, and a gate that fails.

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

/// The command did its work, and what it measured is not enough: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GateFailed(pub String);
