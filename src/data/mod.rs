//! Rows: reading, checking and making them.

pub mod jsonl;
pub mod record;
pub mod synth;
pub mod template;
