//! How rows fail, before and after.

use super::gates::percent;
use super::rows::Pair;
use serde::Serialize;
use std::collections::BTreeMap;

/// Most kinds of a gate that are listed.
const MOST: usize = 40;

/// The failures of a gate.
#[derive(Clone, Debug, Serialize)]
pub struct Failures {
    pub gate: String,
    /// The most frequent of the candidate first.
    pub kinds: Vec<Kind>,
    /// All of them; the baseline's where there is one.
    pub before: Option<usize>,
    pub after: usize,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Kind {
    pub kind: String,
    pub before: Option<usize>,
    pub after: usize,
    /// Bars, in percent of the longest.
    pub before_bar: f64,
    pub after_bar: f64,
}

impl Failures {
    /// The failures among the pairs of one gate.
    pub fn of(gate: &str, pairs: &[&Pair]) -> Self {
        let compared = pairs.iter().any(|pair| pair.baseline.is_some());
        let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
        for pair in pairs {
            for (at, kind) in [pair.failure_before(), pair.failure()]
                .into_iter()
                .enumerate()
            {
                if let Some(kind) = kind {
                    counts.entry(kind).or_default()[at] += 1;
                }
            }
        }
        let longest = counts.values().flatten().max().copied().unwrap_or(1).max(1);
        let bar = |count: usize| percent(count as f64 / longest as f64);
        let mut kinds: Vec<_> = counts
            .into_iter()
            .map(|(kind, [before, after])| Kind {
                kind,
                before: compared.then_some(before),
                after,
                before_bar: bar(before),
                after_bar: bar(after),
            })
            .collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse((kind.after, kind.before)));
        let before = kinds.iter().filter_map(|kind| kind.before).sum();
        let after = kinds.iter().map(|kind| kind.after).sum();
        kinds.truncate(MOST);
        Self {
            gate: gate.to_owned(),
            kinds,
            before: compared.then_some(before),
            after,
        }
    }
}
