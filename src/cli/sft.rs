//! `factory sft`: rows to an adapter.

use super::device::DeviceArg;
use super::progress::Progress;
use super::{UsageError, note, say};
use crate::adapters::config::AdapterConfig;
use crate::adapters::lora::Adapter;
use crate::adapters::peft;
use crate::data::record;
use crate::model::linear::Projection;
use crate::model::load::Base;
use crate::run::folder::{RunFolder, default_path};
use crate::training::config::{OnLong, Schedule, TrainConfig};
use crate::training::{sft, trainer};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::path::PathBuf;

/// The base model when none is named.
pub const DEFAULT_BASE: &str = "Qwen/Qwen3-0.6B";

/// Flags of `factory sft`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Training rows (JSONL): {instruction, response} or {prompt, completion}.
    #[arg(long)]
    data: PathBuf,
    /// Base model: a folder of safetensors, a .gguf file, or a hub id.
    #[arg(long, default_value = DEFAULT_BASE)]
    base: String,
    /// Folder the adapter is written to [default: runs/<date>-sft-<data name>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Adapter folder to go on from instead of a fresh adapter; its rank, alpha and modules stay.
    #[arg(long, conflicts_with_all = ["rank", "alpha", "dora", "target_modules"])]
    init: Option<PathBuf>,
    /// Rank of the adapter.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=4096))]
    rank: u64,
    /// The adapter's output is scaled by alpha/rank [default: 2 × rank].
    #[arg(long)]
    alpha: Option<f64>,
    /// Weight-decomposed adaptation (DoRA): learn each output's magnitude apart.
    #[arg(long)]
    dora: bool,
    /// Projections to adapt, by comma: q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj [default: all].
    #[arg(long, value_delimiter = ',', value_parser = projection)]
    target_modules: Vec<Projection>,
    /// Optimizer steps.
    #[arg(long, conflicts_with = "epochs")]
    steps: Option<usize>,
    /// Passes over the data.
    #[arg(long, default_value_t = TrainConfig::default().epochs)]
    epochs: f64,
    /// Rows a forward pass.
    #[arg(long, default_value_t = TrainConfig::default().batch)]
    batch: usize,
    /// Forward passes an optimizer step.
    #[arg(long, default_value_t = TrainConfig::default().grad_accum)]
    grad_accum: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = TrainConfig::default().lr)]
    lr: f64,
    /// How the learning rate falls after warm-up.
    #[arg(long, value_enum, default_value_t = TrainConfig::default().schedule)]
    schedule: Schedule,
    /// Share of the steps over which the learning rate rises.
    #[arg(long, default_value_t = TrainConfig::default().warmup)]
    warmup: f64,
    /// AdamW's weight decay.
    #[arg(long, default_value_t = TrainConfig::default().weight_decay)]
    weight_decay: f64,
    /// Largest gradient norm; 0 switches clipping off.
    #[arg(long, default_value_t = TrainConfig::default().clip)]
    clip: f64,
    /// Longest row in tokens.
    #[arg(long, default_value_t = TrainConfig::default().max_seq)]
    max_seq: usize,
    /// What to do with a longer row; an answer is never cut.
    #[arg(long, value_enum, default_value_t = TrainConfig::default().on_long)]
    on_long: OnLong,
    /// Take rows in the file's order, epoch after epoch, instead of shuffling them.
    #[arg(long)]
    no_shuffle: bool,
    /// Seed of the adapter's start and the order of rows.
    #[arg(long, default_value_t = TrainConfig::default().seed)]
    seed: u64,
    /// Where to run.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,
}

fn projection(name: &str) -> Result<Projection, String> {
    Projection::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Projection::ALL.iter().map(|p| p.name()).collect();
        format!("known modules: {}", known.join(", "))
    })
}

