//! A run's settings as `--config` reads them, written into its folder: what was given, what was opened, and the defaults.

use super::config::{Config, SftConfig};
use crate::adapters::config::AdapterConfig;
use crate::data::template::Template;
use crate::model::decoder::Decoder;
use crate::model::place;
use crate::training::config::TrainConfig;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

#[derive(Serialize)]
struct Settings<'a, M: Serialize> {
    data: &'a Path,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    field: Vec<String>,
    checkpoint_every: Option<u64>,
    tensorboard: bool,
    csv: bool,
    no_ngrams: bool,
    eval_data: Option<&'a Path>,
    eval_db: Option<&'a Path>,
    extract: Option<Value>,
    follow_links: Option<bool>,
    eval_every: Option<u64>,
    patience: Option<u64>,
    val_data: Option<&'a Path>,
    base: Option<&'a str>,
    template: Template,
    init: Option<&'a Path>,
    device: &'static str,
    dtype: &'static str,
    base_weights: &'static str,
    #[serde(flatten)]
    train: &'a TrainConfig,
    #[serde(flatten)]
    more: &'a M,
    #[serde(flatten)]
    adapter: Option<AdapterSettings>,
}

#[derive(Serialize)]
struct AdapterSettings {
    rank: usize,
    alpha: f64,
    dora: bool,
    rslora: bool,
    dropout: f64,
    target_modules: Vec<&'static str>,
    rank_pattern: Value,
    alpha_pattern: Value,
}

/// Of the run of `adapter` on rows shown by `template`, with what its objective has beside that.
pub fn of(
    sft: &SftConfig,
    run: &Config,
    template: Template,
    adapter: &AdapterConfig,
    decoder: &Decoder,
    more: &impl Serialize,
) -> Result<String> {
    let selection = run.selection.as_ref();
    let settings = Settings {
        data: &sft.data,
        field: sft.columns.texts(),
        checkpoint_every: run.checkpoint_every,
        tensorboard: run.tensorboard,
        csv: run.csv,
        no_ngrams: !run.ngrams,
        eval_data: selection.map(|s| s.data.as_path()),
        eval_db: selection.map(|s| s.db.as_path()),
        extract: selection.map(|s| json!(s.rules.extract)),
        follow_links: selection.map(|s| s.rules.follow_links),
        eval_every: selection.map(|s| s.every),
        patience: selection.and_then(|s| s.patience),
        val_data: sft.val_data.as_deref(),
        base: adapter.base.as_deref(),
        template,
        init: sft.init.as_deref(),
        device: place::name(&decoder.device),
        dtype: decoder.dtype.as_str(),
        base_weights: decoder.held.name(),
        train: &sft.train,
        // What is gone on from holds these settings.
        adapter: sft.init.is_none().then(|| AdapterSettings {
            rank: adapter.rank,
            alpha: adapter.alpha,
            dora: adapter.dora,
            rslora: adapter.rslora,
            dropout: adapter.dropout,
            target_modules: adapter.targets.iter().map(|t| t.name()).collect(),
            rank_pattern: adapter.rank_pattern.to_json(),
            alpha_pattern: adapter.alpha_pattern.to_json(),
        }),
        more,
    };
    toml::to_string(&settings).context("writing the resolved config")
}
