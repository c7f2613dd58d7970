//! `factory eval-sql`: scores predicted SQL and prints one summary line a mode.

use super::{UsageError, note};
use crate::data::jsonl;
use crate::eval::example::{self, Example};
use crate::eval::modes::{self, Mode};
use crate::eval::prefs::preferences;
use crate::eval::score::{ScoredRow, score};
use crate::eval::summary;
use crate::run::files;
use crate::sql::execute::Sandbox;
use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use indicatif::ProgressIterator;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Score predicted SQL by running it in a sandbox.
#[derive(clap::Args)]
pub struct Args {
    /// Predictions: rows with predicted_sql, gold_sql and db, one JSON object a line.
    #[arg(value_name = "PREDS", required_unless_present = "data")]
    preds: Option<PathBuf>,
    /// The same, as a flag.
    #[arg(long, value_name = "FILE", conflicts_with = "preds")]
    data: Option<PathBuf>,
    /// Folder of the databases, or of NAME.sql files to build them from [default: the predictions' folder].
    #[arg(long, value_name = "DIR")]
    db_dir: Option<PathBuf>,
    /// Write every scored row to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a preference pair for each failed row to this file.
    #[arg(long, value_name = "FILE")]
    prefs_out: Option<PathBuf>,
    /// Scoring semantics, several at once or separated by commas.
    #[arg(long, value_name = "MODE", value_delimiter = ',', default_value = modes::ALL[0].name(), value_parser = mode_names())]
    mode: Vec<String>,
    /// Deadline of each query in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
}

fn mode_names() -> PossibleValuesParser {
    PossibleValuesParser::new(modes::ALL.iter().map(|mode| mode.name()))
}

/// Scores, writes the outputs, prints the summary. Nothing is written unless every row could be scored.
pub fn run(args: Args) -> Result<()> {
    let data = args.preds.as_ref().or(args.data.as_ref());
    let data = data.ok_or_else(|| UsageError("no predictions file given".to_owned()))?;
    check_paths(data, &args)?;
    let modes: Vec<_> = chosen(&args.mode);
    let examples = example::read(data, &modes)?;
    let folder = args.db_dir.as_deref();
    let folder = folder.unwrap_or_else(|| files::folder_of(data));
    let mut sandbox = Sandbox::new(folder, Duration::from_millis(args.timeout_ms));
    open_databases(data, &examples, &modes, &mut sandbox)?;
    let rows: Vec<_> = examples
        .iter()
        .progress()
        .map(|example| score(example, &modes, &mut sandbox))
        .collect();
    warn_of_broken_gold(data, &examples, &rows);
    let wrote = write_outputs(&args, &examples, &rows)?;
    let report = summary_text(&examples, &rows, &modes)? + &wrote;
    std::io::stdout().write_all(report.as_bytes())?;
    Ok(())
}

/// The modes by the order of the table, each once.
fn chosen(names: &[String]) -> Vec<&'static dyn Mode> {
    let wanted = |mode: &&dyn Mode| names.iter().any(|name| name == mode.name());
    modes::ALL.iter().copied().filter(wanted).collect()
}

/// No output may be another file of the command, and each must be writable.
fn check_paths(data: &Path, args: &Args) -> Result<()> {
    let mut seen = BTreeSet::from([real(data)]);
    for output in [&args.out, &args.prefs_out].into_iter().flatten() {
        if !seen.insert(real(output)) {
            let message = format!("{} is named twice: give another file", output.display());
            return Err(UsageError(message).into());
        }
        files::check_writable(output)?;
    }
    Ok(())
}

/// One spelling a file, also for one that does not exist yet.
fn real(path: &Path) -> PathBuf {
    path.canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

fn open_databases(
    data: &Path,
    examples: &[Example],
    modes: &[&dyn Mode],
    sandbox: &mut Sandbox,
) -> Result<()> {
    let mut seen = BTreeSet::new();
    for example in examples {
        let runs = |mode: &&dyn Mode| mode.fields().contains(&"db") && example.suits(*mode);
        let Some(db) = example.text("db").filter(|_| modes.iter().any(runs)) else {
            continue;
        };
        if seen.insert(db) {
            sandbox
                .open(db)
                .with_context(|| format!("{}:{}", data.display(), example.line))?;
        }
    }
    Ok(())
}

fn warn_of_broken_gold(data: &Path, examples: &[Example], rows: &[ScoredRow]) {
    for (example, row) in examples.iter().zip(rows) {
        if let Some(error) = &row.gold_error {
            let id = row.id.as_deref().unwrap_or("without id");
            let place = format!("{}:{}", data.display(), example.line);
            note(format_args!(
                "warning: {place}: row {id}: gold_sql gave no rows: {error}"
            ));
        }
    }
}

/// Writes the asked-for files; returns what to say about them.
fn write_outputs(args: &Args, examples: &[Example], rows: &[ScoredRow]) -> Result<String> {
    let mut said = String::new();
    if let Some(path) = &args.out {
        files::write_atomic(path, &jsonl::to_bytes(rows)?)?;
        writeln!(said, "wrote {} ({} rows)", path.display(), rows.len())?;
    }
    if let Some(path) = &args.prefs_out {
        let preferences = preferences(examples, rows);
        files::write_atomic(path, &jsonl::to_bytes(&preferences.pairs)?)?;
        let pairs = preferences.pairs.len();
        write!(said, "wrote {} ({pairs} pairs", path.display())?;
        for (reason, count) in &preferences.dropped {
            write!(said, "; dropped {count}: {reason}")?;
        }
        writeln!(said, ")")?;
    }
    Ok(said)
}

fn summary_text(examples: &[Example], rows: &[ScoredRow], modes: &[&dyn Mode]) -> Result<String> {
    let mut text = String::new();
    for tally in summary::tallies(examples, rows, modes) {
        writeln!(text, "{tally}")?;
    }
    let failures = summary::failures(rows);
    if !failures.is_empty() {
        let counts: Vec<_> = failures
            .iter()
            .map(|(kind, count)| format!("{kind}={count}"))
            .collect();
        writeln!(text, "failures: {}", counts.join(" "))?;
    }
    Ok(text)
}
