//! `factory` fine-tunes small language models into narrow specialists on one machine and proves
//! whether each got better.
//!
//! Modules, each importing only what stands below it (tests/imports.rs holds them to it):

pub mod cli;

pub mod check;
pub mod package;
pub mod serve;

pub mod learning;
pub mod report;
pub mod session;

pub mod mcp;

pub mod ask;

pub mod answering;

pub mod recipe;

pub mod eval;
pub mod training;

pub mod generation;

pub mod adapters;
pub mod data;

pub mod db;

pub mod model;
pub mod router;
pub mod run;
pub mod sql;
