//! A training run from its first step, or its next, to its folder: states to go on from, metrics, the adapter that answers best,
//! and how it ends when it cannot go on.

pub mod compared;
pub mod config;
mod course;
pub mod estimate;
mod files;
pub mod guard;
pub mod lengths;
mod metrics;
pub mod preferences;
pub mod recompute;
mod reference;
pub mod run;
pub mod selection;
pub mod settings;
pub mod sft;
mod state;
