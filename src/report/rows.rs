//! Rows, each before and after: which flipped, which fail, and what came instead.

mod shown;

use super::folder::Folder;
use super::say;
use crate::eval::judge::{self, Verdict, numbers};
use crate::eval::score::ScoredRow;
use serde::Serialize;
use shown::Row;
use std::collections::{BTreeMap, BTreeSet};

pub use shown::{Most, most};

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
    fn fails(&self, row: &ScoredRow) -> bool {
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

    fn kind(&self, row: &ScoredRow) -> Option<String> {
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

/// As the paired test matches rows.
fn name(row: &ScoredRow) -> String {
    row.id
        .clone()
        .unwrap_or_else(|| format!("#{:06}", row.index))
}

/// The rows of a report.
#[derive(Serialize)]
pub struct Rows {
    #[serde(skip)]
    pub pairs: Vec<Pair>,
    /// Those that are shown.
    shown: Vec<Row>,
    /// What is not shown, in words.
    left_out: Option<String>,
    gates: Vec<String>,
    kinds: BTreeSet<String>,
    /// Whether some rows are compared with a baseline's.
    compared: bool,
    /// Names of the rows that flipped, for the text: the gate, gained, lost.
    flips: Vec<Flips>,
}

/// The rows of a gate that flipped, by name.
#[derive(Serialize)]
struct Flips {
    gate: String,
    gained: Vec<String>,
    lost: Vec<String>,
    more: usize,
}

/// Most names of flipped rows in the text, gained and lost each.
const NAMES: usize = 50;

impl Rows {
    /// `pairs` lie by gate.
    pub fn of(mut pairs: Vec<Pair>) -> Self {
        let mut gates: Vec<String> = pairs.iter().map(|pair| pair.gate.clone()).collect();
        gates.dedup();
        pairs.sort_by_key(|pair| (pair.outcome, pair.candidate.index));
        let flips = gates.iter().map(|gate| {
            let of = |outcome| {
                let named = pairs
                    .iter()
                    .filter(move |pair| pair.outcome == outcome && pair.gate == *gate);
                named
                    .map(|pair| say::short(&name(&pair.candidate), 80))
                    .collect::<Vec<_>>()
            };
            let (mut gained, mut lost) = (of(Outcome::Gained), of(Outcome::Lost));
            let more = gained.len().saturating_sub(NAMES) + lost.len().saturating_sub(NAMES);
            gained.truncate(NAMES);
            lost.truncate(NAMES);
            Flips {
                gate: gate.clone(),
                gained,
                lost,
                more,
            }
        });
        let flips = flips
            .filter(|flips| !flips.gained.is_empty() || !flips.lost.is_empty())
            .collect();
        Self {
            kinds: pairs.iter().filter_map(Pair::failure).collect(),
            compared: pairs.iter().any(|pair| pair.baseline.is_some()),
            shown: Vec::new(),
            left_out: None,
            gates,
            flips,
            pairs,
        }
    }

    /// Chooses what is shown.
    pub fn limit(&mut self, most: &Most) {
        let wanted = |pair: &&Pair| most.right || pair.outcome != Outcome::Right;
        let (chosen, mut left): (Vec<_>, Vec<_>) = self.pairs.iter().partition(wanted);
        left.extend(chosen.iter().skip(most.rows));
        let chosen = chosen.iter().take(most.rows).enumerate();
        self.shown = chosen.map(|(at, pair)| Row::of(at, pair, most)).collect();
        let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
        left.iter()
            .for_each(|pair| *counts.entry(pair.outcome).or_default() += 1);
        let left: Vec<_> = counts
            .into_iter()
            .map(|(outcome, count)| {
                let what = match outcome {
                    Outcome::Lost => "lost row",
                    Outcome::Gained => "gained row",
                    Outcome::Wrong => "failing row",
                    Outcome::Right => "right row",
                };
                say::count(count, what)
            })
            .collect();
        self.left_out = (!left.is_empty()).then(|| left.join(", "));
    }
}
