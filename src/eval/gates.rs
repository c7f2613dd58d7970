//! Gates of a sweep: a set of rows that adapters are asked, a metric, and what a model must reach on it.

pub mod file;

use super::example::{self, Answers, Example, Reading};
use super::golds::{self, Golds};
use super::judge::{GateSpec, Role};
use super::modes;
use super::pool::Pool;
use super::score::ScoredRow;
use super::session::{Options, REPEATS, Rules};
use super::shown::most_bytes;
use super::stats::{Share, share};
use super::subset::{self, Only};
use super::worker::{Reply, Setup};
use crate::data::jsonl::{Faults, Line};
use crate::db::home::Home;
use crate::db::sqlite::Now;
use crate::run::files::folder_of;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One gate, ready to score answers.
pub struct Gate {
    /// What is asked of them.
    pub spec: GateSpec,
    pub data: PathBuf,
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
    file::each(path, |table, first| {
        let spec = table.spec(first)?;
        let data = table
            .data
            .context("give data, the rows that the adapters are asked")?;
        open(spec, data, table.db_dir, command, timeout, rules)
    })
}

/// The files and folders that a sweep reads by a gates file: sets of rows, and folders of databases.
pub fn inputs(path: &Path) -> Result<Vec<PathBuf>> {
    let of = |table: file::Table, _| {
        let dir = table.data.as_deref().map(folder_of).map(Path::to_owned);
        Ok([table.data, table.db_dir.or(dir)])
    };
    let inputs = file::each(path, of)?.into_iter().flatten().flatten();
    Ok(BTreeSet::from_iter(inputs).into_iter().collect())
}

/// The gate that any execution accuracy on `data` passes: for who wants to know it alone.
pub fn execution(
    data: &Path,
    db_dir: &Path,
    command: &[PathBuf],
    timeout: Duration,
    rules: Rules,
) -> Result<Gate> {
    let mode = modes::ALL[0];
    let spec = GateSpec {
        name: "execution".to_owned(),
        mode: mode.name().to_owned(),
        metric: mode.metrics()[0].mean.to_owned(),
        min: Some(0.0),
        margin: None,
        max_drop: None,
        role: Role::Primary,
        only: Only::new(),
    };
    let db_dir = Some(db_dir.to_owned());
    open(spec, data.to_owned(), db_dir, command, timeout, rules)
}

fn open(
    spec: GateSpec,
    data: PathBuf,
    db_dir: Option<PathBuf>,
    command: &[PathBuf],
    timeout: Duration,
    rules: Rules,
) -> Result<Gate> {
    let metric = spec.check()?;
    let mode = modes::named(&spec.mode).context("a mode that was checked")?;
    let keep = |_, row: &Map<String, Value>| subset::has(&spec.only, row);
    let Reading {
        examples, faults, ..
    } = example::read(&data, &[mode], Answers::Ignored, &[], None, keep)?;
    ensure!(
        !(examples.is_empty() && faults.is_empty()),
        "{}: no row is as `where` wants",
        data.display()
    );
    let mut named = Faults::default();
    faults.into_iter().for_each(|fault| named.add(fault.error));
    named.refuse()?;
    let setup = Setup {
        home: Home::Folder(db_dir.unwrap_or_else(|| folder_of(&data).to_owned())),
        modes: vec![spec.mode.clone()],
        options: Options {
            timeout,
            keep_distinct: false,
            suites: false,
            rules,
            now: Now::current(),
            shown: most_bytes(examples.len()),
            gold_dir: None,
            repeats: REPEATS,
        },
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut pool = Pool::new(command, &setup, cores.min(examples.len()));
    let golds = Golds::of(&examples);
    if let Some((row, error)) = golds.broken(&examples, &mut pool)?.into_iter().next() {
        let place = examples[row].place(&data);
        bail!("{place}: {}", golds::fault(&error));
    }
    Ok(Gate {
        spec,
        data,
        column: metric.column,
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
