//! Rejection-sampling fine-tuning: rounds that draw samples of rows, learn those that are right, and measure what came of it. What is done of a run
//! is written down, so that one that was stopped goes on behind it and leaves the same bytes.

mod config;
mod folder;
mod keep;
mod round;
mod run;
mod set;
mod summary;

pub use config::{Config, Places};
pub use keep::Keep;
pub use run::run;
pub use summary::{Round, Summary};
