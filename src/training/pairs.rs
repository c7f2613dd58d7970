//! Learning from answers that stay together, such as the two of a pair: which of them meet in which step.

use super::batching::steps;
use super::config::TrainConfig;
use super::lessons::{Lessons, Metrics, skip_to};
use super::objective::{Objective, Units};
use super::sft::Example;
use crate::adapters::lora::Adapter;
use anyhow::{Result, ensure};

/// The units of a run. Each is always whole in a pass, so that its prompt is computed once.
pub struct Pairs<'a> {
    examples: &'a [Example],
    /// Units of a pass.
    batch: usize,
    total: usize,
    order: Box<dyn Iterator<Item = Vec<usize>> + 'a>,
    /// Steps that were taken from `order`.
    taken: usize,
    objective: Box<dyn Units + 'a>,
}

impl<'a> Pairs<'a> {
    /// `examples` are the rows of each unit, one unit behind the other. `config` counts units where it says rows.
    pub fn new(
        examples: &'a [Example],
        objective: Box<dyn Units + 'a>,
        config: &TrainConfig,
    ) -> Result<Self> {
        let width = objective.width();
        ensure!(
            !examples.is_empty() && examples.len().is_multiple_of(width),
            "there are no whole pairs to train on"
        );
        let first: Vec<&Example> = examples.iter().step_by(width).collect();
        Ok(Self {
            examples,
            batch: config.batch,
            total: config.total_steps(first.len()),
            order: Box::new(steps(&first, config)),
            taken: 0,
            objective,
        })
    }
}

impl Lessons for Pairs<'_> {
    fn steps(&self) -> usize {
        self.total
    }

    fn begin(&mut self, step: usize, _: &Adapter) -> Result<Option<Vec<Vec<usize>>>> {
        let width = self.objective.width();
        let units = skip_to(&mut self.order, &mut self.taken, step);
        let first = units.iter().map(|unit| &self.examples[unit * width]);
        let labels = first.map(Example::labels).sum();
        self.objective.begin(units.len(), labels);
        let rows = |unit: &usize| unit * width..(unit + 1) * width;
        let passes = units.chunks(self.batch);
        let passes = passes.map(|units| units.iter().flat_map(rows).collect());
        Ok(Some(passes.collect()))
    }

    fn example(&self, row: usize) -> &Example {
        &self.examples[row]
    }

    fn objective(&mut self) -> &mut dyn Objective {
        self.objective.as_mut()
    }

    fn metrics(&mut self) -> Metrics {
        self.objective.metrics()
    }
}
