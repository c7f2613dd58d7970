//! Learning from what a model draws: samples of rows, the verdict on each, what they could teach at most, and rounds that learn from those
//! that are right.

pub mod advice;
pub mod draw;
pub mod earned;
pub mod episodes;
pub mod grpo;
pub mod headroom;
mod kept;
pub mod on_policy;
pub mod rewards;
pub mod rft;
pub mod rollouts;
pub mod rows;
pub mod standing;
pub mod verdicts;
