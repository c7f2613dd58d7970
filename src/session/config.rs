//! What a run is told: what it trains, and how it is kept and measured.

use super::selection;
use crate::adapters::config::AdapterConfig;
use crate::answering::trained;
use crate::data::record::Columns;
use crate::data::template::Template;
use crate::model::load::DEFAULT_BASE;
use crate::training::config::TrainConfig;
use crate::training::objective::{kto, preference};
use anyhow::Result;
use std::path::PathBuf;

/// How a run is kept and measured, whatever it trains.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that it becomes.
    pub out: PathBuf,
    /// Whether to go on with the interrupted run that was to become it.
    pub resume: bool,
    /// Steps between states to go on from [default: one a minute].
    pub checkpoint_every: Option<u64>,
    /// Whether metrics are written as TensorBoard's events too.
    pub tensorboard: bool,
    /// Whether metrics are written as CSV too.
    pub csv: bool,
    /// Whether the adapter gets a table of its training answers' n-grams.
    pub ngrams: bool,
    /// Whether a run that spoils its adapter is ended, see [`super::guard`].
    pub guards: bool,
    /// Rows by whose answers the best adapter is kept; without them it is the last one.
    pub selection: Option<selection::Config>,
}

/// What supervised fine-tuning trains.
#[derive(Debug, Clone)]
pub struct SftConfig {
    /// Rows to learn (JSONL).
    pub data: PathBuf,
    /// Rows whose loss is measured on the way.
    pub val_data: Option<PathBuf>,
    /// Which columns of the rows are read.
    pub columns: Columns,
    /// A folder, a .gguf file or a hub id [default: what `init` was made for, else the default one].
    pub base: Option<String>,
    /// How rows become text [default: as `init` was trained, else plain].
    pub template: Option<Template>,
    /// An adapter to go on from.
    pub init: Option<PathBuf>,
    /// The adapter that is begun without one.
    pub adapter: AdapterConfig,
    pub train: TrainConfig,
}

/// What is made of answers that were judged.
#[derive(Debug, Clone)]
pub enum PreferenceLoss {
    /// A loss of two answers.
    Pairs(preference::Settings),
    /// A loss of each answer for itself.
    Kto(kto::Settings),
}

/// What learning from preference pairs trains.
#[derive(Debug, Clone)]
pub struct PreferenceConfig {
    /// The pairs (`data`, whose rows are pairs), the start, which is the reference too, and how it is trained.
    pub sft: SftConfig,
    pub loss: PreferenceLoss,
    /// Whether pairs whose answers hold the same query are learned from.
    pub format_pairs: bool,
    /// The flags that say how pairs are made, as settings have them, where they are.
    pub said: toml::Table,
}

impl SftConfig {
    /// The base: as given, else what the adapter to go on from was made for.
    pub fn base(&self) -> Result<String> {
        let made_for = match (&self.base, &self.init) {
            (Some(base), _) => Some(base.clone()),
            (None, Some(init)) => Some(trained::base_of(init)?),
            (None, None) => None,
        };
        Ok(made_for.unwrap_or_else(|| DEFAULT_BASE.to_owned()))
    }

    /// The template: as given, else that of the adapter to go on from.
    pub fn template(&self) -> Result<Template> {
        let trained = match (self.template, &self.init) {
            (Some(template), _) => Some(template),
            (None, Some(init)) => trained::template(init)?,
            (None, None) => None,
        };
        Ok(trained.unwrap_or(Template::Plain))
    }
}
