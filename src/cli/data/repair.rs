//! `factory data repair`: scored rows whose queries failed to training rows that repair.

use crate::cli::fields::FieldArgs;
use crate::cli::{UsageError, say};
use crate::data::jsonl;
use crate::eval::{repair, score};
use crate::run::files::{check_apart, check_writable, write_atomic};
use anyhow::{Result, bail};
use std::path::PathBuf;

/// Flags of `factory data repair`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scored rows that `eval-sql --out` wrote.
    #[arg(id = "scored", value_name = "SCORED")]
    scored: PathBuf,
    /// The rows that were scored, for their prompts.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// File the rows are written to.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    fields: FieldArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    let inputs = [args.scored.as_path(), &args.data];
    check_apart(inputs, [args.out.as_path()]).map_err(UsageError::of)?;
    check_writable(&args.out)?;
    let scored = score::read(&args.scored)?;
    let made = repair::rows(&scored, &args.data, &args.fields.columns()?)?;
    let dropped = made.dropped.iter();
    let dropped: String = dropped
        .map(|(reason, count)| format!("; left out {count}: {reason}"))
        .collect();
    if made.rows.is_empty() {
        bail!("{}: no query failed{dropped}", args.scored.display());
    }
    write_atomic(&args.out, &jsonl::to_bytes(&made.rows)?)?;
    say(format_args!(
        "wrote {} ({} rows that repair{dropped})",
        args.out.display(),
        made.rows.len()
    ))
}
