//! Rows to answers: which base, which adapters with which weights, which of them a row gets. Answers are kept as they come, so
//! that an interrupted run can go on.

pub mod choice;
pub mod config;
pub mod constraint;
pub mod fields;
pub mod file;
pub mod identity;
pub mod loaded;
pub mod loras;
pub mod metrics;
pub mod policy;
pub mod repair;
pub mod routing;
pub mod rows;
pub mod stream;
pub mod sweep;
pub mod talk;
pub mod trained;
pub mod trial;
