//! `factory eval-compare`: two scorings of the same rows, row against row.

use super::{UsageError, plain, say};
use crate::eval::paired::{Paired, compare};
use crate::eval::score;
use crate::eval::stats::{Share, shown_p};
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Compare two scorings of the same rows: paired difference, exact McNemar p, the rows that flipped.
#[derive(clap::Args)]
pub struct Args {
    /// Rows that `eval-sql --out` wrote: the baseline.
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The same rows of the candidate.
    #[arg(value_name = "B")]
    b: PathBuf,
    /// The column to compare.
    #[arg(long, default_value = "exec_match")]
    column: String,
    /// Write the comparison as JSON to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Most flipped rows that are printed; `--out` has them all.
const MAX_NAMES: usize = 50;

/// Compares and prints.
pub fn run(args: Args) -> Result<()> {
    if let Some(out) = &args.out {
        check_apart([args.a.as_path(), &args.b], [out.as_path()]).map_err(UsageError::of)?;
        check_writable(out)?;
    }
    let (a, b) = (score::read(&args.a)?, score::read(&args.b)?);
    let paired = compare(&a, &b, &args.column)
        .with_context(|| format!("{} and {}", args.a.display(), args.b.display()))?;
    let Paired { column, p, .. } = &paired;
    say(format_args!("a: {column}={}", shown(&paired.a)))?;
    say(format_args!("b: {column}={}", shown(&paired.b)))?;
    let flips = format!("gained={} lost={}", paired.gained.len(), paired.lost.len());
    let p = shown_p(*p);
    say(format_args!(
        "difference={:+.3} p={p} {flips} (exact McNemar)",
        paired.difference
    ))?;
    for (what, names) in [("gained", &paired.gained), ("lost", &paired.lost)] {
        if !names.is_empty() {
            let more = names.len().saturating_sub(MAX_NAMES);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let names = names[..names.len().min(MAX_NAMES)].join(" ");
            say(format_args!("{what}: {}{more}", plain(&names)))?;
        }
    }
    if let Some(out) = &args.out {
        write_atomic(out, &json(&paired)?)?;
        say(format_args!("wrote {}", out.display()))?;
    }
    Ok(())
}

fn shown(share: &Share) -> String {
    let [low, high] = share.wilson95;
    format!("{:.3} [{low:.3}, {high:.3}] (n={})", share.value, share.n)
}
