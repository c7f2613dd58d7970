//! Rows to answers, kept as they come, so that an interrupted run can go on.

pub mod identity;
pub mod rows;
