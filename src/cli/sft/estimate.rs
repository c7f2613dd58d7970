//! `--dry-run`: what a run will need.

use crate::cli::{say, size};
use crate::session::estimate::Estimate;
use anyhow::Result;

/// Prints the estimates; `evaluates` where adapters are to be scored on the way, which is not estimated.
pub fn print(estimate: &Estimate, evaluates: bool) -> Result<()> {
    let Estimate {
        steps,
        rows,
        tokens,
        computed,
        weights,
        beside,
        seconds,
    } = *estimate;
    say(format_args!(
        "{steps} steps, {rows} rows, {tokens} tokens, of which {:.0}% are spared by shared prefixes",
        100.0 * (1.0 - computed as f64 / tokens as f64)
    ))?;
    say(format_args!(
        "memory: {} for the base, {} for training, {} in all",
        size(weights),
        size(beside),
        size(weights + beside)
    ))?;
    say(format_args!("time: {seconds:.1} s ({})", clock(seconds)))?;
    match evaluates {
        true => say("the answers to --eval-data take time beside that"),
        false => Ok(()),
    }
}

/// `1 h 05 min`
fn clock(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0 => "less than a minute".to_owned(),
        1..60 => format!("{minutes} min"),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}
