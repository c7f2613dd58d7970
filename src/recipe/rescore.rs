//! The rows of a run scored again, by the workers of every scoring.

use super::rows::name;
use crate::eval::example::Example;
use crate::eval::golds::Golds;
use crate::eval::modes;
use crate::eval::pool::Pool;
use crate::eval::score::{NO_ANSWER, ScoredRow};
use crate::eval::worker::{Reply, Setup};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Scores rows again by what stands in them. `worker` starts a scoring process.
pub fn again(rows: &[ScoredRow], setup: &Setup, worker: &[PathBuf]) -> Result<Vec<ScoredRow>> {
    let examples: Vec<Example> = rows.iter().map(example).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut pool = Pool::new(worker, setup, cores.min(rows.len()));
    let golds = Golds::of(&examples);
    let broken = golds.broken(&examples, &mut pool)?;
    let job = |row: usize| golds.score(&examples[row], row, broken.get(&row));
    let mut scored = vec![None; rows.len()];
    pool.run((0..rows.len()).map(job).collect(), |row, reply, elapsed| {
        let Reply::Scores(scores) = reply else {
            bail!("a scoring process answered something else");
        };
        let extract = setup.options.rules.extract;
        scored[row] = Some(ScoredRow::new(&examples[row], scores, extract, elapsed));
        Ok(())
    })?;
    let scored: Option<Vec<_>> = scored.into_iter().collect();
    scored.context("a scoring process left a row out")
}

fn example(row: &ScoredRow) -> Example {
    let in_files = row.standard.gold_csv.is_some();
    let answered = row.scores.failure_type.as_deref() != Some(NO_ANSWER);
    let fields = [
        ("id", row.id.as_deref()),
        ("db", row.db.as_deref()),
        ("question", row.question.as_deref()),
        (
            "predicted_sql",
            Some(row.predicted_sql.as_str()).filter(|_| answered),
        ),
        (
            "gold_sql",
            Some(row.gold_sql.as_str()).filter(|sql| !(in_files && sql.is_empty())),
        ),
    ];
    let fields = fields
        .into_iter()
        .filter_map(|(field, text)| Some((field.to_owned(), text?.into())));
    Example {
        index: row.index,
        line: 0,
        fields: Map::from_iter(fields),
        standard: row.standard.clone(),
    }
}

/// What rows say otherwise than the same rows scored again, a line each; times are another each time.
pub fn differences(rows: &[ScoredRow], again: &[ScoredRow]) -> Vec<String> {
    let mut found = Vec::new();
    for (row, other) in rows.iter().zip(again) {
        let verdicts = other.scores.verdicts.iter();
        for (column, now) in verdicts.filter(|(column, _)| !modes::is_timed(column)) {
            let before = row.scores.verdicts.get(column).unwrap_or(&Value::Null);
            if before != now {
                found.push(format!(
                    "row {}: {column} is {before}, and {now} when it is scored again",
                    name(row)
                ));
            }
        }
    }
    found
}
