//! A run's settings as `--config` reads them, written into its folder: what was given, what was opened, and the defaults.

use super::config::{Config, PreferenceConfig, PreferenceLoss, SftConfig};
use crate::adapters::config::AdapterConfig;
use crate::data::template::Template;
use crate::model::decoder::Decoder;
use crate::model::place;
use crate::training::config::TrainConfig;
use crate::training::objective::kto::{self, KTO};
use crate::training::objective::preference;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

#[derive(Serialize)]
struct Settings<'a> {
    data: &'a Path,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    field: Vec<String>,
    checkpoint_every: Option<u64>,
    tensorboard: bool,
    no_ngrams: bool,
    eval_data: Option<&'a Path>,
    eval_db: Option<&'a Path>,
    extract: Option<Value>,
    follow_links: bool,
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
    adapter: Option<AdapterSettings>,
    #[serde(flatten)]
    preferences: Option<PreferenceSettings<'a>>,
}

#[derive(Serialize)]
struct PreferenceSettings<'a> {
    #[serde(flatten)]
    loss: LossSettings<'a>,
    format_pairs: bool,
    no_guards: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LossSettings<'a> {
    Pairs(&'a preference::Settings),
    Kto {
        loss: &'static str,
        #[serde(flatten)]
        settings: &'a kto::Settings,
    },
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

/// Of the run of `adapter` on rows shown by `template`, which are pairs where there are `preferences`.
pub fn of(
    sft: &SftConfig,
    preferences: Option<&PreferenceConfig>,
    run: &Config,
    template: Template,
    adapter: &AdapterConfig,
    decoder: &Decoder,
) -> Result<String> {
    let selection = run.selection.as_ref();
    let settings = Settings {
        data: &sft.data,
        field: sft.columns.texts(),
        checkpoint_every: run.checkpoint_every,
        tensorboard: run.tensorboard,
        no_ngrams: !run.ngrams,
        eval_data: selection.map(|s| s.data.as_path()),
        eval_db: selection.map(|s| s.db.as_path()),
        extract: selection.map(|s| json!(s.rules.extract)),
        follow_links: selection.is_some_and(|s| s.rules.follow_links),
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
        preferences: preferences.map(|config| PreferenceSettings {
            loss: match &config.loss {
                PreferenceLoss::Pairs(settings) => LossSettings::Pairs(settings),
                PreferenceLoss::Kto(settings) => LossSettings::Kto {
                    loss: KTO,
                    settings,
                },
            },
            format_pairs: config.format_pairs,
            no_guards: !run.guards,
        }),
    };
    toml::to_string(&settings).context("writing the resolved config")
}
