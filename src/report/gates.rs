//! Gates as they are drawn: a bar for each side, its interval, what is wanted.

use super::say;
use crate::eval::judge::{Measured, Role, Verdict};
use serde::Serialize;

/// A gate for the page.
#[derive(Clone, Debug, Serialize)]
pub struct Gate {
    pub name: String,
    pub role: &'static str,
    pub mode: String,
    pub metric: String,
    pub passed: bool,
    pub conditions: Vec<Condition>,
    pub candidate: Side,
    pub baseline: Option<Side>,
    /// What is wanted, as places on the bar.
    pub wanted: Vec<f64>,
    /// Candidate − baseline.
    pub change: Option<String>,
    /// The paired test, in words.
    pub paired: Option<String>,
    /// Whether the values are shares of rows, which have bars.
    pub drawn: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct Condition {
    pub what: String,
    /// The value that is just enough and by how much it is met; none where the baseline lacks it.
    pub wanted: Option<String>,
    pub passed: bool,
}

/// What one model reaches.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    pub value: String,
    /// `43/50`; none for a plain number.
    pub rows: Option<String>,
    pub interval: Option<String>,
    /// In percent of the bar: the value and its interval's ends.
    pub at: f64,
    pub low: f64,
    pub high: f64,
}

impl Gate {
    pub fn of(verdict: &Verdict) -> Self {
        let baseline = verdict.baseline.as_ref();
        let own = Measured {
            value: verdict.value,
            passed_rows: verdict.passed_rows,
            n: verdict.n,
            interval: verdict.interval,
        };
        let difference = baseline.map(|baseline| own.value - baseline.value);
        let shares = own.n > 0;
        let change = |difference: f64| match shares {
            true => format!("{} points", say::points(difference)),
            false => format!("{difference:+.3}"),
        };
        let paired = verdict.paired.map(|flips| {
            let (gained, lost, p) = (flips.gained, flips.lost, say::p(flips.p));
            format!("gained {gained}, lost {lost}, {p} (exact McNemar test on the same rows)")
        });
        let conditions = verdict.conditions.iter().map(|condition| Condition {
            what: condition.what.clone(),
            wanted: condition.wanted.map(|wanted| {
                let how = if condition.passed { "met" } else { "missed" };
                let by = change((own.value - wanted).abs());
                format!(
                    "{}, {how} by {}",
                    say::value(wanted),
                    by.trim_start_matches('+')
                )
            }),
            passed: condition.passed,
        });
        let wanted = verdict
            .conditions
            .iter()
            .filter_map(|condition| condition.wanted);
        Self {
            name: verdict.name.clone(),
            role: match verdict.role {
                Role::Primary => "primary",
                Role::Regression => "regression",
            },
            mode: verdict.mode.clone(),
            metric: verdict.metric.clone(),
            passed: verdict.passed,
            conditions: conditions.collect(),
            candidate: Side::of(&own),
            baseline: baseline.map(Side::of),
            wanted: wanted.map(percent).collect(),
            change: difference.map(change),
            paired,
            drawn: shares,
        }
    }
}

impl Side {
    pub fn of(measured: &Measured) -> Self {
        let share = measured.n > 0;
        Self {
            value: say::value(measured.value),
            rows: share.then(|| format!("{}/{}", measured.passed_rows, measured.n)),
            interval: share.then(|| say::interval(measured.interval)),
            at: percent(measured.value),
            low: percent(measured.interval[0]),
            high: percent(measured.interval[1]),
        }
    }
}

/// A share as a place on a bar, to a tenth of a percent.
pub fn percent(share: f64) -> f64 {
    (share.clamp(0.0, 1.0) * 1000.0).round() / 10.0
}
