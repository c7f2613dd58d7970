//! The verdict on a model: what its scored rows reach, held against a minimum and against a baseline.

pub mod numbers;

use super::modes::{self, Metric, Mode};
use super::paired;
use super::score::ScoredRow;
use super::stats::{Share, share};
use anyhow::{Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A value may miss what is wanted by as much as f64 rounds.
const SLACK: f64 = 1e-9;
/// Parts of a metric's name that make it better when lower.
const LOWER: [&str; 6] = ["loss", "ppl", "latency", "error", "wer", "rss"];

/// What a gate is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What the model is made to get better at.
    #[default]
    Primary,
    /// What must not get worse.
    Regression,
}

/// One gate: a metric and what it must reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSpec {
    /// Letters, digits, - _ .
    pub name: String,
    /// A mode of eval-sql.
    pub mode: String,
    /// One of the mode's, by the name of its mean or of its column.
    pub metric: String,
    /// The least mean that passes, 0 to 1; the most where lower is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// How many points above the baseline it must be; a plain number's own unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// How many points below the baseline it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_drop: Option<f64>,
    #[serde(default)]
    pub role: Role,
    /// Fields of the input rows and the texts that they have in the gate's rows; empty is all rows.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<String, String>,
}

/// What a gate found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub name: String,
    pub role: Role,
    pub mode: String,
    pub metric: String,
    /// Each thing that is asked of the value.
    pub conditions: Vec<Condition>,
    /// The candidate's mean.
    pub value: f64,
    pub passed_rows: usize,
    /// How many rows the value is of; 0 for a plain number.
    pub n: usize,
    /// 95%, Wilson's; the value itself for a plain number.
    pub interval: [f64; 2],
    /// The baseline's mean; none where there is no baseline, or it lacks the metric.
    pub baseline: Option<Measured>,
    /// The paired test; none where the baseline's rows are not the candidate's.
    pub paired: Option<Flips>,
    /// Whether every condition is met.
    pub passed: bool,
}

/// One thing that is asked of the value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// In words: `min 0.5`, `baseline + 3 points`, `baseline - 3 points`.
    pub what: String,
    /// The value that is just enough; none where the baseline lacks the metric, which informs and does not fail.
    pub wanted: Option<f64>,
    pub passed: bool,
}

/// A mean with what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub value: f64,
    pub passed_rows: usize,
    pub n: usize,
    pub interval: [f64; 2],
}

/// What the candidate gained and lost against the baseline, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flips {
    /// Candidate − baseline.
    pub difference: f64,
    /// McNemar's exact two-sided p.
    pub p: f64,
    pub gained: usize,
    pub lost: usize,
}

impl From<Share> for Measured {
    fn from(share: Share) -> Self {
        Self {
            value: share.value,
            passed_rows: share.passed,
            n: share.n,
            interval: share.wilson95,
        }
    }
}

/// Judges scored rows, which are those that the gate's `where` keeps. The baseline's are matched by id for the paired test.
///
/// Errors where the gate is wrong in itself, lacks a baseline that it needs, or no row of the candidate has the metric.
pub fn judge(
    spec: &GateSpec,
    candidate: &[ScoredRow],
    baseline: Option<&[ScoredRow]>,
) -> Result<Verdict> {
    verdict(spec, candidate, baseline).map_err(|error| spec.named(error))
}

fn verdict(
    spec: &GateSpec,
    candidate: &[ScoredRow],
    baseline: Option<&[ScoredRow]>,
) -> Result<Verdict> {
    let metric = spec.check()?;
    spec.check_baseline(baseline.is_some())?;
    let mut ids = BTreeSet::new();
    for id in candidate.iter().flat_map(|row| &row.id) {
        ensure!(ids.insert(id), "row {id} of the candidate is there twice");
    }
    let Some(found) = measured(candidate, metric.column) else {
        bail!(
            "no row of the candidate has \"{}\": score it with --mode {}",
            metric.column,
            spec.mode
        );
    };
    // Rows that are not the same ones have no pairs.
    let pairs = baseline.and_then(|rows| paired::compare(rows, candidate, metric.column).ok());
    let flips = pairs.map(|pairs| Flips {
        difference: pairs.difference,
        p: pairs.p,
        gained: pairs.gained.len(),
        lost: pairs.lost.len(),
    });
    let baseline = baseline.and_then(|rows| measured(rows, metric.column));
    Ok(spec.verdict(metric.mean, found, baseline, flips))
}

fn measured(rows: &[ScoredRow], column: &str) -> Option<Measured> {
    let answers: Vec<bool> = rows.iter().filter_map(|row| row.verdict(column)).collect();
    let passed = answers.iter().filter(|yes| **yes).count();
    (!answers.is_empty()).then(|| share(passed, answers.len()).into())
}

