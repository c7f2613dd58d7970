//! Gates: a set of rows, a metric, and the least that a model must reach on it.

use super::example::{self, Answers, Example, Reading};
use super::golds::Golds;
use super::modes::{self, Mode};
use super::pool::Pool;
use super::score::ScoredRow;
use super::session::{Options, Rules};
use super::shown::most_bytes;
use super::stats::{Share, share};
use super::worker::{Reply, Setup};
use crate::data::jsonl::{Faults, Line};
use crate::run::files::folder_of;
use crate::sql::database::Now;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A gates file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    gate: Vec<GateSpec>,
}

/// One gate as its file has it. Paths are relative to the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GateSpec {
    name: String,
    /// Rows with a prompt, `gold_sql` and what the mode needs.
    data: PathBuf,
    /// Fields and the texts that they have in the gate's rows [default: all rows].
    #[serde(default, rename = "where")]
    only: BTreeMap<String, String>,
    #[serde(default = "default_mode")]
    mode: String,
    /// One of the mode's [default: its first].
    metric: Option<String>,
    /// The least mean that passes, 0 to 1.
    min: f64,
    /// The databases [default: the data's folder].
    db_dir: Option<PathBuf>,
}

fn default_mode() -> String {
    modes::ALL[0].name().to_owned()
}

/// One gate, ready to score answers.
pub struct Gate {
    pub name: String,
    pub data: PathBuf,
    /// The metric's name.
    pub metric: &'static str,
    pub min: f64,
    /// Its rows.
    pub examples: Vec<Example>,
    /// The metric's column in a scored row.
    column: &'static str,
    golds: Golds,
    pool: Pool,
    rules: Rules,
}

/// Reads a gates file and the sets that it names, and checks every reference query. `command` starts a scoring process.
///
/// Errors name every fault of the file.
pub fn read(
    path: &Path,
    command: &[PathBuf],
    timeout: Duration,
    rules: Rules,
) -> Result<Vec<Gate>> {
    let spec = parse(path)?;
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    let mut gates = Vec::new();
    for gate in spec.gate {
        let name = gate.name.clone();
        if !names.insert(name.clone()) {
            faults.push(format!("gate {name}: the name is there twice"));
        }
        match open(gate, folder_of(path), command, timeout, rules) {
            Ok(gate) => gates.push(gate),
            Err(error) => faults.push(format!("gate {name}: {error:#}")),
        }
    }
    ensure!(
        faults.is_empty(),
        "{}: {}",
        path.display(),
        faults.join("; ")
    );
    Ok(gates)
}

fn parse(path: &Path) -> Result<Spec> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec: Spec = toml::from_str(&text)
        .map_err(|e| anyhow::anyhow!("{}: {}", path.display(), e.message()))?;
    ensure!(!spec.gate.is_empty(), "{}: no [[gate]]", path.display());
    Ok(spec)
}

/// The files and folders that a gates file leads to: sets of rows, and folders of databases.
pub fn inputs(path: &Path) -> Result<Vec<PathBuf>> {
    let of = |gate: &GateSpec| [folder_of(path).join(&gate.data), gate.db_dir(folder_of(path))];
    let inputs: BTreeSet<PathBuf> = parse(path)?.gate.iter().flat_map(of).collect();
    Ok(inputs.into_iter().collect())
}

impl GateSpec {
    /// The folder of its databases, where the gates file lies in `folder`.
    fn db_dir(&self, folder: &Path) -> PathBuf {
        match &self.db_dir {
            Some(dir) => folder.join(dir),
            None => folder_of(&folder.join(&self.data)).to_owned(),
        }
    }
}

/// The gate that any execution accuracy on `data` passes: for who wants to know it alone.
pub fn execution(
    data: &Path,
    db_dir: &Path,
    command: &[PathBuf],
    timeout: Duration,
    rules: Rules,
) -> Result<Gate> {
    let spec = GateSpec {
        name: "execution".to_owned(),
        data: data.to_owned(),
        only: BTreeMap::new(),
        mode: default_mode(),
        metric: None,
        min: 0.0,
        db_dir: Some(db_dir.to_owned()),
    };
    open(spec, Path::new(""), command, timeout, rules)
}

