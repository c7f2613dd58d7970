//! The flags of every command that trains an adapter, and the configs they stand for.

use super::device::{self, BaseWeightsArg, DTypeArg, DeviceArg, WeightsArg};
use super::fields::FieldArgs;
use super::{UsageError, heading, sql_worker};
use crate::data::template::Template;
use crate::eval::session::Rules;
use crate::model::place::Place;
use crate::run::folder::default_path;
use crate::run::training_run::TrainingRun;
use crate::session::config::Config;
use crate::session::selection;
use crate::training::config::{Length, OnLong, Recompute, Schedule, TrainConfig};
use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The flags.
#[derive(Debug, clap::Args, Serialize)]
pub struct TrainingArgs {
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
    pub template: Option<Template>,
    /// Seed of whatever is left to chance: a fresh adapter, the order of rows, dropout, what is drawn.
    #[arg(long, default_value_t = TrainConfig::default().seed, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: u64,
    /// Where to run.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    pub device: DeviceArg,
    #[command(flatten)]
    #[serde(flatten)]
    pub fields: FieldArgs,
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
    // Bytes by now, of which the flags know nothing.
    #[serde(skip)]
    memory: device::MemoryArgs,
    /// Rows that the adapter answers during training (JSONL with gold_sql and db); the one with the best execution accuracy is kept.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_db")]
    eval_data: Option<PathBuf>,
    /// Folder of the databases of --eval-data.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data")]
    eval_db: Option<PathBuf>,
    /// Steps between answering --eval-data; the last step's adapter always does.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data", default_value_t = selection::EVERY, value_parser = clap::value_parser!(u64).range(1..))]
    eval_every: u64,
    /// Stop after so many evaluations without a better one.
    #[arg(help_heading = heading::EVALUATION, long, requires = "eval_data", value_parser = clap::value_parser!(u64).range(1..))]
    patience: Option<u64>,
    /// Also save the adapter every so many steps, as checkpoint-<step> in the run's folder.
    #[arg(help_heading = heading::OUTPUT, long)]
    save_every: Option<usize>,
    /// Steps between states that --resume goes on from [default: one a minute].
    #[arg(help_heading = heading::OUTPUT, long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: Option<u64>,
    /// Also write the metrics as a TensorBoard event file into the run's folder.
    #[arg(help_heading = heading::OUTPUT, long)]
    tensorboard: bool,
    /// Also write the metrics as metrics.csv, a line a step.
    #[arg(help_heading = heading::OUTPUT, long)]
    csv: bool,
    /// Leave out ngrams.safetensors, a table of what follows what in the training answers: with it answers come faster, and parts of
    /// the training answers can be read out of it.
    #[arg(help_heading = heading::OUTPUT, long)]
    no_ngrams: bool,
}

/// The folder that a run of `command` on `data` becomes: the interrupted one, the one that was named, else one of today.
pub fn out(command: &str, data: &Path, out: Option<&PathBuf>, resume: Option<&PathBuf>) -> PathBuf {
    resume.or(out).cloned().unwrap_or_else(|| {
        let stem = data.file_stem().unwrap_or_default().to_string_lossy();
        default_path(command, &stem)
    })
}

/// A file that a flag or the settings must name; `missing` is said where neither does. Where there is no run to go on with, that is what is wrong.
pub fn named<'a>(
    path: Option<&'a PathBuf>,
    resume: Option<&PathBuf>,
    missing: &str,
) -> Result<&'a Path> {
    if let (None, Some(out)) = (path, resume) {
        let run = TrainingRun::resume(out)?;
        bail!(
            "{} was stopped before its settings were written: begin again, with the flags and the --out that it had",
            run.path().display()
        );
    }
    let path = path.map(PathBuf::as_path);
    path.with_context(|| UsageError(missing.to_owned()))
}

impl TrainingArgs {
    /// How the run that becomes `out` is kept and measured; `rules` say how answers to --eval-data are read.
    pub fn run(&self, out: PathBuf, resume: bool, rules: Rules) -> Result<Config> {
        Ok(Config {
            out,
            resume,
            checkpoint_every: self.checkpoint_every,
            tensorboard: self.tensorboard,
            csv: self.csv,
            ngrams: !self.no_ngrams,
            guards: false,
            selection: self.selection(rules)?,
        })
    }

    /// How adapters are measured on the way.
    fn selection(&self, rules: Rules) -> Result<Option<selection::Config>> {
        let (Some(data), Some(db)) = (&self.eval_data, &self.eval_db) else {
            return Ok(None);
        };
        Ok(Some(selection::Config {
            data: data.clone(),
            db: db.clone(),
            columns: self.fields.columns()?,
            rules,
            every: self.eval_every,
            patience: self.patience,
            worker: sql_worker::command()?,
        }))
    }

    /// Whether adapters are measured on the way.
    pub fn measures(&self) -> bool {
        self.eval_data.is_some()
    }

    /// Where to train.
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

    /// Takes down where that is, once it is known.
    pub fn settle(&mut self, place: &Place) {
        self.device = match place.device {
            Device::Cpu => DeviceArg::Cpu,
            Device::Metal(_) => DeviceArg::Metal,
            Device::Cuda(_) => DeviceArg::Cuda,
        };
        self.dtype = match place.dtype {
            DType::BF16 => DTypeArg::Bf16,
            _ => DTypeArg::F32,
        };
    }

    /// How is trained.
    pub fn config(&self) -> Result<TrainConfig> {
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
            val_every: None,
            save_every: self.save_every,
            seed: self.seed,
        };
        config.check().map_err(UsageError::of)?;
        Ok(config)
    }
}
