//! `factory data public`: rows of b-mc2/sql-create-context and others of its kind.

use super::set;
use crate::cli::UsageError;
use crate::data::prompt::Prompt;
use crate::data::public::{self, Request, Split};
use crate::run::files::check_apart;
use anyhow::Context;
use std::path::PathBuf;

/// Flags of `factory data public`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows with question, context (CREATE TABLE statements) and answer: .json, .jsonl, .csv or .parquet.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Folder the set is written to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the source is called; its owner's name begins the ids.
    #[arg(long, value_name = "NAME", default_value = "b-mc2/sql-create-context")]
    source: String,
    /// Training rows wanted.
    #[arg(long, value_name = "N", default_value_t = 512)]
    train: usize,
    /// Place in the source, from 0, from which training rows are taken.
    #[arg(long, value_name = "I", default_value_t = 2000)]
    train_start: usize,
    /// Held-out rows wanted.
    #[arg(long, value_name = "N", default_value_t = 64)]
    dev: usize,
    /// Place in the source, from 0, from which held-out rows are taken.
    #[arg(long, value_name = "I", default_value_t = 0)]
    dev_start: usize,
    /// How often the training rows of a bucket come, as join=4 (repeatable) [default: once].
    #[arg(long, value_name = "BUCKET=N")]
    weight: Vec<String>,
    /// How a question is asked, with {schema} and {question} in it.
    #[arg(long, value_name = "TEXT", default_value = Prompt::DEFAULT, hide_default_value = true)]
    prompt: String,
    /// Take queries that do not run over their row's tables as well.
    #[arg(long)]
    unchecked: bool,
    /// Chooses the rejected answers; same seed, same bytes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Builds the set and writes it.
pub fn run(args: Args) -> anyhow::Result<()> {
    let weights = args.weight.iter().map(|weight| {
        let parsed = weight.split_once('=').and_then(|(bucket, times)| {
            let times = times
                .parse()
                .ok()
                .filter(|times| (1..=1000).contains(times))?;
            Some((bucket.to_owned(), times))
        });
        parsed.with_context(|| {
            format!("--weight {weight:?} is not BUCKET=N, as join=4, with N from 1 to 1000")
        })
    });
    let request = Request {
        prompt: Prompt::parse(&args.prompt, &["schema", "question"]).map_err(UsageError::of)?,
        weights: weights.collect::<Result<_, _>>().map_err(UsageError::of)?,
        data: args.data,
        source: args.source,
        train: Split {
            start: args.train_start,
            count: args.train,
        },
        dev: Split {
            start: args.dev_start,
            count: args.dev,
        },
        unchecked: args.unchecked,
        seed: args.seed,
    };
    request.check().map_err(UsageError::of)?;
    check_apart([request.data.as_path()], [args.out.as_path()]).map_err(UsageError::of)?;
    set::check(&args.out)?;
    set::write(&args.out, &public::build(&request)?)
}
