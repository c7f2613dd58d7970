//! `factory data spider` and `factory data bird`: rows and a gate from a local download of a benchmark.

use super::set;
use crate::cli::UsageError;
use crate::data::benchmark::{self, Benchmark, Request};
use crate::data::prompt::Prompt;
use anyhow::ensure;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of both.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder that the download was unpacked to.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Folder the set is written to: train.jsonl, dev.jsonl, gates.toml and manifest.json.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Most training rows; with 0 the files of the training part are not needed [default: all].
    #[arg(long, value_name = "N")]
    train: Option<usize>,
    /// Most held-out rows; with 0 the files of the held-out part are not needed [default: all].
    #[arg(long, value_name = "N")]
    dev: Option<usize>,
    /// How a question is asked, with {schema} and {question} in it; a line with {evidence} is left out where there is none.
    #[arg(long, value_name = "TEXT", default_value = Prompt::WITH_EVIDENCE, hide_default_value = true)]
    prompt: String,
    /// The execution accuracy that the gate asks for, 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 0.5)]
    min: f64,
    /// Processor time, in seconds, after which a reference query is left out.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Chooses rows where fewer than all are wanted; same seed, same bytes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Builds the set and writes it.
pub fn run(benchmark: Benchmark, args: Args) -> anyhow::Result<()> {
    let checked = || {
        ensure!((0.0..=1.0).contains(&args.min), "--min must be 0 to 1");
        ensure!(
            args.train != Some(0) || args.dev != Some(0),
            "--train 0 with --dev 0 leaves nothing"
        );
        let needed: &[&str] = match benchmark {
            Benchmark::Spider => &["schema", "question"],
            Benchmark::Bird => &["schema", "question", "evidence"],
        };
        Prompt::parse(&args.prompt, needed)
    };
    let prompt = checked().map_err(UsageError::of)?;
    set::check(&args.out)?;
    let set = benchmark::build(&Request {
        benchmark,
        from: args.from,
        out: args.out.clone(),
        prompt,
        train: args.train,
        dev: args.dev,
        min: args.min,
        timeout: Duration::from_secs(args.timeout),
        seed: args.seed,
    })?;
    set::write(&args.out, &set)
}
