//! What every set of tools does.

use crate::learning::episodes::call::{Call, Outcome};
use anyhow::Result;
use serde_json::Value;

/// What answers calls.
pub trait Tools {
    /// What may be called, as functions, beside the one that answers.
    fn offered(&self) -> &[Value];

    /// What each of `calls` gives, which say their database, in their order. Errors where a database or a server is gone: that is nothing that a
    /// model did.
    fn answers(&self, calls: &[(&str, &Call)]) -> Result<Vec<Said>>;
}

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    pub outcome: Outcome,
}

impl Said {
    /// Of a tool that did what it was asked.
    pub fn fine(text: String) -> Self {
        Self {
            text,
            outcome: Outcome::Ok,
        }
    }

    /// Of one that says why not.
    pub fn failed(text: String) -> Self {
        Self {
            outcome: Outcome::of_error(&text),
            text,
        }
    }
}
