//! What a run learns, step by step.

use super::batching::steps;
use super::config::TrainConfig;
use super::objective::{Mean, Objective};
use super::sft::Example;
use crate::adapters::lora::Adapter;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;

/// Numbers of a step by their names in `metrics.jsonl`, beside those that every step has.
pub type Metrics = BTreeMap<&'static str, f64>;

/// That a run has learned nothing, and that nothing is left to learn.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Nothing(pub String);

/// The rows of a run's steps and what is learned from them.
pub trait Lessons {
    /// Optimizer steps of the run.
    fn steps(&self) -> usize;

    /// Takes up `step`, counted from 0; `adapter` is what the steps before left. Returns the step's rows, in the passes that go through
    /// the base together; `None` where nothing is left to learn, which ends the run.
    fn begin(&mut self, step: usize, adapter: &Adapter) -> Result<Option<Vec<Vec<usize>>>>;

    /// A row of the step.
    fn example(&self, row: usize) -> &Example;

    /// What is learned from the step's rows.
    fn objective(&mut self) -> &mut dyn Objective;

    /// More about the step whose passes are done.
    fn metrics(&mut self) -> Metrics {
        Metrics::new()
    }
}

/// Supervised fine-tuning: rows in an order, each learned as it is.
pub struct Supervised<'a> {
    examples: &'a [Example],
    batch: usize,
    total: usize,
    order: Box<dyn Iterator<Item = Vec<usize>> + 'a>,
    /// Steps that were taken from `order`.
    taken: usize,
    mean: Mean,
}

impl<'a> Supervised<'a> {
    /// Of all `examples`, as `config` orders them.
    pub fn new(examples: &'a [Example], config: &TrainConfig) -> Result<Self> {
        ensure!(!examples.is_empty(), "there are no rows to train on");
        Ok(Self {
            examples,
            batch: config.batch,
            total: config.total_steps(examples.len()),
            order: Box::new(steps(&examples.iter().collect::<Vec<_>>(), config)),
            taken: 0,
            mean: Mean { labels: 0 },
        })
    }
}

impl Lessons for Supervised<'_> {
    fn steps(&self) -> usize {
        self.total
    }

    fn begin(&mut self, step: usize, _: &Adapter) -> Result<Option<Vec<Vec<usize>>>> {
        let rows = skip_to(&mut self.order, &mut self.taken, step);
        let labels = rows.iter().map(|row| self.examples[*row].labels()).sum();
        self.mean = Mean { labels };
        let passes = rows.chunks(self.batch).map(<[usize]>::to_vec);
        Ok(Some(passes.collect()))
    }

    fn example(&self, row: usize) -> &Example {
        &self.examples[row]
    }

    fn objective(&mut self) -> &mut dyn Objective {
        &mut self.mean
    }
}

/// What `order` has for `step`, where `taken` are gone already: a run that goes on does not begin with the first.
pub(super) fn skip_to(
    order: &mut dyn Iterator<Item = Vec<usize>>,
    taken: &mut usize,
    step: usize,
) -> Vec<usize> {
    let rows = order.nth(step - *taken).unwrap_or_default();
    *taken = step + 1;
    rows
}
