//! What `factory eval-sql` writes and prints.

use super::flags::Args;
use crate::cli::plain;
use crate::data::jsonl;
use crate::eval::calibration::{Calibration, svg};
use crate::eval::clean::{clean_rate, cleanness};
use crate::eval::example::Example;
use crate::eval::labels::labels;
use crate::eval::modes::Mode;
use crate::eval::prefs::preferences;
use crate::eval::review::review;
use crate::eval::sampled::Passes;
use crate::eval::score::ScoredRow;
use crate::eval::summary::{self, Run};
use crate::run::files::{json, write_atomic, write_by};
use anyhow::Result;
use std::fmt::Write;
use std::path::Path;

/// Writes the asked-for files; returns what to say about them.
pub fn write(
    args: &Args,
    examples: &[Example],
    rows: &[ScoredRow],
    modes: &[&dyn Mode],
    run: &Run,
    calibration: Option<&Calibration>,
) -> Result<String> {
    let mut said = String::new();
    if let Some(path) = &args.out {
        // They may be many, and need not all be in memory once more.
        write_by(path, |file| jsonl::write(file, rows))?;
        writeln!(said, "wrote {} ({} rows)", path.display(), rows.len())?;
    }
    let mut wrote = |path: &Path, content: &[u8], what: String| -> Result<()> {
        write_atomic(path, content)?;
        Ok(writeln!(said, "wrote {} ({what})", path.display())?)
    };
    if let Some(path) = &args.prefs_out {
        let preferences = preferences(examples, rows);
        let mut what = format!("{} pairs", preferences.pairs.len());
        for (reason, count) in &preferences.dropped {
            write!(what, "; dropped {count}: {reason}")?;
        }
        wrote(path, &jsonl::to_bytes(&preferences.pairs)?, what)?;
    }
    if let Some(path) = &args.labels_out {
        let labels = labels(examples, rows);
        wrote(
            path,
            &jsonl::to_bytes(&labels)?,
            format!("{} failed rows", labels.len()),
        )?;
    }
    if let Some(path) = &args.summary_out {
        wrote(
            path,
            &json(&summary::to_json(examples, rows, modes, run))?,
            "summary".to_owned(),
        )?;
    }
    if let Some(path) = &args.slices_out {
        let slices = summary::slices_to_json(examples, rows, modes);
        let count = slices["slices"]
            .as_object()
            .map_or(0, |slices| slices.len());
        wrote(path, &json(&slices)?, format!("{count} slices"))?;
    }
    if let Some(path) = &args.clean_out {
        let classes = cleanness(rows);
        let rate = clean_rate(&classes);
        wrote(
            path,
            &jsonl::to_bytes(&classes)?,
            format!("clean_output_rate={rate:.3}"),
        )?;
    }
    if let Some(path) = &args.review_out {
        let name = args
            .data()?
            .file_name()
            .unwrap_or_default()
            .display()
            .to_string();
        wrote(
            path,
            review(&name, examples, rows).as_bytes(),
            "review".to_owned(),
        )?;
    }
    if let (Some(path), Some(picture), Some(calibration)) =
        (&args.calibration, &args.picture(), calibration)
    {
        let bins = format!("{} bins", calibration.reliability.len());
        wrote(path, &json(calibration)?, bins)?;
        let drawn = svg(calibration)?;
        wrote(picture, drawn.as_bytes(), "reliability".to_owned())?;
    }
    Ok(said)
}

/// What samples and confidences are worth.
pub fn more_text(samples: Option<&Passes>, calibration: Option<&Calibration>) -> String {
    let lines = [
        samples.map(Passes::line),
        calibration.map(Calibration::line),
    ];
    lines
        .into_iter()
        .flatten()
        .map(|line| line + "\n")
        .collect()
}

/// The summary lines, then the counts of failures.
pub fn summary_text(
    examples: &[Example],
    rows: &[ScoredRow],
    modes: &[&dyn Mode],
) -> Result<String> {
    let mut text = String::new();
    for tally in summary::tallies(examples, rows, modes) {
        // A slice is named by the data.
        writeln!(text, "{}", plain(&tally.to_string()))?;
    }
    if let Some((tallies, abstained)) = summary::answered(examples, rows, modes) {
        for tally in tallies {
            writeln!(text, "{tally}")?;
        }
        let coverage = 1.0 - abstained as f64 / rows.len() as f64;
        writeln!(
            text,
            "coverage={coverage:.3} ({abstained} of {} rows abstained and count as failed above)",
            rows.len()
        )?;
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

/// What else is to be said of the rows.
pub fn remarks(examples: &[Example], rows: &[ScoredRow], shown: usize) -> Result<String> {
    let mut text = String::new();
    let abstained = examples
        .iter()
        .filter(|example| example.abstained())
        .count();
    let unanswered = summary::unanswered(rows).saturating_sub(abstained);
    if unanswered > 0 {
        writeln!(
            text,
            "kept going: {unanswered} rows have no predicted_sql and count as failed"
        )?;
    }
    let cut = summary::cut(rows);
    if cut > 0 {
        writeln!(
            text,
            "results of {cut} rows are cut to {shown} bytes (rows_cut)"
        )?;
    }
    Ok(text)
}
