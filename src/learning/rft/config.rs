//! What a run is told.

use super::keep::Keep;
use crate::data::record::Columns;
use crate::db::sqlite::Now;
use crate::eval::databases::Databases;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::model::place::Place;
use crate::session::config::{Config as Session, SftConfig};
use std::path::PathBuf;

/// What rounds are made of.
pub struct Config {
    /// Rows with a prompt, a reference and a database (JSONL).
    pub data: PathBuf,
    pub columns: Columns,
    /// The start adapter.
    pub init: PathBuf,
    pub rounds: usize,
    /// Whether a round trains on from the best adapter so far, and not from the start.
    pub from_last: bool,
    /// How samples are drawn, the greedy answer as the first of them.
    pub sampler: SamplerConfig,
    pub stop: StopConfig,
    /// Rows answered at once.
    pub batch: usize,
    pub keep: Keep,
    /// The part of the rows to learn that are rows of before, with their own answers.
    pub replay: f64,
    pub databases: Databases,
    /// The time of day that all queries see.
    pub now: Now,
    /// Whether rows whose reference fails are left out.
    pub keep_going: bool,
    /// How a round trains; its data and start are its own.
    pub sft: SftConfig,
    /// How a round's training is kept and measured; the folder is that of all rounds.
    pub session: Session,
    /// All of this by the names of the flags, for the folder.
    pub settings: toml::Table,
}

/// Where a base is loaded.
pub struct Places {
    /// To draw samples.
    pub draw: Place,
    /// To train, and to measure what was trained.
    pub train: Place,
}