fn open(
    spec: GateSpec,
    folder: &Path,
    command: &[PathBuf],
    timeout: Duration,
    rules: Rules,
) -> Result<Gate> {
    ensure!(
        spec.name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && spec.name.starts_with(|c: char| c.is_ascii_alphanumeric()),
        "a name is letters, digits, - _ ."
    );
    ensure!(
        (0.0..=1.0).contains(&spec.min),
        "min is {}, expected 0 to 1",
        spec.min
    );
    let Some(mode) = modes::ALL.iter().find(|mode| mode.name() == spec.mode) else {
        let known: Vec<_> = modes::ALL.iter().map(|mode| mode.name()).collect();
        bail!("mode {:?} is none of {}", spec.mode, known.join(", "));
    };
    let wanted = spec.metric.as_deref().unwrap_or(mode.metrics()[0].mean);
    let Some(metric) = mode.metrics().iter().find(|metric| metric.mean == wanted) else {
        let known: Vec<_> = mode.metrics().iter().map(|metric| metric.mean).collect();
        bail!("metric {wanted:?} is none of {}", known.join(", "));
    };
    let data = folder.join(&spec.data);
    let mode: &dyn Mode = *mode;
    let keep = |row: &Map<String, Value>| {
        let is = |(field, text): (&String, &String)| {
            row.get(field).and_then(Value::as_str) == Some(text.as_str())
        };
        spec.only.iter().all(is)
    };
    let Reading {
        examples, faults, ..
    } = example::read(&data, &[mode], Answers::Ignored, keep)?;
    ensure!(
        !(examples.is_empty() && faults.is_empty()),
        "{}: no row is as `where` wants",
        data.display()
    );
    let mut named = Faults::default();
    faults.into_iter().for_each(|fault| named.add(fault.error));
    named.refuse()?;
    let setup = Setup {
        db_dir: spec.db_dir(folder),
        modes: vec![spec.mode],
        options: Options {
            timeout,
            keep_distinct: false,
            rules,
            now: Now::current(),
            shown: most_bytes(examples.len()),
        },
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut pool = Pool::new(command, &setup, cores.min(examples.len()));
    let golds = Golds::of(&examples);
    if let Some((row, error)) = golds.broken(&examples, &mut pool)?.into_iter().next() {
        let place = examples[row].place(&data);
        bail!("{place}: gold_sql gave no rows: {error}");
    }
    Ok(Gate {
        name: spec.name,
        data,
        metric: metric.mean,
        column: metric.column,
        min: spec.min,
        examples,
        golds,
        pool,
        rules,
    })
}

impl Gate {
    /// Its rows as they were read, to be asked.
    pub fn lines(&self) -> Vec<Line> {
        let line = |example: &Example| Line::new(example.line, example.fields.clone());
        self.examples.iter().map(line).collect()
    }

    /// Scores `answers` to some of its rows, each with its place among them; in that order.
    pub fn score(&mut self, answers: &[(usize, String)]) -> Result<Vec<ScoredRow>> {
        for (row, answer) in answers {
            let fields = &mut self.examples[*row].fields;
            fields.insert("predicted_sql".to_owned(), answer.clone().into());
        }
        let jobs = answers
            .iter()
            .map(|&(row, _)| self.golds.score(&self.examples[row], row, None));
        let mut scored = vec![None; answers.len()];
        let (examples, extract) = (&self.examples, self.rules.extract);
        self.pool.run(jobs.collect(), |place, reply, elapsed| {
            let Reply::Scores(scores) = reply else {
                bail!("a scoring process answered something else");
            };
            let example = &examples[answers[place].0];
            scored[place] = Some(ScoredRow::new(example, scores, extract, elapsed));
            Ok(())
        })?;
        let scored: Option<Vec<_>> = scored.into_iter().collect();
        scored.context("a scoring process left a row out")
    }

    /// The metric over scored rows.
    pub fn share(&self, rows: &[ScoredRow]) -> Share {
        let passed = rows
            .iter()
            .filter(|row| row.verdict(self.column) == Some(true));
        share(passed.count(), rows.len())
    }

    /// Whether a value passes.
    pub fn passes(&self, share: &Share) -> bool {
        share.value >= self.min
    }
}

/// Whether each point is on the Pareto front: no other is at least as good everywhere and better somewhere.
pub fn pareto(points: &[Vec<f64>]) -> Vec<bool> {
    let beats = |a: &[f64], b: &[f64]| {
        let pairs = || a.iter().zip(b);
        pairs().all(|(a, b)| a >= b) && pairs().any(|(a, b)| a > b)
    };
    points
        .iter()
        .map(|point| !points.iter().any(|other| beats(other, point)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_nothing_beats() {
        let points = [
            [0.1, 0.9],
            [0.5, 0.5],
            [0.5, 0.4],
            [0.9, 0.1],
            [0.1, 0.9],
            [0.0, 0.0],
        ];
        assert_eq!(
            pareto(&points.map(Vec::from)),
            [true, true, false, true, true, false]
        );
        assert!(pareto(&[]).is_empty());
    }
}
