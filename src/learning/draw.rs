//! Samples of rows, token for token as they were drawn.

use crate::generation::cache::Cache;
use crate::generation::engine::Engine;
use crate::generation::flight::Event;
use crate::generation::sequence::{Answer, Finish};
use crate::generation::usage::Usage;
use crate::run::observer::Observer;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One answer to a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What the model said, without the token that ends it; `None` where there is no answer.
    pub text: Option<String>,
    pub finish: Finish,
    /// Every token as it was drawn, the one that ends the answer among them; an answer that was cut has none that ends it.
    pub tokens: Vec<u32>,
    /// Of each of those tokens, how likely the model had it (natural logarithm, at temperature 1 unless the sampler says otherwise); empty where
    /// nobody asked.
    pub logprobs: Vec<f32>,
}

impl Sample {
    /// The mean of its tokens' log-probabilities; `None` where there are none.
    pub fn logprob(&self) -> Option<f64> {
        let sum: f64 = self.logprobs.iter().map(|own| f64::from(*own)).sum();
        (!self.logprobs.is_empty()).then(|| sum / self.logprobs.len() as f64)
    }
}

impl From<Answer> for Sample {
    fn from(answer: Answer) -> Self {
        let ends = answer.end.into_iter();
        Self {
            text: answer.text,
            finish: answer.finish,
            tokens: answer.tokens.into_iter().chain(ends).collect(),
            logprobs: answer.logprobs.iter().map(|of| of.own).collect(),
        }
    }
}

/// Another seed for each turn in which the same rows are drawn again; that of turn 0 is `seed` itself.
pub fn seed(seed: u64, turn: u64) -> u64 {
    seed ^ turn.wrapping_mul(0xA24B_AED4_963E_E407)
}

/// The prompts as an engine has them that draws `samples` of each row: one behind the other, empty for the rows that are not among `which`.
pub fn repeated(prompts: &[Vec<u32>], which: &[usize], samples: usize) -> Vec<Vec<u32>> {
    let mut all = vec![Vec::new(); prompts.len() * samples];
    for &row in which {
        all[row * samples..][..samples].fill(prompts[row].clone());
    }
    all
}

/// Draws as many answers as `engine.sampler.samples` to each row of `which`, whose prompts (token ids) are among `prompts`, which has one for each
/// row. A row's prompt is computed once for all of them.
///
/// What is drawn for a row depends on the sampler's seed and on the row's place among all `prompts`, not on the others that are drawn; of several
/// the first is greedy where the sampler says so. An engine that chooses adapters or grammars by prompt has one for each sample.
///
/// Errors where the observer says stop.
pub fn draw(
    engine: &Engine,
    prompts: &[Vec<u32>],
    which: &[usize],
    observer: &dyn Observer,
) -> Result<Vec<Vec<Sample>>> {
    let places = places(which, engine.sampler.samples);
    let asked = repeated(prompts, which, engine.sampler.samples);
    let mut cache = engine.cache(&asked, &places, None)?;
    let mut drawn = BTreeMap::new();
    observer.begin(which.len(), "rows")?;
    let worked = each(engine, &mut cache, prompts, which, observer, |row, own| {
        drawn.insert(row, own);
        let words = format!("{} answers each", engine.sampler.samples);
        observer.done(drawn.len(), words);
        Ok(())
    });
    observer.end();
    worked?;
    let all = which.iter().map(|row| drawn.remove(row));
    let all: Option<Vec<_>> = all.collect();
    all.context("a row is asked for twice")
}

/// [`draw`] over a cache, in which beginnings of prompts may be already, and stay: `done` gets each row's samples as soon as the last of them is
/// there, and its error ends the work.
pub fn each(
    engine: &Engine,
    cache: &mut Cache,
    prompts: &[Vec<u32>],
    which: &[usize],
    observer: &dyn Observer,
    mut done: impl FnMut(usize, Vec<Sample>) -> Result<()>,
) -> Result<Usage> {
    let samples = engine.sampler.samples;
    let asked = repeated(prompts, which, samples);
    let mut open: BTreeMap<usize, BTreeMap<usize, Sample>> = BTreeMap::new();
    engine.answer(cache, &asked, &places(which, samples), |event| {
        if observer.stops() {
            bail!("interrupted");
        }
        let Event::Done { index, answer } = event else {
            return Ok(());
        };
        let row = index / samples;
        let own = open.entry(row).or_default();
        own.insert(index % samples, answer.into());
        if own.len() < samples {
            return Ok(());
        }
        let own = open.remove(&row).unwrap_or_default();
        done(row, own.into_values().collect())
    })
}

/// Where the samples of rows stand among the prompts of an engine.
pub fn places(which: &[usize], samples: usize) -> Vec<usize> {
    let places = which.iter().map(|row| row * samples..(row + 1) * samples);
    places.flatten().collect()
}
