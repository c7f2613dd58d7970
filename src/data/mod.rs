//! Rows: reading, checking and making them.

pub mod asking;
pub mod benchmark;
pub mod blend;
pub mod chat;
pub mod convert;
pub mod curriculum;
pub mod hints;
pub mod jsonl;
pub mod overlap;
pub mod pairs;
pub mod private;
pub mod prompt;
pub mod public;
pub mod record;
pub mod repair;
pub mod schema;
pub mod set;
pub mod shard;
pub mod synth;
pub mod template;
