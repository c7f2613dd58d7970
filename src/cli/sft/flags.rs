//! The flags of `factory sft` and the configs they stand for.

use crate::adapters::config::{AdapterConfig, MAX_ALPHA, MAX_RANK};
use crate::adapters::pattern::Patterns;
use crate::cli::device::{self, BaseWeightsArg, DTypeArg, DeviceArg, WeightsArg};
use crate::cli::fields::FieldArgs;
use crate::cli::{UsageError, heading, sql_worker};
use crate::data::template::Template;
use crate::eval::session::Rules;
use crate::model::linear::Projection;
use crate::model::place::Place;
use crate::run::folder::default_path;
use crate::run::training_run::TrainingRun;
use crate::session::config::{Config, SftConfig};
use crate::session::selection;
use crate::sql::extract::Extraction;
use crate::training::config::{Length, OnLong, Recompute, Schedule, TrainConfig};
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
    /// Passes over the data [default: 3].
    #[arg(long)]
    epochs: Option<f64>,
    /// Rows a forward pass.
    #[arg(long, default_value_t = TrainConfig::default().batch)]
    batch: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = TrainConfig::default().lr)]
    lr: f64,
    /// Longest row in tokens.
    #[arg(long, default_value_t = TrainConfig::default().max_seq)]
    max_seq: usize,
    /// How rows become text; chatml is Qwen3's own template with thinking off [default: as --init was trained here, else plain].
    #[arg(long, value_enum)]
    template: Option<Template>,
    /// Seed of the adapter's start, the order of rows and dropout.
    #[arg(long, default_value_t = TrainConfig::default().seed, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: u64,
    /// Where to run.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,
    #[command(flatten)]
    fields: FieldArgs,
    /// What to do with a longer row; an answer is never cut.
    #[arg(help_heading = heading::DATA, long, value_enum, default_value_t = TrainConfig::default().on_long)]
    on_long: OnLong,
    /// Take rows in the file's order, epoch after epoch, instead of shuffling them.
    #[arg(help_heading = heading::DATA, long)]
    no_shuffle: bool,
    /// Form batches of rows that begin alike, so that more of them share a prefix.
    #[arg(help_heading = heading::DATA, long, conflicts_with = "no_shuffle")]
    group_prefix: bool,
    /// Compute every row whole instead of computing once what rows of a batch begin with.
    #[arg(help_heading = heading::DATA, long)]
    no_share_prefix: bool,
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
    /// Optimizer steps.
    #[arg(help_heading = heading::SCHEDULE, long, conflicts_with = "epochs")]
    steps: Option<usize>,
    /// Forward passes an optimizer step.
    #[arg(help_heading = heading::SCHEDULE, long, default_value_t = TrainConfig::default().grad_accum)]
    grad_accum: usize,
    /// How the learning rate falls after warm-up.
    #[arg(help_heading = heading::SCHEDULE, long, value_enum, default_value_t = TrainConfig::default().schedule)]
    schedule: Schedule,
    /// Share of the steps over which the learning rate rises.
    #[arg(help_heading = heading::SCHEDULE, long, default_value_t = TrainConfig::default().warmup)]
    warmup: f64,
    /// AdamW's weight decay.
    #[arg(help_heading = heading::SCHEDULE, long, default_value_t = TrainConfig::default().weight_decay)]
    weight_decay: f64,
    /// Largest gradient norm; 0 switches clipping off.
    #[arg(help_heading = heading::SCHEDULE, long, default_value_t = TrainConfig::default().clip)]
    clip: f64,
    /// Share of the time to work; the device rests after each step, so that a laptop stays cool.
    #[arg(help_heading = heading::SCHEDULE, long, default_value_t = TrainConfig::default().throttle)]
    throttle: f64,
    /// Compute activations again in backward instead of keeping them: less memory, a third more products, the same adapter.
    #[arg(help_heading = heading::MEMORY, long, value_enum, default_value_t = TrainConfig::default().recompute)]
    recompute: Recompute,
    /// Type of the base's weights and activations; adapters, softmax and loss are f32.
    #[arg(help_heading = heading::MEMORY, long, value_enum, default_value_t = DTypeArg::Auto)]
    dtype: DTypeArg,
    /// How the base's weights are held: those that are no f32 are made so one matrix at a time, forward and backward.
    #[arg(help_heading = heading::MEMORY, long, value_enum, default_value_t = BaseWeightsArg::F32)]
    base_weights: BaseWeightsArg,
    #[cfg(feature = "metal")]
    #[command(flatten)]
    memory: crate::cli::device::MemoryArgs,
    /// Rows whose loss is measured during training (JSONL).
    #[arg(help_heading = heading::EVALUATION, long)]
    val_data: Option<PathBuf>,
    /// Steps between measurements of the validation loss [default: a tenth of the run].
    #[arg(help_heading = heading::EVALUATION, long, requires = "val_data")]
    val_every: Option<usize>,
    /// Rows that the adapter answers during training (JSONL with gold_sql and db); the one with the best execution accuracy is kept.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_db")]
    eval_data: Option<PathBuf>,
    /// Folder of the databases of --eval-data.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data")]
    eval_db: Option<PathBuf>,
    /// How the query is found in an answer to --eval-data [default: statement].
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data", value_enum)]
    extract: Option<Extraction>,
    /// Let links in --eval-db lead out of it.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data")]
    follow_links: bool,
    /// Steps between answering --eval-data; the last step's adapter always does.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data", default_value_t = selection::EVERY, value_parser = clap::value_parser!(u64).range(1..))]
    eval_every: u64,
    /// Stop after so many evaluations without a better one.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data", value_parser = clap::value_parser!(u64).range(1..))]
    patience: Option<u64>,
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
    /// Also save the adapter every so many steps, as checkpoint-<step> in the run's folder.
    #[arg(help_heading = heading::OUTPUT, long)]
    save_every: Option<usize>,
    /// Steps between states that --resume goes on from [default: one a minute].
    #[arg(help_heading = heading::OUTPUT, long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: Option<u64>,
    /// Also write the metrics as a TensorBoard event file into the run's folder.
    #[arg(help_heading = heading::OUTPUT, long)]
    tensorboard: bool,
    /// Leave out ngrams.safetensors, a table of what follows what in the training answers: with it answers come faster, and parts of
    /// the training answers can be read out of it.
    #[arg(help_heading = heading::OUTPUT, long)]
    no_ngrams: bool,
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
        let (train, adapter) = (self.train_config()?, self.adapter_config()?);
        Ok(SftConfig {
            data: self.data()?.to_owned(),
            val_data: self.val_data.clone(),
            columns: self.fields.columns()?,
            base: self.base.clone(),
            template: self.template,
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
        Ok(Config {
            out,
            resume: self.resume.is_some(),
            checkpoint_every: self.checkpoint_every,
            tensorboard: self.tensorboard,
            ngrams: !self.no_ngrams,
            guards: false,
            selection: self.selection()?,
        })
    }

    /// How adapters are measured on the way.
    fn selection(&self) -> Result<Option<selection::Config>> {
        let (Some(data), Some(db)) = (&self.eval_data, &self.eval_db) else {
            return Ok(None);
        };
        Ok(Some(selection::Config {
            data: data.clone(),
            db: db.clone(),
            columns: self.fields.columns()?,
            rules: Rules {
                extract: self.extract.unwrap_or_default(),
                follow_links: self.follow_links,
            },
            every: self.eval_every,
            patience: self.patience,
            worker: sql_worker::command()?,
        }))
    }

    /// Where to run.
    pub fn place(&self) -> Result<Place> {
        let place = device::place(
            self.device,
            self.dtype,
            WeightsArg::F32,
            #[cfg(feature = "metal")]
            &self.memory,
        )?;
        self.base_weights.at(place)
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

    fn train_config(&self) -> Result<TrainConfig> {
        let defaults = TrainConfig::default();
        let config = TrainConfig {
            length: match (self.steps, self.epochs) {
                (Some(steps), _) => Length::Steps(steps),
                (None, Some(epochs)) => Length::Epochs(epochs),
                (None, None) => defaults.length,
            },
            batch: self.batch,
            grad_accum: self.grad_accum,
            lr: self.lr,
            schedule: self.schedule,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: self.clip,
            max_seq: self.max_seq,
            throttle: self.throttle,
            on_long: self.on_long,
            no_shuffle: self.no_shuffle,
            group_prefix: self.group_prefix,
            no_share_prefix: self.no_share_prefix,
            recompute: self.recompute,
            val_every: self.val_every,
            save_every: self.save_every,
            seed: self.seed,
        };
        config.check().map_err(UsageError::of)?;
        Ok(config)
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
