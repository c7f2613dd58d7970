//! SQL text and its execution: find it in an answer, run it in a sandbox, compare rows, name the
//! failure, tell its shape. Imports nothing of ours and never sees a tensor.

pub mod bare;
pub mod compare;
pub mod database;
pub mod determined;
pub mod execute;
pub mod extract;
pub mod identifier;
pub mod normalize;
pub mod processor;
pub mod scratch;
pub mod shape;
pub mod spider;
pub mod taxonomy;
pub mod ties;
pub mod tokens;
pub mod value;
