//! SQL as text and rows as values: find a query in an answer, compare rows, name the failure, tell its shape. Imports nothing of
//! ours, runs nothing and never sees a tensor.

pub mod bare;
pub mod compare;
pub mod constant;
pub mod determined;
pub mod error;
pub mod extract;
pub mod identifier;
pub mod normalize;
pub mod python;
pub mod shape;
pub mod spider;
pub mod tables;
pub mod taxonomy;
pub mod ties;
pub mod tokens;
pub mod value;
