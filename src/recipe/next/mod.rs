//! What comes after a run: files made of its failures, and the recipe that would use them.

pub mod files;
pub mod of_run;
pub mod recipe;
