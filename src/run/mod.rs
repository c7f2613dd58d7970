//! Files and run folders; nothing else writes them.

pub mod files;
pub mod folder;
pub mod journal;
mod tensorboard;
pub mod training_run;
