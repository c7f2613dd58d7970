//! `factory eval-choices`: how often the right candidate was chosen.

use super::{UsageError, say};
use crate::data::jsonl;
use crate::eval::{choices, selection};
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use anyhow::Result;
use std::path::PathBuf;

/// Score answers to candidate choices: rows of `data choices` with a reply, or ids chosen of `data choices --format selection`.
#[derive(clap::Args)]
pub struct Args {
    /// Rows of `data choices` that `generate` answered; with --choices, rows of id and selected_id or selected_index.
    #[arg(id = "predictions", value_name = "PREDS")]
    preds: PathBuf,
    /// What `data choices --format selection` wrote, to which the rows are answers.
    #[arg(long, value_name = "FILE", conflicts_with = "field")]
    choices: Option<PathBuf>,
    /// The field that holds the reply.
    #[arg(long, default_value = "predicted_sql")]
    field: String,
    /// Write every scored row to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the summary as JSON to this file, with n and a 95% interval.
    #[arg(long, value_name = "FILE")]
    summary_out: Option<PathBuf>,
}

/// Scores and prints the summary line.
pub fn run(args: Args) -> Result<()> {
    let outputs = || [&args.out, &args.summary_out].into_iter().flatten();
    let inputs = [&args.preds].into_iter().chain(&args.choices);
    check_apart(
        inputs.map(PathBuf::as_path),
        outputs().map(PathBuf::as_path),
    )
    .map_err(UsageError::of)?;
    for output in outputs() {
        check_writable(output)?;
    }
    let report = match &args.choices {
        Some(choices) => selection::score(choices, &args.preds)?,
        None => choices::score(&args.preds, &args.field)?,
    };
    let accuracy = &report.accuracy;
    say(format_args!(
        "choices: accuracy={:.3} chance={:.3} no_choice={} (n={})",
        accuracy.value, report.chance, report.no_choice, accuracy.n
    ))?;
    if let Some(path) = &args.out {
        write_atomic(path, &jsonl::to_bytes(&report.rows)?)?;
        say(format_args!(
            "wrote {} ({} rows)",
            path.display(),
            report.rows.len()
        ))?;
    }
    if let Some(path) = &args.summary_out {
        write_atomic(path, &json(&report)?)?;
        say(format_args!("wrote {} (summary)", path.display()))?;
    }
    Ok(())
}
