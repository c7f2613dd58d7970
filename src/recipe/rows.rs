//! The scored rows of a gate, with the rows that were asked: those that its `where` keeps.

use super::done::Done;
use super::evidence::GateEvidence;
use crate::db::sqlite::Now;
use crate::eval::example::{self, Answers, Example};
use crate::eval::modes::{self, Mode};
use crate::eval::score::{self, ScoredRow};
use crate::eval::subset::{self, Only};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rows of one scoring, each scored row with the row that it is of.
pub struct Scoring {
    pub examples: Vec<Example>,
    pub rows: Vec<ScoredRow>,
}

/// The candidate's rows of a gate.
pub fn candidate(gate: &GateEvidence) -> Result<Scoring> {
    scoring(&gate.candidate, gate.answers.as_ref(), &gate.gate.only)
        .with_context(|| format!("gate {}", gate.gate.name))
}

/// The baseline's, where the gate has one.
pub fn baseline(gate: &GateEvidence) -> Result<Option<Scoring>> {
    let of = |done| scoring(done, gate.base_answers.as_ref(), &gate.gate.only);
    let scored = gate.baseline.as_ref().map(of).transpose();
    scored.with_context(|| format!("gate {}, baseline", gate.gate.name))
}

fn scoring(done: &Done, answers: Option<&Done>, only: &Only) -> Result<Scoring> {
    let mut scored = score::read(done.main()?)?;
    let asked = predictions(done, answers)?;
    let modes = modes_of(&scored);
    let modes: Vec<&dyn Mode> = modes.iter().map(|mode| *mode as &dyn Mode).collect();
    let keep = |_, row: &Map<String, Value>| subset::has(only, row);
    // Rows that nothing could score are in none of the scored rows either.
    let examples = example::read(&asked, &modes, Answers::Missed, &[], Some(""), keep)?.examples;
    ensure!(
        !examples.is_empty(),
        "{}: no row is as `where` wants",
        asked.display()
    );
    let by_index: BTreeMap<usize, Example> = examples.into_iter().map(|e| (e.index, e)).collect();
    scored.retain(|row| by_index.contains_key(&row.index));
    let mut examples = Vec::new();
    for row in &mut scored {
        let example = &by_index[&row.index];
        // A report shows what was asked, also where that stands in the prompt alone.
        if row.question.is_none() {
            let fields = ["prompt", "instruction"].iter();
            row.question = fields
                .flat_map(|field| example.text(field))
                .next()
                .map(str::to_owned);
        }
        ensure!(
            example.text("gold_sql").unwrap_or_default() == row.gold_sql
                && example.text("predicted_sql").unwrap_or_default() == row.predicted_sql,
            "{}: row {} is not the one that stage {} scored: run the stage again",
            asked.display(),
            name(row),
            done.stage
        );
        examples.push(example.clone());
    }
    Ok(Scoring {
        examples,
        rows: scored,
    })
}

/// The file that a scoring read.
fn predictions(done: &Done, answers: Option<&Done>) -> Result<PathBuf> {
    if let Some(answers) = answers {
        return Ok(answers.main()?.to_owned());
    }
    let read: Vec<_> = done
        .inputs
        .iter()
        .filter(|input| input.rows.is_some())
        .collect();
    match read[..] {
        [only] => Ok(only.path.clone()),
        _ => bail!(
            "stage {}: {} of its inputs have rows, expected one, the predictions",
            done.stage,
            read.len()
        ),
    }
}

/// The modes that scored rows, by the columns that they have.
pub fn modes_of(rows: &[ScoredRow]) -> Vec<&'static dyn Mode> {
    let Some(first) = rows.first() else {
        return Vec::new();
    };
    let has = |mode: &&dyn Mode| {
        let mut metrics = mode.metrics().iter();
        metrics.all(|metric| first.scores.verdicts.contains_key(metric.column))
    };
    modes::ALL.iter().copied().filter(has).collect()
}

/// What a row is called.
pub fn name(row: &ScoredRow) -> String {
    let place = || format!("#{}", row.index);
    row.id.clone().unwrap_or_else(place)
}

/// A file of the run folder with the rows of one side of a gate.
pub fn file(gate: &str, side: &str) -> PathBuf {
    Path::new("rows").join(format!("{gate}.{side}.jsonl"))
}

/// Those rows; `None` where there is no such file.
pub fn of_run(folder: &Path, gate: &str, side: &str) -> Result<Option<Vec<ScoredRow>>> {
    let path = folder.join(file(gate, side));
    match fs::exists(&path).unwrap_or(false) {
        true => score::read(&path).map(Some),
        false => Ok(None),
    }
}

/// A file of the run folder with the summary of the scoring that those rows are of.
pub fn summary_file(gate: &str, side: &str) -> PathBuf {
    Path::new("rows").join(format!("{gate}.{side}.summary.json"))
}

/// The time of day that a scoring's queries saw, as its summary says.
pub fn scored_at(folder: &Path, gate: &str, side: &str) -> Option<Now> {
    let bytes = fs::read(folder.join(summary_file(gate, side))).ok()?;
    let summary: Value = serde_json::from_slice(&bytes).ok()?;
    summary.get("now")?.as_str()?.parse().ok()
}
