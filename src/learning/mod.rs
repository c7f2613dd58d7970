//! Learning from what a model draws: samples of rows, and the verdict on each.

pub mod draw;
pub mod episodes;
pub mod grpo;
pub mod on_policy;
pub mod rewards;
pub mod rows;
pub mod verdicts;
