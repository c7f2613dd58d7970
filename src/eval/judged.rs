//! Many replies to each row: whether each is right, and what it returned, in little. What rewards, choices and shares of samples are made of.

use super::example::Example;
use super::golds::Golds;
use super::modes::{Mode, Texts, Verdict};
use super::pool::Pool;
use super::returned::Returned;
use super::score::NO_ANSWER;
use super::session::Session;
use super::worker::{Reply, Task};
use crate::run::words::hex;
use crate::sql::compare::{soft_f1_of_all, text_digest};
use crate::sql::error::SqlError;
use crate::sql::taxonomy::classify;
use crate::sql::value::Row;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What became of a reply, by the first metric of the first mode that can score its row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The kind of failure; `None` for a reply that is right.
    pub failure: Option<String>,
    /// Why its query gave no rows: on the row's own database, or on another of its test suite, which is named then.
    pub error: Option<String>,
    /// What its query returned from the row's own database, where the mode ran it.
    pub returned: Option<Returned>,
    /// Whether the rows that it returned have as many columns as those of the reference; a result without rows has none to count.
    pub columns: bool,
    /// How much of what it returned from the row's own database is right, 0 to 1: mode soft-f1's points, less where rows repeat
    /// more or less often than they should, which that mode passes over; 1 for a reply that is right, in whatever order its rows are.
    pub soft_f1: f64,
}

impl Judged {
    /// Whether the reply is right.
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }

    /// Of a row that got no answer.
    pub fn no_answer() -> Self {
        Self {
            failure: Some(NO_ANSWER.to_owned()),
            ..Self::default()
        }
    }

    /// Of a reply that no process survives.
    pub(super) fn given_up(error: &SqlError) -> Self {
        Self {
            failure: Some(classify(Some(""), "", Some(error)).to_owned()),
            error: Some(error.to_string()),
            ..Self::default()
        }
    }
}

/// Judges the reply of `texts`.
pub(super) fn judge(
    texts: &Texts,
    modes: &[&dyn Mode],
    suits: impl Fn(&dyn Mode) -> bool,
    session: &mut Session,
) -> Judged {
    session.begin_mode();
    let mode = modes.iter().find(|mode| suits(**mode));
    let verdict = mode.map(|mode| mode.score(texts, session));
    let Verdict {
        passed,
        execution,
        elsewhere,
        ..
    } = verdict.unwrap_or_default();
    let passed = passed.first() == Some(&true);
    let ran = execution.as_ref().map(|ran| ran.predicted.as_ref());
    let own = ran.and_then(|ran| ran.as_ref().err());
    let other = elsewhere.as_ref();
    let error = own.or(other.map(|(_, error)| error));
    let said = other.map(|(name, error)| format!("on {name}: {error}"));
    let rows = ran.and_then(|ran| ran.as_ref().ok());
    let gold = execution.as_ref().map(|ran| ran.gold.as_ref());
    let gold = gold.and_then(|gold| gold.as_ref().ok());
    let width = |rows: Option<&Vec<Row>>| rows?.first().map(Vec::len);
    Judged {
        failure: (!passed).then(|| classify(texts.scored, texts.gold, error).to_owned()),
        error: said.or(error.map(SqlError::to_string)),
        returned: rows.map(|rows| Returned {
            rows: rows.len(),
            digest: hex(&text_digest(rows)),
        }),
        columns: width(rows).is_some() && width(rows) == width(gold),
        soft_f1: match (rows, gold) {
            _ if passed => 1.0,
            (Some(rows), Some(gold)) => soft_f1_of_all(rows, gold),
            _ => 0.0,
        },
    }
}

/// What becomes of each of `replies`, which say their row among `examples`. Those of a row that are `alike` are judged once. `broken` are rows
/// whose reference fails. `observe` is called at every verdict, and its error ends the work.
pub fn judged<K: Ord>(
    examples: &[Example],
    golds: &Golds,
    broken: &BTreeMap<usize, SqlError>,
    replies: &[(usize, &str)],
    alike: impl Fn(&str) -> K,
    pool: &mut Pool,
    mut observe: impl FnMut() -> Result<()>,
) -> Result<Vec<Judged>> {
    let (mut known, mut jobs) = (BTreeMap::new(), Vec::new());
    let places: Vec<usize> = replies
        .iter()
        .map(|&(row, reply)| {
            let next = jobs.len();
            let place = *known.entry((row, alike(reply))).or_insert(next);
            if place == next {
                let (home, mut job) = golds.score(&examples[row], row, broken.get(&row));
                job.task = Task::Judge;
                job.predicted_sql = Some(reply.to_owned());
                jobs.push((home, job));
            }
            place
        })
        .collect();
    let mut found = vec![None; jobs.len()];
    pool.run(jobs, |place, reply, _| {
        let Reply::Judged(judged) = reply else {
            bail!("a scoring process answered something else");
        };
        found[place] = Some(judged);
        observe()
    })?;
    let all = places.into_iter().map(|place| found[place].clone());
    let all: Option<Vec<_>> = all.collect();
    all.context("a scoring process left a reply out")
}
