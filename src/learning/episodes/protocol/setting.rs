//! What the ways to write episodes have in common.

use crate::db::notes::Dialect;
use serde_json::Value;

/// What an episode's first turn says of it.
pub struct Setting<'a> {
    pub dialect: Dialect,
    /// Turns that the model has.
    pub turns: usize,
    /// What it is given to know.
    pub knowledge: Option<&'a str>,
    /// The tools as functions, the one that answers among them.
    pub tools: &'a [Value],
}

/// Why a turn has no call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoCall(pub String);
