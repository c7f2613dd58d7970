//! `factory data correct`: replies and the right queries to training rows and preference pairs.

use super::databases::DatabaseArgs;
use crate::cli::fields::FieldArgs;
use crate::cli::{UsageError, say};
use crate::eval::correct::{Request, correct, counts};
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use anyhow::Result;
use std::path::PathBuf;

/// Flags of `factory data correct`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Corrections (JSONL): a prompt as `generate --data` reads it, the reply (predicted_sql) and the right query (gold_sql).
    #[arg(long, value_name = "FILE")]
    rows: PathBuf,
    /// File the training rows are written to; a manifest stands beside it, with the ending .manifest.json.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write a preference pair for each reply to this file: the right query over the reply.
    #[arg(long, value_name = "FILE")]
    prefs_out: Option<PathBuf>,
    /// Training rows of before (JSONL), some of which come again, so that what they taught is not forgotten (repeatable).
    #[arg(long, value_name = "FILE")]
    replay: Vec<PathBuf>,
    /// The part of all rows that are such; fewer where there are not as many.
    #[arg(long, requires = "replay", value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    replay_share: f64,
    /// Chooses the rows that come again; same seed, same bytes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Rows whose prompts must be neither taught nor replayed (repeatable).
    #[arg(long, value_name = "FILE")]
    heldout: Vec<PathBuf>,
    #[command(flatten)]
    databases: DatabaseArgs,
    /// Leave out rows that cannot be taught, and count them: the reply is right, the right query fails, the prompt is held out.
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    fields: FieldArgs,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=0.99).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 0.99".to_owned()),
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    let manifest = args.out.with_extension("manifest.json");
    let outputs = || {
        let more = args.prefs_out.iter().chain([&manifest]);
        [&args.out].into_iter().chain(more).map(PathBuf::as_path)
    };
    let inputs = [&args.rows].into_iter().chain(&args.replay);
    let inputs = inputs.chain(&args.heldout).map(PathBuf::as_path);
    check_apart(inputs, outputs()).map_err(UsageError::of)?;
    outputs().try_for_each(check_writable)?;
    let databases = args.databases.get()?;
    let corrected = correct(&Request {
        rows: &args.rows,
        columns: &args.fields.columns()?,
        replay: &args.replay,
        share: if args.replay.is_empty() {
            0.0
        } else {
            args.replay_share
        },
        seed: args.seed,
        heldout: &args.heldout,
        databases: databases.as_ref(),
        keep_going: args.keep_going,
    })?;
    let found = &corrected.manifest;
    write_atomic(&args.out, &corrected.rows)?;
    if let Some(path) = &args.prefs_out {
        write_atomic(path, &corrected.pairs)?;
    }
    write_atomic(&manifest, &json(found)?)?;
    if !found.left_out.is_empty() {
        say(format_args!("left out: {}", counts(&found.left_out)))?;
    }
    say(format_args!(
        "wrote {} ({} corrections, {} rows of before of {} wanted)",
        args.out.display(),
        found.taught,
        found.replay.taken,
        found.replay.wanted
    ))?;
    if let Some(path) = &args.prefs_out {
        say(format_args!(
            "wrote {} ({} pairs)",
            path.display(),
            found.pairs
        ))?;
    }
    say(format_args!("wrote {}", manifest.display()))
}