/// The run's settings, written into its folder.
#[derive(Serialize)]
struct Resolved<'a> {
    data: &'a PathBuf,
    base: &'a str,
    init: Option<&'a PathBuf>,
    rank: usize,
    alpha: f64,
    dora: bool,
    target_modules: Vec<&'static str>,
    rows: usize,
    #[serde(flatten)]
    train: &'a TrainConfig,
}

impl Args {
    fn train_config(&self) -> Result<TrainConfig> {
        let config = TrainConfig {
            epochs: self.epochs,
            steps: self.steps,
            batch: self.batch,
            grad_accum: self.grad_accum,
            lr: self.lr,
            schedule: self.schedule,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: self.clip,
            max_seq: self.max_seq,
            on_long: self.on_long,
            shuffle: !self.no_shuffle,
            seed: self.seed,
        };
        config.check().map_err(UsageError::of)?;
        Ok(config)
    }

    fn adapter_config(&self) -> Result<AdapterConfig> {
        let alpha = self.alpha.unwrap_or(2.0 * self.rank as f64);
        if !alpha.is_finite() {
            return Err(UsageError("--alpha must be a finite number".into()).into());
        }
        let mut targets = self.target_modules.clone();
        targets.sort();
        targets.dedup();
        if targets.is_empty() {
            targets = Projection::ALL.to_vec();
        }
        Ok(AdapterConfig {
            rank: self.rank as usize,
            alpha,
            dora: self.dora,
            rslora: false,
            targets,
            complete: true,
            base: Some(self.base.clone()),
        })
    }
}

/// Trains an adapter and writes its folder.
pub fn run(args: Args) -> Result<()> {
    let (train, fresh) = (args.train_config()?, args.adapter_config()?);
    let records = record::read(&args.data)?;
    let out = args.out.clone().unwrap_or_else(|| {
        let name = args.data.file_stem().unwrap_or_default().to_string_lossy();
        default_path("sft", &name)
    });
    let mut folder = RunFolder::create(&out)?;
    let device = args.device.open()?;
    let base = Base::load(&args.base, &device)?;
    let (examples, skipped) = sft::encode(&records, &base.tokenizer, &train)?;
    if skipped > 0 {
        note(format_args!(
            "left out {skipped} of {} rows longer than --max-seq {}",
            records.len(),
            train.max_seq
        ));
    }
    let longest = examples.iter().map(|e| e.len()).max().unwrap_or(0);
    let most = base.decoder.config.max_position_embeddings;
    ensure!(
        longest <= most,
        "a row has {longest} tokens, more than the base's {most} positions; lower --max-seq"
    );
    let mut adapter = match &args.init {
        Some(folder) => peft::load(folder, &base.decoder)?,
        None => Adapter::init(fresh, &base.decoder, train.seed)?,
    };
    adapter.config.base = Some(args.base.clone());
    let resolved = Resolved {
        data: &args.data,
        base: &args.base,
        init: args.init.as_ref(),
        rank: adapter.config.rank,
        alpha: adapter.config.alpha,
        dora: adapter.config.dora,
        target_modules: adapter.config.targets.iter().map(|t| t.name()).collect(),
        rows: examples.len(),
        train: &train,
    };
    let toml = toml::to_string(&resolved).context("writing the resolved config")?;
    folder.write("config.toml", toml.as_bytes())?;
    let total = train.total_steps(examples.len());
    let tokens: usize = examples.iter().map(|e| e.len()).sum();
    note(format_args!(
        "{} rows, {tokens} tokens, {total} steps",
        examples.len()
    ));
    let progress = Progress::new(total, "steps");
    trainer::train(&base.decoder, &mut adapter, &examples, &train, |m| {
        progress.update(
            m.step,
            format!("loss {:.4}  {:.0} tokens/s", m.loss, m.tokens_per_s),
        );
        folder.metric(m)
    })?;
    progress.finish();
    for (name, content) in peft::files(&adapter)? {
        folder.write(name, &content)?;
    }
    folder.finish()?;
    say(format_args!("adapter: {}", out.display()))
}
