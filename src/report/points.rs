//! What mixtures of adapters and routing reach on each gate: the trade-off of a composition.

use super::fact::word;
use super::gates::percent;
use super::say;
use crate::eval::stats;
use serde::Serialize;
use serde_json::Value;

/// Most gates and points that are shown.
const GATES: usize = 8;
const POINTS: usize = 60;

/// A sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Tradeoff {
    pub gates: Vec<Gate>,
    pub points: Vec<Point>,
    /// The point that passes every gate with the largest least margin.
    pub best: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Gate {
    pub name: String,
    pub metric: String,
    /// What is asked: `min 0.86`, points from a baseline.
    pub asked: String,
    min: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Point {
    pub name: String,
    /// On each gate, where it was measured there.
    pub shares: Vec<Option<Share>>,
    pub remarks: String,
    pub passes: bool,
    pub flags: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Share {
    pub value: String,
    pub rows: String,
    pub interval: String,
    /// Whether it is at least the minimum, where there is one.
    pub passed: Option<bool>,
    /// On the bar, in percent.
    pub at: f64,
    pub low: f64,
    pub high: f64,
    pub wanted: Option<f64>,
}

impl Tradeoff {
    /// By sweep.json, which may be null.
    pub fn of(record: &Value) -> Option<Self> {
        let list = |key: &str| record[key].as_array().into_iter().flatten();
        let gates: Vec<Gate> = list("gates").take(GATES).filter_map(gate).collect();
        let points: Vec<Point> = list("points")
            .take(POINTS)
            .map(|one| point(one, &gates))
            .collect();
        let some = !gates.is_empty() && !points.is_empty();
        some.then(|| Self {
            gates,
            points,
            best: word(&record["best"]),
        })
    }
}

fn gate(gate: &Value) -> Option<Gate> {
    let asked = ["min", "margin", "max_drop"].into_iter().filter_map(|key| {
        let value = gate[key].as_f64()?;
        Some(format!("{} {value}", key.replace('_', " ")))
    });
    Some(Gate {
        name: word(&gate["name"])?,
        metric: word(&gate["metric"]).unwrap_or_default(),
        asked: asked.collect::<Vec<_>>().join(", "),
        min: gate["min"].as_f64(),
    })
}

fn point(point: &Value, gates: &[Gate]) -> Point {
    let shares = gates.iter().map(|gate| {
        let found: stats::Share =
            serde_json::from_value(point["gates"][&gate.name].clone()).ok()?;
        let at = percent(found.value);
        let [low, high] = found.wilson95;
        Some(Share {
            value: say::value(found.value),
            rows: format!("{}/{}", found.passed, found.n),
            interval: say::interval(found.wilson95),
            passed: gate.min.map(|min| found.value >= min),
            at,
            low: percent(low),
            high: percent(high),
            wanted: gate.min.map(percent),
        })
    });
    let yes = |key: &str| point[key] == true;
    let remarks = [
        (!yes("whole"), "measured on some rows only"),
        (yes("pareto"), "in the Pareto set"),
        (yes("passes"), "passes every gate"),
    ];
    let remarks = remarks
        .into_iter()
        .filter_map(|(is, remark)| is.then_some(remark));
    Point {
        name: word(&point["name"]).unwrap_or_default(),
        shares: shares.collect(),
        remarks: remarks.collect::<Vec<_>>().join("; "),
        passes: yes("passes"),
        flags: word(&point["flags"]),
    }
}
