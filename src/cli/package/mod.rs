//! `factory package`: what a run ships as one folder, checked later, and uploaded.

mod check;
mod upload;

use super::device::{self, DTypeArg, DeviceArg, WeightsArg};
use super::runs::scoring;
use super::terminal::Terminal;
use super::{Cli, Command as Whole, UsageError, say, sql_worker};
use crate::answering::config::Config;
use crate::generation::sampler::SamplerConfig;
use crate::model::gguf_write::Stored;
use crate::model::load;
use crate::package::hub::Hub;
use crate::package::make::make;
use crate::package::request::{Request, Weights};
use crate::recipe::done::Done;
use crate::recipe::place;
use crate::recipe::publish::Check;
use anyhow::{Context, Result, bail};
use clap::Parser;
use std::path::PathBuf;

/// Make a folder of what a run ships: its adapter, or the merged model, with a model card, the report, how to ask it and a lock file.
///
/// The run must be one that `runs publish-check` passes, and decided to ship. Its rows are scored again.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// A run's folder or name.
    #[arg(value_name = "RUN", required = true)]
    run: Option<PathBuf>,
    /// Folder to write, which must not exist.
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// The base with the adapter in its weights, as a folder that transformers loads; the base must be one. It is compared with the
    /// adapter: logits on the run's prompts, and every gate with new answers.
    #[arg(long, conflicts_with = "gguf")]
    merged: bool,
    /// The same as one GGUF file with weights of this type, compared in the same way.
    #[arg(long, value_enum, value_name = "TYPE")]
    gguf: Option<Stored>,
    /// Write a Modelfile for Ollama.
    #[arg(long, requires = "gguf")]
    ollama: bool,
    /// Upload the package to this model repository of the hub (OWNER/NAME), made if need be; with the token in HF_TOKEN or of
    /// `hf auth login`, to HF_ENDPOINT [default: https://huggingface.co].
    #[arg(long, value_name = "REPO")]
    hub: Option<String>,
    /// The base's id on the hub, for the model card, where the run names a file.
    #[arg(long, value_name = "OWNER/NAME")]
    base_id: Option<String>,
    /// Package a run that was not decided to ship.
    #[arg(long)]
    allow_not_shipped: bool,
    /// Folder of the databases [default: the one that the rows were scored with].
    #[arg(long, value_name = "DIR")]
    db_dir: Option<PathBuf>,
    /// Folder of the runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Where to merge and to answer.
    #[arg(long, value_enum, default_value_t = DeviceArg::Cpu)]
    device: DeviceArg,
    #[cfg(feature = "metal")]
    #[command(flatten)]
    memory: device::MemoryArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(check::Args),
    Upload(upload::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Some(Command::Check(args)) => return check::run(&args),
        Some(Command::Upload(args)) => return upload::run(&args),
        None => {}
    }
    // clap requires both without a command.
    let (Some(run), Some(out)) = (&args.run, &args.out) else {
        bail!(UsageError("give RUN and --out".to_owned()));
    };
    if let Some(id) = args
        .base_id
        .as_deref()
        .filter(|id| !load::looks_like_id(id))
    {
        bail!(UsageError(format!(
            "--base-id {id} is no id of a hub: give OWNER/NAME"
        )));
    }
    let hub = args
        .hub
        .as_deref()
        .map(Hub::of)
        .transpose()
        .map_err(UsageError::of)?;
    let setup = |done: &Done, rows, now| scoring(done, rows, now, args.db_dir.as_deref());
    let place = device::place(
        args.device,
        DTypeArg::F32,
        WeightsArg::F32,
        #[cfg(feature = "metal")]
        &args.memory,
    )?;
    let request = Request {
        run: &place::find(run, &args.runs)?,
        out,
        weights: match args.gguf {
            Some(stored) => Weights::Gguf(stored),
            None if args.merged => Weights::Merged,
            None => Weights::Adapter,
        },
        ollama: args.ollama,
        not_shipped: args.allow_not_shipped,
        base_id: args.base_id.as_deref(),
        asked_by: &asked_by,
        check: &Check {
            report_only: false,
            setup: &setup,
            worker: &sql_worker::command()?,
        },
        place: &place,
    };
    let compared = make(&request, &Terminal::default())?;
    if let Some(compared) = compared {
        for line in compared.lines() {
            say(line)?;
        }
    }
    say(format_args!(
        "package: {} ({})",
        out.display(),
        request.weights
    ))?;
    match hub {
        None => Ok(()),
        Some(hub) => upload::send(&hub, out),
    }
}

/// How a stage of `generate` asked, by its command as it was typed.
fn asked_by(done: &Done) -> Result<(Config, SamplerConfig)> {
    let parsed = Cli::try_parse_from(&done.command).map_err(|error| {
        let text = error.to_string();
        UsageError(text.lines().next().unwrap_or_default().to_owned())
    });
    let parsed =
        parsed.with_context(|| format!("stage {}: its command cannot be read", done.stage))?;
    match parsed.command {
        Whole::Generate(args) => args.asked(),
        _ => bail!("stage {} is no generate", done.stage),
    }
}
