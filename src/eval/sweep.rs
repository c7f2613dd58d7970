//! What a sweep found: a table, a verdict, files.

use super::gates::{Gate, pareto};
use super::judge::{Condition, GateSpec, Verdict, judge};
use super::score::ScoredRow;
use super::stats::Share;
use crate::data::jsonl;
use crate::run::files::json;
use crate::run::folder::RunFolder;
use anyhow::Result;
use serde_json::{Map, Value, json};

/// Longest name of a folder made of weights, in bytes; file systems take 255.
const MAX_FOLDER: usize = 100;
/// The verdict where no point is good enough.
pub const NONE: &str = "no point passes every gate";

/// What is measured: a mixture, or each row the adapter that the router gives it.
pub struct Point {
    pub name: String,
    /// Of each adapter; `None` is routing.
    pub weights: Option<Vec<f64>>,
    /// What makes `factory generate` answer as it does.
    pub flags: String,
}

/// The point that is the base alone, which gates compare with.
pub fn baseline(points: &[Point]) -> Option<usize> {
    let none = |weights: &Vec<f64>| weights.iter().all(|weight| *weight == 0.0);
    points
        .iter()
        .position(|point| point.weights.as_ref().is_some_and(none))
}

impl Point {
    /// Adapters of these names with `weights`.
    pub fn mixture(names: &[&str], weights: Vec<f64>, flags: String) -> Self {
        let parts = names.iter().zip(&weights);
        let parts: Vec<_> = parts
            .map(|(name, weight)| format!("{name} {}", short(*weight)))
            .collect();
        Self {
            name: parts.join(" + "),
            weights: Some(weights),
            flags,
        }
    }

    /// Each row the adapter that a router gives it.
    pub fn routed(flags: String) -> Self {
        Self {
            name: "routed".to_owned(),
            weights: None,
            flags,
        }
    }

    /// What the rows' folder of the `i`th point is called.
    fn folder(&self, i: usize) -> String {
        let name = match &self.weights {
            None => self.name.clone(),
            Some(weights) => {
                // All digits: points that look alike have folders of their own.
                let weights: Vec<_> = weights.iter().map(f64::to_string).collect();
                weights.join("+")
            }
        };
        match name.len() > MAX_FOLDER {
            true => format!("point-{}", i + 1),
            false => name,
        }
    }
}

/// A weight to three decimals at most.
fn short(weight: f64) -> String {
    let rounded = (weight * 1000.0).round() / 1000.0;
    rounded.to_string()
}

/// The scored rows of a point so far, by gate.
pub struct Measured(Vec<Vec<ScoredRow>>);

impl Measured {
    /// Nothing yet, of so many gates.
    pub fn new(gates: usize) -> Self {
        Self(vec![Vec::new(); gates])
    }

    /// Takes scored rows of a gate.
    pub fn add(&mut self, gate: usize, rows: Vec<ScoredRow>) {
        self.0[gate].extend(rows);
        self.0[gate].sort_by_key(|row| row.index);
    }

    fn shares(&self, gates: &[Gate]) -> Vec<Share> {
        let pairs = gates.iter().zip(&self.0);
        pairs.map(|(gate, rows)| gate.share(rows)).collect()
    }

    /// The metric of each gate.
    pub fn values(&self, gates: &[Gate]) -> Vec<f64> {
        self.shares(gates).iter().map(|share| share.value).collect()
    }

