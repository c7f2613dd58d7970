//! How far merged weights are from the adapter on its base: logits of the run's prompts, and the run's gates scored again.

use super::request::{GGUF, Request, Weights};
use super::serving::Serving;
use crate::answering::config::Config;
use crate::answering::loaded::Loaded;
use crate::answering::loras::Loras;
use crate::answering::rows::{Row, Rows};
use crate::data::record;
use crate::eval::judge::{Verdict, judge};
use crate::eval::score::{NO_ANSWER, ScoredRow};
use crate::generation::sampler::SamplerConfig;
use crate::model::batch::Batch;
use crate::model::linear::Delta;
use crate::recipe::evidence::{Evidence, GateEvidence};
use crate::recipe::{rescore, rows};
use crate::run::folder::RunFolder;
use crate::run::observer::Observer;
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Most prompts whose logits are compared, and most positions of all: each has a logit for every token of the vocabulary.
const PROMPTS: usize = 32;
const POSITIONS: usize = 512;

/// `compared.json`.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub logits: Logits,
    pub gates: Vec<Gate>,
    /// Gates that no generate stage answered, which could not be asked again.
    pub left_out: Vec<String>,
}

/// Differences of logits, at the end of each prompt and along the answer that the adapter gave.
#[derive(Debug, Serialize)]
pub struct Logits {
    pub prompts: usize,
    pub positions: usize,
    pub largest: f64,
    pub mean: f64,
    /// The largest logit.
    pub scale: f64,
    /// Positions at which another token is the likeliest.
    pub other_top: usize,
}

/// A gate before and after.
#[derive(Debug, Serialize)]
pub struct Gate {
    pub name: String,
    pub metric: String,
    pub n: usize,
    /// What the run measured, and whether it passed.
    pub measured: f64,
    pub measured_passed: bool,
    /// The same of what is packaged.
    pub value: f64,
    pub interval: [f64; 2],
    pub passed: bool,
    /// Rows whose answer is the same text.
    pub same_answers: usize,
}

/// Compares the model in `folder` with what the run measured.
pub fn compare(
    folder: &RunFolder,
    serving: &Serving,
    evidence: &Evidence,
    request: &Request,
    observer: &dyn Observer,
) -> Result<Compared> {
    let model = match request.weights {
        Weights::Gguf(_) => folder.path().join(GGUF),
        _ => folder.path().to_owned(),
    };
    let model = model.to_string_lossy().into_owned();
    let template = serving.template(observer)?;
    let load = |config: &Config| {
        let config = Config {
            loras: Loras::default(),
            base: Some(model.clone()),
            template: Some(template),
            ..config.clone()
        };
        Loaded::load(&config, request.place, observer)
    };
    let rows = of_run(request.run, evidence.primary()?)?;
    let own = Loaded::load(&serving.config, request.place, observer)?;
    let texts = Texts::of(&own, serving, &rows, observer)?;
    let before = texts.logits(&own)?;
    drop(own);
    let written = load(&serving.config)?;
    ensure!(
        Texts::of(&written, serving, &rows, observer)? == texts,
        "the written tokenizer reads the prompts of {} otherwise than the base's",
        serving.data.display()
    );
    let logits = difference(&texts, &before, &texts.logits(&written)?);
    drop(written);

    let (mut gates, mut left_out) = (Vec::new(), Vec::new());
    let mut answered: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for gate in &evidence.gates {
        let Some(answers) = &gate.answers else {
            left_out.push(gate.gate.name.clone());
            continue;
        };
        if !answered.contains_key(answers.key.as_str()) {
            let (config, sampler) = (request.asked_by)(answers)?;
            let data = answers.values("--data").pop();
            let data =
                data.with_context(|| format!("stage {}: it has no --data", answers.stage))?;
            let found = answer(
                &load(&config)?,
                &config,
                sampler,
                Path::new(&data),
                observer,
            )?;
            answered.insert(&answers.key, found);
        }
        gates.push(again(gate, &answered[answers.key.as_str()], request)?);
    }
    Ok(Compared {
        logits,
        gates,
        left_out,
    })
}

