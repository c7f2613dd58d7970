//! What a check is told.

use super::allowed::Allowed;
use crate::data::record::Columns;
use crate::data::template::Template;
use crate::eval::databases::Databases;
use std::path::PathBuf;

/// How alike two texts are that are near each other: the share of their three-letter pieces that both have.
pub const NEAR: f64 = 0.8;

/// What is checked.
pub struct Config {
    /// Rows to learn.
    pub data: Vec<PathBuf>,
    /// Rows to measure on.
    pub heldout: Vec<PathBuf>,
    /// How the columns of all of them are called.
    pub columns: Columns,
    /// From which likeness on two texts are near each other.
    pub near: f64,
    pub tokens: Option<Tokens>,
    /// Where the queries that rows have as answers are run.
    pub databases: Option<Databases>,
    pub allowed: Allowed,
}

/// With what rows are made tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub base: String,
    pub template: Template,
    pub max_seq: usize,
}
