//! Databases people have, each behind the same confined door: values, bounds and errors of every engine, one folder an engine.

pub mod answer;
pub mod cell;
pub mod duckdb;
pub mod error;
pub mod schema;
