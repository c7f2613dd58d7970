//! A row of a gate as two models answered it.

use crate::eval::judge::{self, Verdict, numbers};
use crate::eval::score::ScoredRow;
use crate::report::folder::Folder;
use crate::report::say;
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of a row; in the order in which rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The baseline passed it, the candidate fails it.
    Lost,
    /// The other way.
    Gained,
    /// The candidate fails it, as the baseline did where there is one.
    Wrong,
    Right,
}

/// A row of a gate, of both models.
pub struct Pair {
    pub gate: String,
    pub metric: String,
    column: &'static str,
    pub candidate: ScoredRow,
    pub baseline: Option<ScoredRow>,
    pub outcome: Outcome,
}

impl Pair {
    /// Whether one of its two answers fails.
    pub fn fails(&self, row: &ScoredRow) -> bool {
        row.verdict(self.column) != Some(true)
    }

    /// How the candidate fails, where it does.
    pub fn failure(&self) -> Option<String> {
        self.kind(&self.candidate)
    }

    /// How the baseline fails.
    pub fn failure_before(&self) -> Option<String> {
        self.kind(self.baseline.as_ref()?)
    }

    /// How an answer fails, where it does.
    pub fn kind(&self, row: &ScoredRow) -> Option<String> {
        let kind = &row.scores.failure_type;
        // It may fail this metric alone, and not the first of the file.
        let other = || format!("not {}", self.metric);
        self.fails(row)
            .then(|| say::short(&kind.clone().unwrap_or_else(other), 100))
    }
}

/// The pairs of a gate. One on a plain number has none.
pub fn pairs(folder: &mut Folder, verdict: &Verdict) -> Vec<Pair> {
    let Ok(metric) = judge::metric(&verdict.mode, &verdict.metric) else {
        return Vec::new();
    };
    let Some(candidate) = folder.rows(&verdict.name, "candidate") else {
        return Vec::new();
    };
    let baseline = verdict
        .baseline
        .and_then(|_| folder.rows(&verdict.name, "baseline"));
    let mut before: BTreeMap<_, _> = baseline
        .into_iter()
        .flatten()
        .map(|row| (name(&row), row))
        .collect();
    let of_metric = |row: &ScoredRow| row.verdict(metric.column).is_some();
    let pair = |candidate: ScoredRow| {
        let baseline = before.remove(&name(&candidate)).filter(of_metric);
        let passed = |row: &ScoredRow| row.verdict(metric.column) == Some(true);
        let outcome = match (baseline.as_ref().map(passed), passed(&candidate)) {
            (Some(true), false) => Outcome::Lost,
            (Some(false), true) => Outcome::Gained,
            (_, false) => Outcome::Wrong,
            (_, true) => Outcome::Right,
        };
        Pair {
            gate: verdict.name.clone(),
            metric: verdict.metric.clone(),
            column: metric.column,
            candidate,
            baseline,
            outcome,
        }
    };
    candidate.into_iter().filter(of_metric).map(pair).collect()
}

/// Whether a gate has rows at all.
pub fn expected(verdict: &Verdict) -> bool {
    verdict.mode != numbers::MODE
}

/// The row's name, as the paired test matches rows.
pub fn name(row: &ScoredRow) -> String {
    row.id
        .clone()
        .unwrap_or_else(|| format!("#{:06}", row.index))
}
