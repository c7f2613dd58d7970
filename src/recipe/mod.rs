//! Recipes: stages, each a command of this program in a process of its own, cached by what it depends on; and what becomes of
//! them: run folders with evidence, gates, a decision and a lifecycle.

mod arguments;
pub mod assemble;
pub mod commands;
pub mod compare;
pub mod dataset;
pub mod decision;
pub mod document;
pub mod done;
pub mod estimate;
mod evaluation;
pub mod evidence;
pub mod execute;
pub mod file;
mod hashes;
mod key;
pub mod leaks;
mod lineage;
pub mod listing;
pub mod lock;
pub mod matrix;
pub mod next;
mod order;
pub mod overlap;
pub mod plan;
pub mod process;
mod provenance;
pub mod publish;
pub mod records;
pub mod rescore;
pub mod rows;
pub mod rungs;
mod set;
pub mod state;
pub mod status;
pub mod validate;
mod vars;
