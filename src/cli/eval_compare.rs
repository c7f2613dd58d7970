//! `factory eval-compare`: two scorings of the same rows, row against row.

use super::{UsageError, plain, say};
use crate::data::jsonl;
use crate::eval::paired::{Paired, compare};
use crate::eval::score::ScoredRow;
use crate::eval::stats::Share;
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

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
    let (a, b) = (read_rows(&args.a)?, read_rows(&args.b)?);
    let paired = compare(&a, &b, &args.column)
        .with_context(|| format!("{} and {}", args.a.display(), args.b.display()))?;
    let Paired { column, p, .. } = &paired;
    say(format_args!("a: {column}={}", shown(&paired.a)))?;
    say(format_args!("b: {column}={}", shown(&paired.b)))?;
    let flips = format!("gained={} lost={}", paired.gained.len(), paired.lost.len());
    let p = if *p < 1e-4 {
        format!("{p:.1e}")
    } else {
        format!("{p:.4}")
    };
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

/// The rows of a file that `eval-sql --out` wrote.
pub fn read_rows(path: &Path) -> Result<Vec<ScoredRow>> {
    let lines = jsonl::read_own(path)?;
    let row = |line: jsonl::Line| {
        let number = line.number;
        let row = serde_json::from_value(line.into_fields().into());
        row.with_context(|| format!("{}:{number}: no row of `eval-sql --out`", path.display()))
    };
    lines.into_iter().map(row).collect()
}
