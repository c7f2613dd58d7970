//! Preference pairs of a model's own answers: one that passes over one that fails. Nothing else is so near to what it says anyway.

use super::draw::{self, Sample};
use super::rollouts;
use super::rows::Rows;
use super::verdicts::Scorer;
use crate::adapters::lora::Adapter;
use crate::answering::policy::Policy;
use crate::answering::trial;
use crate::data::jsonl;
use crate::data::pairs::{Judged, Pair};
use crate::data::record::Columns;
use crate::data::template::Renderer;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::model::load::Base;
use crate::run::files::write_atomic;
use crate::run::observer::Observer;
use crate::run::training_run::TrainingRun;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The pairs, in the run's folder.
const FILE: &str = "pairs.jsonl";

/// How pairs are drawn.
#[derive(Debug, Clone)]
pub struct Config {
    pub sampler: SamplerConfig,
    /// Most pairs a row.
    pub per_row: usize,
}

/// A pair as it is kept.
#[derive(Serialize, Deserialize)]
struct Line {
    /// The row's place among all.
    row: usize,
    place: String,
    chosen: String,
    rejected: String,
    /// Why the other is wrong.
    failure_type: Option<String>,
}

/// Pairs of the answers of `base` under `adapter` to `rows`, kept in `folder`; taken from there where the run goes on.
pub fn pairs(
    config: &Config,
    (base, adapter): (&Base, &Adapter),
    renderer: &Renderer,
    (rows, scorer): (&Rows, &mut Scorer),
    columns: &Columns,
    folder: &TrainingRun,
    observer: &dyn Observer,
) -> Result<Vec<Judged>> {
    let path = folder.path().join(FILE);
    let lines = match path.exists() {
        true => read(&path)?,
        false => {
            let lines = drawn(
                config,
                (base, adapter),
                renderer,
                (rows, scorer),
                columns,
                observer,
            )?;
            write_atomic(&path, &jsonl::to_bytes(&lines)?)?;
            lines
        }
    };
    let pair = |line: &Line| -> Result<Judged> {
        let row = rows.rows.get(line.row);
        let row = row.with_context(|| format!("{}: not of these rows", path.display()))?;
        let pair = Pair::new(&line.place, &row.asked, &line.chosen, &line.rejected);
        Ok(Judged::Pair(Box::new(pair)))
    };
    lines.iter().map(pair).collect()
}

fn read(path: &Path) -> Result<Vec<Line>> {
    let lines = jsonl::read(path)?.into_iter();
    let line = |line: jsonl::Line| {
        let number = line.number;
        let read = serde_json::from_value(line.into_fields().into());
        read.with_context(|| format!("{}:{number}", path.display()))
    };
    lines.map(line).collect()
}

/// The different queries of a row's answers that pass, or that fail: when each came first, in which answer, and why it fails.
type Side<'a> = BTreeMap<&'a str, (usize, &'a str, Option<&'a str>)>;

fn drawn(
    config: &Config,
    (base, adapter): (&Base, &Adapter),
    renderer: &Renderer,
    (rows, scorer): (&Rows, &mut Scorer),
    columns: &Columns,
    observer: &dyn Observer,
) -> Result<Vec<Line>> {
    let stop = StopConfig::default();
    let (asked, _) = rows.asked();
    let prompts = trial::prompts(base, renderer, &rows.path, &asked, columns, &stop)?;
    let policy = Policy::new(base, adapter, None)?;
    let mut engine = policy.engine(config.sampler.clone(), stop);
    // What is free may be another amount when the run goes on.
    engine.memory = usize::MAX;
    let which: Vec<usize> = (0..prompts.len()).collect();
    observer.note(format_args!(
        "drawing {} answers to each of {} rows",
        config.sampler.samples,
        which.len()
    ));
    let samples = draw::draw(&engine, &prompts, &which, observer)?;
    let samples = samples.into_iter().enumerate();
    let samples = samples.flat_map(|(row, own)| own.into_iter().map(move |one| (row, one)));
    let samples: Vec<(usize, Sample)> = samples.collect();
    let of_rows: Vec<usize> = samples.iter().map(|(row, _)| *row).collect();
    let drawn = rollouts::drawn(scorer, samples, observer)?;
    let mut groups: BTreeMap<usize, [Side; 2]> = BTreeMap::new();
    for (at, (row, one)) in of_rows.into_iter().zip(&drawn).enumerate() {
        let Some(reply) = one.sample.text.as_deref() else {
            continue;
        };
        // An answer without a query is itself.
        let query = one.query.as_deref().unwrap_or(reply);
        let side = usize::from(!one.passed());
        let group = &mut groups.entry(row).or_default()[side];
        let failure = one.judged.failure.as_deref();
        group.entry(query).or_insert((at, reply, failure));
    }
    let mut lines = Vec::new();
    let (mut right, mut wrong) = (0, 0);
    for (row, sides) in groups {
        let [passing, failing] = sides.map(|side| {
            let mut side: Vec<_> = side.into_values().collect();
            side.sort_by_key(|(at, ..)| *at);
            side
        });
        match (passing.is_empty(), failing.is_empty()) {
            (true, _) => wrong += 1,
            (_, true) => right += 1,
            _ => {}
        }
        let pairs = passing.iter().cycle().zip(&failing).take(config.per_row);
        lines.extend(pairs.map(|((_, chosen, _), (_, rejected, failure))| Line {
            row,
            place: rows.place(row),
            chosen: (*chosen).to_owned(),
            rejected: (*rejected).to_owned(),
            failure_type: failure.map(str::to_owned),
        }));
    }
    ensure!(
        !lines.is_empty(),
        "{}: no row has an answer that passes beside one that fails ({right} rows all right, {wrong} all wrong): there is nothing to prefer",
        rows.path.display()
    );
    observer.note(format_args!(
        "{} pairs of own answers; {right} rows were all right, {wrong} all wrong",
        lines.len()
    ));
    Ok(lines)
}
