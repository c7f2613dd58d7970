//! The flags of `factory sft` and the configs they stand for.

use crate::cli::new_adapter::AdapterArgs;
use crate::cli::training::{self, TrainingArgs};
use crate::cli::{UsageError, heading};
use crate::eval::session::Rules;
use crate::session::config::{Config, SftConfig};
use crate::sql::extract::Extraction;
use crate::training::config::TrainConfig;
use anyhow::Result;
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
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
    /// Rows whose loss is measured during training (JSONL).
    #[arg(help_heading = heading::EVALUATION, long)]
    val_data: Option<PathBuf>,
    /// Steps between measurements of the validation loss [default: a tenth of the run].
    #[arg(help_heading = heading::EVALUATION, long, requires = "val_data")]
    val_every: Option<usize>,
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

impl Args {
    /// What is trained.
    pub fn config(&self) -> Result<SftConfig> {
        let training = &self.training;
        let train = TrainConfig {
            val_every: self.val_every,
            ..training.config()?
        };
        train.check().map_err(UsageError::of)?;
        Ok(SftConfig {
            data: self.data()?.to_owned(),
            val_data: self.val_data.clone(),
            columns: training.fields.columns()?,
            base: self.base.clone(),
            template: training.template,
            init: self.adapter.init.clone(),
            adapter: self.adapter.config()?,
            train,
        })
    }

    /// How the run on `data` is kept and measured.
    pub fn run(&self, data: &Path) -> Result<Config> {
        let (out, resume) = (self.out.as_ref(), self.resume.as_ref());
        let out = training::out("sft", data, out, resume);
        let rules = Rules {
            extract: self.extract.unwrap_or_default(),
            follow_links: self.follow_links,
        };
        self.training.run(out, self.resume.is_some(), rules)
    }

    /// The training file, named by flag or by config.
    fn data(&self) -> Result<&Path> {
        let missing = "the training rows are not named: give --data, or data in --config";
        training::named(self.data.as_ref(), self.resume.as_ref(), missing)
    }
}
