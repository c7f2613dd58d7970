//! The flags of `factory sft` and the configs they stand for.

use crate::adapters::config::{AdapterConfig, MAX_ALPHA, MAX_RANK};
use crate::adapters::pattern::Patterns;
use crate::cli::training::TrainingArgs;
use crate::cli::{UsageError, heading};
use crate::eval::session::Rules;
use crate::model::linear::Projection;
use crate::model::place::Place;
use crate::run::folder::default_path;
use crate::run::training_run::TrainingRun;
use crate::session::config::{Config, SftConfig};
use crate::sql::extract::Extraction;
use anyhow::{Result, bail};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Flags of `factory sft`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Training rows (JSONL): instruction or prompt with response, output or completion; messages, conversations, or text.
    #[arg(long, required_unless_present_any = ["config", "resume"])]
    data: Option<PathBuf>,
    /// Base model: a folder of safetensors, a .gguf file, or a hub id [default: that of --init, else Qwen/Qwen3-0.6B].
    #[arg(long)]
    base: Option<String>,
    /// Folder the adapter is written to [default: runs/<date>-sft-<data name>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Rank of the adapter.
    #[arg(long, default_value_t = AdapterConfig::default().rank as u64, value_parser = clap::value_parser!(u64).range(1..=MAX_RANK))]
    rank: u64,
    /// The adapter's output is scaled by alpha/rank [default: 2 × rank].
    #[arg(long)]
    alpha: Option<f64>,
    /// Weight-decomposed adaptation (DoRA): learn each output's magnitude apart.
    #[arg(long)]
    dora: bool,
    /// Adapter folder to go on from instead of a fresh adapter; its settings stay.
    #[arg(help_heading = heading::ADAPTER, long, conflicts_with_all = ["rank", "alpha", "dora", "rslora", "dropout", "target_modules", "rank_pattern", "alpha_pattern"])]
    init: Option<PathBuf>,
    /// Scale by alpha/√rank (rsLoRA).
    #[arg(help_heading = heading::ADAPTER, long)]
    rslora: bool,
    /// Share of a module's inputs that the adapter does not see in training.
    #[arg(help_heading = heading::ADAPTER, long, default_value_t = AdapterConfig::default().dropout)]
    dropout: f64,
    /// Projections to adapt, by comma: q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj [default: all].
    #[arg(help_heading = heading::ADAPTER, long, value_delimiter = ',', value_parser = projection)]
    target_modules: Vec<Projection>,
    /// Another rank for some modules: MODULE=RANK, as q_proj=4 or layers.3.mlp.up_proj=16 (repeatable; the first match counts).
    #[arg(help_heading = heading::ADAPTER, long, value_name = "MODULE=RANK")]
    rank_pattern: Vec<String>,
    /// Another alpha for some modules: MODULE=ALPHA (repeatable).
    #[arg(help_heading = heading::ADAPTER, long, value_name = "MODULE=ALPHA")]
    alpha_pattern: Vec<String>,
    #[command(flatten)]
    training: TrainingArgs,
    /// How the query is found in an answer to --eval-data [default: statement].
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data", value_enum)]
    extract: Option<Extraction>,
    /// Let links in --eval-db lead out of it.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data")]
    follow_links: bool,
    /// Settings (TOML) by the names of these flags; a value given here wins over the file's, and a switch
    /// that the file turns on stays on.
    #[arg(help_heading = heading::OUTPUT, long)]
    config: Option<PathBuf>,
    /// Go on with the interrupted run that was to become this folder, with its settings, as if it had never stopped.
    #[arg(help_heading = heading::OUTPUT, long, value_name = "OUT", conflicts_with_all = ["config", "out", "inspect_batch"])]
    resume: Option<PathBuf>,
    /// Print how much memory and time the run will need, and stop; a few of its steps are run for that.
    #[arg(help_heading = heading::OUTPUT, long, conflicts_with_all = ["resume", "inspect_batch"])]
    pub dry_run: bool,
    /// Print the first N batches as the trainer sees them, and stop.
    #[arg(help_heading = heading::OUTPUT, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub inspect_batch: Option<u64>,
}

