//! `factory adapter`: what can be made of adapters.

mod parity;

use super::device::DeviceArg;
use super::loras::Loras;
use super::{UsageError, say};
use crate::adapters::{compose, peft};
use crate::model::load::Base;
use crate::run::folder::RunFolder;
use anyhow::{Context, Result};
use candle_core::DType;
use std::path::PathBuf;

/// Make adapters of adapters.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write one adapter that is the weighted sum of several, where that is exact (LoRA).
    Compose {
        #[command(flatten)]
        loras: Loras,
        /// Base model that the result is checked on [default: the adapters'].
        #[arg(long)]
        base: Option<String>,
        /// Rows whose prompts the result is checked with (JSONL) [default: a few texts of its own].
        #[arg(long, value_name = "FILE")]
        data: Option<PathBuf>,
        /// Folder the adapter is written to.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Where to compute the check.
        #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
        device: DeviceArg,
    },
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    let Command::Compose {
        loras,
        base,
        data,
        out,
        device,
    } = args.command;
    if loras.is_empty() {
        return Err(
            UsageError("give adapters: --lora A --lora-weight 0.75 --lora B".into()).into(),
        );
    }
    let texts = parity::texts(data.as_deref())?;
    let folder = RunFolder::create(&out)?;
    let base = match base {
        Some(base) => base,
        None => loras.base()?,
    };
    let base = Base::load(&base, DType::F32, &device.open()?)?;
    let (bank, mixture) = loras.load(&base.decoder)?;
    let composed = compose::compose(&bank, &mixture, &base.decoder)?;
    let sum = |rows| bank.rows(vec![(rows, &mixture)]);
    let difference = parity::difference(&base, &texts, sum, |_| &composed)?;
    difference
        .refuse_above(1e-4)
        .context("the composed adapter is not the sum of its parts")?;
    for (name, content) in peft::files(&composed)? {
        folder.write(name, &content)?;
    }
    folder.finish()?;
    say(format_args!(
        "largest difference to the sum of its parts: {difference}"
    ))?;
    say(format_args!(
        "adapter: {} (rank {})",
        out.display(),
        composed.config.rank
    ))
}