/// The candidate's rows of a gate, as the run keeps them.
fn of_run(run: &Path, gate: &GateEvidence) -> Result<Vec<ScoredRow>> {
    let name = &gate.gate.name;
    let rows = rows::of_run(run, name, "candidate")?;
    rows.with_context(|| format!("{} is missing", rows::file(name, "candidate").display()))
}

/// Prompts with the answers that the run's rows have, as tokens.
#[derive(PartialEq)]
struct Texts {
    /// With how many tokens of each are the prompt.
    rows: Vec<(Vec<u32>, usize)>,
}

impl Texts {
    fn of(
        loaded: &Loaded,
        serving: &Serving,
        rows: &[ScoredRow],
        observer: &dyn Observer,
    ) -> Result<Self> {
        let (lines, asked) = record::read_prompts(&serving.data, &serving.config.columns)?;
        let prompts = loaded.prompts(&serving.data, &lines, &asked, observer)?;
        let most = loaded.base.decoder.config.max_position_embeddings;
        let with_answer = |row: &ScoredRow| {
            let prompt = prompts.get(row.index);
            let mut tokens = prompt
                .with_context(|| format!("{} has no row {}", serving.data.display(), row.index))?
                .clone();
            let given = tokens.len();
            tokens.extend(
                loaded
                    .base
                    .tokenizer
                    .encode_behind(tokens.last().copied(), &row.predicted_sql)?,
            );
            tokens.truncate(most);
            Ok((tokens, given))
        };
        let fits = |row: &&ScoredRow| {
            prompts
                .get(row.index)
                .is_none_or(|prompt| prompt.len() < most)
        };
        let rows = rows.iter().filter(fits).take(PROMPTS).map(with_answer);
        Ok(Self {
            rows: rows.collect::<Result<_>>()?,
        })
    }

    /// The logits of each position from a prompt's last on, up to [`POSITIONS`] of all texts.
    fn logits(&self, loaded: &Loaded) -> Result<Vec<Vec<f32>>> {
        let decoder = &loaded.base.decoder;
        let mut found = Vec::new();
        for (tokens, given) in &self.rows {
            let first = given - 1;
            let count = (tokens.len() - first).min(POSITIONS - found.len());
            if count == 0 {
                break;
            }
            let mut batch = Batch::default();
            batch.push_sequence(tokens);
            let delta = loaded.bank.rows(vec![(0..tokens.len(), &loaded.mixture)]);
            let hidden = decoder.forward(&batch, None, Some(&delta as &dyn Delta))?;
            let logits = decoder.logits(&hidden.narrow(0, first, count)?)?;
            found.extend(logits.to_vec2::<f32>()?);
        }
        Ok(found)
    }
}

fn difference(texts: &Texts, before: &[Vec<f32>], after: &[Vec<f32>]) -> Logits {
    let (mut largest, mut sum, mut count, mut scale) = (0f64, 0f64, 0usize, 0f64);
    let mut other_top = 0;
    for (before, after) in before.iter().zip(after) {
        other_top += usize::from(top(before) != top(after));
        for (a, b) in before.iter().zip(after) {
            let apart = f64::from((a - b).abs());
            // A NaN stays.
            if apart.is_nan() || apart > largest {
                largest = apart;
            }
            sum += apart;
            scale = scale.max(f64::from(a.abs()));
        }
        count += before.len();
    }
    Logits {
        prompts: texts.rows.len(),
        positions: before.len(),
        largest,
        mean: sum / count.max(1) as f64,
        scale,
        other_top,
    }
}

/// The place of the largest logit, the first of several.
fn top(logits: &[f32]) -> usize {
    let best = logits
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (at, &logit)| {
            if logit > best.1 { (at, logit) } else { best }
        });
    best.0
}