fn projection(name: &str) -> Result<Projection, String> {
    Projection::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Projection::ALL.iter().map(|p| p.name()).collect();
        format!("known modules: {}", known.join(", "))
    })
}

impl Args {
    /// What is trained.
    pub fn config(&self) -> Result<SftConfig> {
        let training = &self.training;
        let (train, adapter) = (training.config()?, self.adapter_config()?);
        Ok(SftConfig {
            data: self.data()?.to_owned(),
            val_data: training.val_data.clone(),
            columns: training.fields.columns()?,
            base: self.base.clone(),
            template: training.template,
            init: self.init.clone(),
            adapter,
            train,
        })
    }

    /// How the run on `data` is kept and measured.
    pub fn run(&self, data: &Path) -> Result<Config> {
        let out = self.resume.as_ref().or(self.out.as_ref());
        let out = out.cloned().unwrap_or_else(|| {
            let stem = data.file_stem().unwrap_or_default().to_string_lossy();
            default_path("sft", &stem)
        });
        let rules = Rules {
            extract: self.extract.unwrap_or_default(),
            follow_links: self.follow_links,
        };
        self.training.run(out, self.resume.is_some(), rules)
    }

    /// Where to run.
    pub fn place(&self) -> Result<Place> {
        self.training.place()
    }

    /// The training file, named by flag or by config.
    fn data(&self) -> Result<&Path> {
        if let Some(data) = &self.data {
            return Ok(data);
        }
        if let Some(out) = &self.resume {
            // Where there is no such run, that is what is wrong.
            TrainingRun::resume(out)?;
        }
        usage("the training rows are not named: give --data, or data in --config")
    }

    fn adapter_config(&self) -> Result<AdapterConfig> {
        let rank = self.rank as usize;
        let alpha = self.alpha.unwrap_or(AdapterConfig::default_alpha(rank));
        if alpha.is_nan() || alpha.abs() > MAX_ALPHA {
            return usage(&format!("--alpha must be a number of at most {MAX_ALPHA}"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return usage("--dropout must be 0 to below 1");
        }
        let mut targets = self.target_modules.clone();
        targets.sort();
        targets.dedup();
        if targets.is_empty() {
            targets = Projection::ALL.to_vec();
        }
        let rank_of = |text: &str| {
            text.parse()
                .ok()
                .filter(|r| (1..=MAX_RANK as usize).contains(r))
        };
        let alpha_of = |text: &str| text.parse().ok().filter(|a: &f64| a.abs() <= MAX_ALPHA);
        Ok(AdapterConfig {
            dora: self.dora,
            rslora: self.rslora,
            dropout: self.dropout,
            rank_pattern: patterns("--rank-pattern", &self.rank_pattern, rank_of)?,
            alpha_pattern: patterns("--alpha-pattern", &self.alpha_pattern, alpha_of)?,
            targets,
            ..AdapterConfig::new(rank, alpha)
        })
    }
}

/// Reads MODULE=VALUE flags.
fn patterns<T: Copy + Serialize>(
    flag: &str,
    texts: &[String],
    value: impl Fn(&str) -> Option<T>,
) -> Result<Patterns<T>> {
    let mut entries = Vec::new();
    for text in texts {
        let entry = text.rsplit_once('=');
        let Some((module, Some(value))) = entry.map(|(m, v)| (m, value(v))) else {
            return usage(&format!("{flag} {text:?} is not MODULE=VALUE"));
        };
        entries.push((module.to_string(), value));
    }
    Ok(Patterns::new(entries).map_err(|e| UsageError(format!("{flag}: {e}")))?)
}

fn usage<T>(message: &str) -> Result<T> {
    bail!(UsageError(message.to_string()))
}
