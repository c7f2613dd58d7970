//! Files and run folders, which nothing else writes; and what work says to people.

pub mod files;
pub mod folder;
pub mod journal;
pub mod nearest;
pub mod observer;
pub mod settings;
mod tensorboard;
pub mod training_run;
pub mod usage;
pub mod words;
