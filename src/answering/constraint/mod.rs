//! Answers that are held to rules: one SELECT of SQLite, with the names of the row's schema.

pub mod guidance;

/// The grammar of SQLite's SELECT.
pub const SQLITE: &str = include_str!("sqlite.lark");