impl GateSpec {
    /// The metric, where the gate is right in itself.
    pub fn check(&self) -> Result<&'static Metric> {
        self.check_numbers()?;
        if let Some(min) = self.min {
            let fine = (0.0..=1.0).contains(&min);
            ensure!(fine, "min is {min}, expected 0 to 1");
        }
        metric(&self.mode, &self.metric)
    }

    /// What holds for every gate, whatever it measures.
    pub(super) fn check_numbers(&self) -> Result<()> {
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        ensure!(
            self.name.chars().all(fine)
                && self.name.starts_with(|c: char| c.is_ascii_alphanumeric()),
            "a name is letters, digits, - _ ."
        );
        let asked = [
            ("min", self.min),
            ("margin", self.margin),
            ("max_drop", self.max_drop),
        ];
        let mut given = asked
            .iter()
            .filter_map(|(key, value)| Some((key, (*value)?)));
        ensure!(
            given.clone().next().is_some(),
            "give one or more of min, margin and max_drop"
        );
        given.try_for_each(|(key, value)| {
            let fine = value.is_finite() && (value >= 0.0 || *key == "min");
            ensure!(fine, "{key} is {value}, expected a number of 0 or more");
            Ok(())
        })
    }

    /// An error that says which gate it is about.
    fn named(&self, error: anyhow::Error) -> anyhow::Error {
        anyhow!("gate {}: {error:#}", self.name)
    }

    /// Whether a condition is held against a baseline.
    pub fn needs_baseline(&self) -> bool {
        self.margin.or(self.max_drop).is_some()
    }

    /// Errors where a condition needs a baseline that is not `given`.
    pub fn check_baseline(&self, given: bool) -> Result<()> {
        ensure!(
            given || !self.needs_baseline(),
            "{} needs a baseline",
            if self.margin.is_some() {
                "margin"
            } else {
                "max_drop"
            }
        );
        Ok(())
    }

    fn verdict(
        &self,
        metric: &str,
        found: Measured,
        baseline: Option<Measured>,
        paired: Option<Flips>,
    ) -> Verdict {
        let better = if lower_is_better(metric) { -1.0 } else { 1.0 };
        // A share has points; of anything else the unit is its own.
        let (point, unit) = match found.n {
            0 => (1.0, ""),
            _ => (0.01, " points"),
        };
        let condition = |what: String, wanted: Option<f64>| Condition {
            what,
            wanted,
            passed: wanted.is_none_or(|wanted| better * (found.value - wanted) >= -SLACK),
        };
        let apart = |by: f64| Some(baseline?.value + better * by * point);
        let sign = |by: f64| if better * by < 0.0 { '-' } else { '+' };
        let mut conditions = Vec::new();
        conditions.extend(self.min.map(|min| {
            let word = if better > 0.0 { "min" } else { "at most" };
            condition(format!("{word} {min}"), Some(min))
        }));
        conditions.extend(
            self.margin
                .map(|by| condition(format!("baseline {} {by}{unit}", sign(1.0)), apart(by))),
        );
        conditions.extend(
            self.max_drop
                .map(|by| condition(format!("baseline {} {by}{unit}", sign(-1.0)), apart(-by))),
        );
        Verdict {
            name: self.name.clone(),
            role: self.role,
            mode: self.mode.clone(),
            metric: metric.to_owned(),
            passed: conditions.iter().all(|condition| condition.passed),
            conditions,
            value: found.value,
            passed_rows: found.passed_rows,
            n: found.n,
            interval: found.interval,
            baseline,
            paired,
        }
    }
}

/// A mode's metric, by the name of its mean or of its column.
pub fn metric(mode: &str, name: &str) -> Result<&'static Metric> {
    let Some(mode) = modes::named(mode) else {
        let known: Vec<_> = modes::ALL.iter().map(|mode| mode.name()).collect();
        bail!("mode {mode:?} is none of {}", known.join(", "));
    };
    let metrics = mode.metrics().iter();
    match metrics.clone().find(|m| m.mean == name || m.column == name) {
        Some(metric) => Ok(metric),
        None => {
            let known: Vec<_> = metrics.map(|metric| metric.mean).collect();
            bail!("metric {name:?} is none of {}", known.join(", "))
        }
    }
}

/// The mode that is meant where only a metric is named: the first, where it has one of that name, else the one with that column.
pub fn mode_of(metric: &str) -> Result<&'static dyn Mode> {
    let first = modes::ALL[0];
    if first.metrics().iter().any(|m| m.mean == metric) {
        return Ok(first);
    }
    let has = |mode: &&&dyn Mode| mode.metrics().iter().any(|m| m.column == metric);
    match modes::ALL.iter().find(has) {
        Some(mode) => Ok(*mode),
        None => {
            let metrics = modes::ALL.iter().flat_map(|mode| mode.metrics());
            let known: Vec<_> = metrics.map(|metric| metric.column).collect();
            bail!("metric {metric:?} is none of {}", known.join(", "))
        }
    }
}

/// Whether less is better, by the metric's name: a word of it begins with one of a few.
pub fn lower_is_better(metric: &str) -> bool {
    let mut words = metric.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| LOWER.iter().any(|part| word.starts_with(part)))
}

#[cfg(test)]
mod tests;
