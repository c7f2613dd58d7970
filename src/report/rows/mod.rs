//! Rows, each before and after: which flipped, which fail, and what came instead.

mod pair;
mod shown;

use super::say;
use pair::{Outcome, name};
use serde::Serialize;
use shown::Row;
use std::collections::{BTreeMap, BTreeSet};

pub use pair::{Pair, expected, pairs};
pub use shown::{Most, most};

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
