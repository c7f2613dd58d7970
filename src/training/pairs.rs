//! Learning from pairs of answers: which of them meet in which step, and how far they are from the reference.

use super::batching::steps;
use super::config::TrainConfig;
use super::lessons::{Lessons, Metrics, skip_to};
use super::objective::Objective;
use super::objective::preference::{Preference, Settings};
use super::sft::Example;
use crate::adapters::lora::Adapter;
use anyhow::{Result, ensure};

/// The pairs of a run. A pair is always whole in a pass, so that its prompt is computed once.
pub struct Pairs<'a> {
    examples: &'a [Example],
    /// Pairs of a pass.
    batch: usize,
    total: usize,
    order: Box<dyn Iterator<Item = Vec<usize>> + 'a>,
    /// Steps that were taken from `order`.
    taken: usize,
    objective: Preference,
}

impl<'a> Pairs<'a> {
    /// `examples` are the answers pair by pair, as [`Preference`] counts them, and `reference` is each one's log p under the reference.
    /// `config` counts pairs where it says rows.
    pub fn new(
        examples: &'a [Example],
        reference: Vec<f64>,
        settings: Settings,
        config: &TrainConfig,
    ) -> Result<Self> {
        ensure!(!examples.is_empty(), "there are no pairs to train on");
        ensure!(
            examples.len() == reference.len(),
            "one log p of the reference for each answer"
        );
        let objective = Preference::new(settings, reference);
        let chosen: Vec<&Example> = examples.iter().step_by(objective.width()).collect();
        Ok(Self {
            examples,
            batch: config.batch,
            total: config.total_steps(chosen.len()),
            order: Box::new(steps(&chosen, config)),
            taken: 0,
            objective,
        })
    }
}

impl Lessons for Pairs<'_> {
    fn steps(&self) -> usize {
        self.total
    }

    fn begin(&mut self, step: usize, _: &Adapter) -> Result<Vec<Vec<usize>>> {
        let width = self.objective.width();
        let pairs = skip_to(&mut self.order, &mut self.taken, step);
        let chosen = pairs.iter().map(|pair| &self.examples[pair * width]);
        self.objective
            .begin(pairs.len(), chosen.map(Example::labels).sum());
        let rows = |pair: &usize| pair * width..(pair + 1) * width;
        let passes = pairs.chunks(self.batch);
        Ok(passes
            .map(|pairs| pairs.iter().flat_map(rows).collect())
            .collect())
    }

    fn example(&self, row: usize) -> &Example {
        &self.examples[row]
    }

    fn objective(&mut self) -> &mut dyn Objective {
        &mut self.objective
    }

    fn metrics(&mut self) -> Metrics {
        self.objective.metrics()
    }
}
