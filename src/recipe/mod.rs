//! Recipes: stages, each a command of this program in a process of its own, cached by what it depends on; and what becomes of
//! them.

mod arguments;
pub mod commands;
pub mod document;
pub mod done;
mod draft;
pub mod estimate;
pub mod execute;
pub mod file;
mod hashes;
mod key;
pub mod matrix;
pub mod next;
mod order;
pub mod plan;
pub mod planned;
pub mod process;
pub mod rungs;
mod set;
pub mod state;
mod vars;