    /// `synthetic 0.660 (33/50), public 0.344 (22/64)`
    pub fn line(&self, gates: &[Gate]) -> String {
        let parts = gates.iter().zip(self.shares(gates)).map(|(gate, share)| {
            format!(
                "{} {:.3} ({}/{})",
                gate.spec.name, share.value, share.passed, share.n
            )
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// A point with what was found.
pub struct Found {
    pub point: Point,
    pub shares: Vec<Share>,
    /// What each gate says.
    verdicts: Vec<Verdict>,
    /// Whether all rows were measured.
    pub whole: bool,
    /// Whether no other whole one beats it.
    pub front: bool,
    rows: Measured,
}

/// All of it.
pub struct Outcome {
    pub found: Vec<Found>,
}

impl Outcome {
    /// What was measured of each point. Errors where a gate needs the base's point, and there is none.
    pub fn of(points: Vec<Point>, measured: Vec<Measured>, gates: &[Gate]) -> Result<Self> {
        let base = baseline(&points);
        let verdicts = |rows: &Measured| -> Result<Vec<Verdict>> {
            let judged = gates.iter().zip(&rows.0).enumerate();
            let judged = judged.map(|(at, (gate, rows))| {
                let base = base.map(|base| &measured[base].0[at][..]);
                judge(&gate.spec, rows, base)
            });
            judged.collect()
        };
        let verdicts: Vec<_> = measured.iter().map(verdicts).collect::<Result<_>>()?;
        let mut found = Vec::new();
        for ((point, rows), verdicts) in points.into_iter().zip(measured).zip(verdicts) {
            let mut pairs = rows.0.iter().zip(gates);
            found.push(Found {
                point,
                shares: rows.shares(gates),
                verdicts,
                whole: pairs.all(|(rows, gate)| rows.len() == gate.examples.len()),
                front: false,
                rows,
            });
        }
        let mut whole: Vec<&mut Found> = found.iter_mut().filter(|found| found.whole).collect();
        let values = |found: &&mut Found| found.shares.iter().map(|share| share.value).collect();
        let front = pareto(&whole.iter().map(values).collect::<Vec<_>>());
        for (found, front) in whole.iter_mut().zip(front) {
            found.front = front;
        }
        Ok(Self { found })
    }

    /// What a gate asks, as every point's verdict has it.
    fn asked(&self, gate: usize) -> &[Condition] {
        let first = self.found.first();
        first.map_or(&[], |found| &found.verdicts[gate].conditions)
    }

    /// The share that is just enough for a gate.
    pub fn least(&self, gate: usize) -> Option<f64> {
        let wanted = self.asked(gate).iter().filter_map(|asked| asked.wanted);
        wanted.max_by(f64::total_cmp)
    }

    /// Whether a point passes every gate.
    pub fn passes(&self) -> bool {
        self.best().is_some()
    }

    /// The whole point that passes all gates with the largest least margin; the first of equals.
    fn best(&self) -> Option<(&Found, f64)> {
        let mut best: Option<(&Found, f64)> = None;
        for found in self.found.iter().filter(|found| found.passes()) {
            let margin = found.margin();
            if best.is_none_or(|(_, least)| margin > least) {
                best = Some((found, margin));
            }
        }
        best
    }

    /// In words: which point to take.
    pub fn verdict(&self) -> String {
        match self.best() {
            Some((found, margin)) => format!(
                "best that passes every gate: {} (least margin {margin:.3})\nto answer with it: factory generate {}",
                found.point.name, found.point.flags
            ),
            None => NONE.to_owned(),
        }
    }

    /// A Markdown table, a line for each point.
    pub fn table(&self, gates: &[Gate]) -> String {
        let mut text = "| point |".to_owned();
        for (at, gate) in gates.iter().enumerate() {
            let asked: Vec<_> = self.asked(at).iter().map(|asked| &*asked.what).collect();
            let (name, metric) = (&gate.spec.name, &gate.spec.metric);
            text += &format!(" {name}: {metric} ({}) |", asked.join(", "));
        }
        text += " |\n|---|";
        text += &"---|".repeat(gates.len() + 1);
        text.push('\n');
        for found in &self.found {
            text += &format!("| {} |", found.point.name);
            for (verdict, share) in found.verdicts.iter().zip(&found.shares) {
                let mark = if verdict.passed { "" } else { " ✗" };
                text += &format!(" {:.3} ({}/{}){mark} |", share.value, share.passed, share.n);
            }
            let mut remarks = Vec::new();
            remarks.extend((!found.whole).then_some("proxy only"));
            remarks.extend(found.front.then_some("Pareto"));
            remarks.extend(found.passes().then_some("passes"));
            text += &format!(" {} |\n", remarks.join(", "));
        }
        text
    }

    /// Writes the table, all numbers as JSON, and the scored rows of every point.
    pub fn write(&self, folder: &RunFolder, gates: &[Gate]) -> Result<()> {
        let mut text = format!("{}\n{}\n", self.table(gates), self.verdict());
        text += "\nEach point is `factory generate` with these flags:\n\n";
        for found in &self.found {
            text += &format!("- {}: `{}`\n", found.point.name, found.point.flags);
        }
        folder.write("table.md", text.as_bytes())?;
        let of_gate = |gate: &Gate| {
            let GateSpec {
                name,
                metric,
                min,
                margin,
                max_drop,
                ..
            } = &gate.spec;
            let mut said = json!({"name": name, "metric": metric, "min": min});
            for (key, points) in [("margin", margin), ("max_drop", max_drop)] {
                if let Some(points) = points {
                    said[key] = json!(points);
                }
            }
            said
        };
        let of_point = |found: &Found| {
            let shares = gates.iter().zip(&found.shares);
            let shares = shares.map(|(gate, share)| (gate.spec.name.clone(), json!(share)));
            json!({
                "name": found.point.name,
                "weights": found.point.weights,
                "flags": found.point.flags,
                "gates": Value::Object(shares.collect::<Map<_, _>>()),
                "whole": found.whole,
                "pareto": found.front,
                "passes": found.passes(),
            })
        };
        let all = json!({
            "gates": gates.iter().map(of_gate).collect::<Vec<_>>(),
            "points": self.found.iter().map(of_point).collect::<Vec<_>>(),
            "best": self.best().map(|(found, _)| &found.point.name),
        });
        folder.write("sweep.json", &json(&all)?)?;
        for (i, found) in self.found.iter().enumerate() {
            for (gate, rows) in gates.iter().zip(&found.rows.0) {
                let name = format!("{}/{}.rows.jsonl", found.point.folder(i), gate.spec.name);
                folder.write(&name, &jsonl::to_bytes(rows)?)?;
            }
        }
        Ok(())
    }
}

impl Found {
    /// Only a point that was measured on all rows passes.
    fn passes(&self) -> bool {
        self.whole && self.verdicts.iter().all(|verdict| verdict.passed)
    }

    /// How far it is above what is just enough, where that is least.
    fn margin(&self) -> f64 {
        let margins = self.verdicts.iter().flat_map(|verdict| {
            let wanted = verdict.conditions.iter().filter_map(|asked| asked.wanted);
            wanted.map(|wanted| verdict.value - wanted)
        });
        margins.fold(f64::INFINITY, f64::min)
    }
}