/// The answers to the rows of a file.
fn answer(
    loaded: &Loaded,
    config: &Config,
    sampler: SamplerConfig,
    data: &Path,
    observer: &dyn Observer,
) -> Result<Vec<Row>> {
    let (lines, asked) = record::read_prompts(data, &config.columns)?;
    let prompts = loaded.prompts(data, &lines, &asked, observer)?;
    let engine = loaded.engine(None, sampler);
    let mut rows = Rows::unkept(0..prompts.len());
    let mut cache = loaded.cache(&engine, &prompts, &rows.waiting(), observer)?;
    observer.begin(prompts.len(), "rows")?;
    let mut done = 0;
    let answered = rows.answer(&engine, &mut cache, &prompts, |row| {
        if row.is_some() {
            done += 1;
            observer.done(done, "answered".to_owned());
        }
        match observer.stops() {
            true => bail!("interrupted"),
            false => Ok(()),
        }
    });
    observer.end();
    answered?;
    Ok(rows.answered().map(|(_, row)| row.clone()).collect())
}

/// A gate on other answers.
fn again(gate: &GateEvidence, answers: &[Row], request: &Request) -> Result<Gate> {
    let run = request.run;
    let name = &gate.gate.name;
    let own = of_run(run, gate)?;
    let mut same_answers = 0;
    let mut other = Vec::new();
    for row in &own {
        let answer = answers.get(row.index);
        let answer = answer
            .with_context(|| format!("gate {name}: row {} was not answered", rows::name(row)))?;
        let mut row = row.clone();
        let text = answer.text.clone().unwrap_or_default();
        same_answers += usize::from(text == row.predicted_sql);
        row.predicted_sql = text;
        // Whether there was an answer is read from here.
        row.scores.failure_type = answer.text.is_none().then(|| NO_ANSWER.to_owned());
        other.push(row);
    }
    let at = rows::scored_at(run, name, "candidate");
    let setup = (request.check.setup)(&gate.candidate, other.len(), at)?;
    let scored = rescore::again(&other, &setup, request.check.worker)?;
    let baseline = rows::of_run(run, name, "baseline")?;
    let before = judge(&gate.gate, &own, baseline.as_deref())?;
    let after = judge(&gate.gate, &scored, baseline.as_deref())?;
    Ok(Gate::of(&before, &after, same_answers))
}

impl Compared {
    /// In words, a line each.
    pub fn lines(&self) -> Vec<String> {
        let logits = &self.logits;
        let mut lines = vec![format!(
            "logits: at {} positions of {} prompts they differ by {:.2e} at most and {:.2e} on average, of logits up to {:.1}; another token is the likeliest at {}",
            logits.positions,
            logits.prompts,
            logits.largest,
            logits.mean,
            logits.scale,
            logits.other_top
        )];
        lines.extend(self.gates.iter().map(|gate| {
            let verdict = |passed| if passed { "pass" } else { "fail" };
            format!(
                "gate {}: {} {:.3} ({}), measured {:.3} ({}); {} of {} answers are the same",
                gate.name,
                gate.metric,
                gate.value,
                verdict(gate.passed),
                gate.measured,
                verdict(gate.measured_passed),
                gate.same_answers,
                gate.n
            )
        }));
        let left_out = self.left_out.iter();
        lines.extend(
            left_out.map(|name| {
                format!("gate {name}: no answers of a generate stage, not asked again")
            }),
        );
        lines
    }
}

impl Gate {
    fn of(before: &Verdict, after: &Verdict, same_answers: usize) -> Self {
        Self {
            name: before.name.clone(),
            metric: before.metric.clone(),
            n: before.n,
            measured: before.value,
            measured_passed: before.passed,
            value: after.value,
            interval: after.interval,
            passed: after.passed,
            same_answers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_and_a_nan_stays() {
        let texts = Texts {
            rows: vec![(vec![1, 2], 1)],
        };
        let before = [vec![1.0, 2.0], vec![3.0, 1.0]];
        let found = difference(&texts, &before, &[vec![1.0, 2.5], vec![0.0, 1.0]]);
        assert_eq!((found.largest, found.mean, found.scale), (3.0, 0.875, 3.0));
        assert_eq!((found.other_top, found.positions), (1, 2));
        let found = difference(&texts, &before, &[vec![f32::NAN, 2.0], vec![3.0, 1.0]]);
        assert!(found.largest.is_nan());
    }
}
