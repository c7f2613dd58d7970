//! What follows on each step of a run: a line of metrics, an evaluation, a state, an end.

use super::config::Config;
use super::files::Files;
use super::guard::Tripped;
use super::selection::{Measured, Selection};
use super::state::{Notes, States};
use crate::adapters::lora::Adapter;
use crate::run::observer::Observer;
use crate::run::training_run::TrainingRun;
use crate::training::config::TrainConfig;
use crate::training::optim::Optimizer;
use crate::training::trainer::StepMetrics;
use anyhow::{Result, bail};
use serde::Serialize;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Time between states, unless steps are given.
const PERIOD: Duration = Duration::from_secs(60);

/// A line of `metrics.jsonl`.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    step: StepMetrics,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_accuracy: Option<f64>,
}

/// A run while it goes on.
pub struct Course<'a> {
    pub config: &'a Config,
    pub train: &'a TrainConfig,
    pub files: &'a Files<'a>,
    pub states: &'a States<'a>,
    pub selection: Option<Selection<'a>>,
    pub folder: &'a mut TrainingRun,
    pub observer: &'a dyn Observer,
    /// Steps in all.
    pub total: usize,
    /// Seconds that the run took before it was interrupted.
    pub before: f64,
    /// When the last state was, or the beginning.
    pub saved: Instant,
    pub notes: Notes,
    /// Tokens of all rows so far.
    pub seen: usize,
    /// Those of them that shared prefixes spared.
    pub spared: usize,
}

impl Course<'_> {
    /// Does what is due after a step; `Break` ends the run.
    pub fn after(
        &mut self,
        m: &StepMetrics,
        adapter: &Adapter,
        optimizer: &Optimizer,
    ) -> Result<ControlFlow<()>> {
        let mut words = format!("loss {:.4}  {:.0} tokens/s", m.loss, m.tokens_per_s);
        if let Some(loss) = m.val_loss {
            words += &format!("  val loss {loss:.4}");
        }
        self.observer.done(m.step, words);
        self.seen += m.tokens;
        self.spared += m.tokens - m.computed;
        self.notes.elapsed_s = self.before + m.elapsed_s;
        let measured = self.evaluate(m.step, adapter)?;
        let execution_accuracy = measured.as_ref().map(Measured::accuracy);
        self.folder.metric(&Line {
            step: StepMetrics {
                elapsed_s: self.notes.elapsed_s,
                ..m.clone()
            },
            execution_accuracy,
        })?;
        self.guard(m, measured.as_ref())?;
        let selection = self.selection.as_ref();
        if m.step == self.total || selection.is_some_and(|s| s.gives_up(&self.notes.best)) {
            return Ok(ControlFlow::Break(()));
        }
        self.keep(m.step, adapter, optimizer)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Measures the adapter that a guarded run begins with: what follows is held against it, and no worse one is kept.
    pub fn before(&mut self, adapter: &Adapter) -> Result<()> {
        if !(self.config.guards && self.notes.guards.wants_start()) {
            return Ok(());
        }
        if let Some(selection) = &mut self.selection {
            let measured = selection.measure(adapter, self.files.ngrams)?;
            self.take(0, adapter, &measured)?;
            self.notes.guards.start(measured);
        }
        Ok(())
    }

    /// Measures the adapter where that is due, and saves it where it is the best so far.
    fn evaluate(&mut self, step: usize, adapter: &Adapter) -> Result<Option<Measured>> {
        let Some(selection) = &mut self.selection else {
            return Ok(None);
        };
        if !selection.measures(step, self.total) {
            return Ok(None);
        }
        let measured = selection.measure(adapter, self.files.ngrams)?;
        self.take(step, adapter, &measured)?;
        Ok(Some(measured))
    }

    /// Saves the adapter after `step` where it is the best so far.
    fn take(&mut self, step: usize, adapter: &Adapter, measured: &Measured) -> Result<()> {
        if self.notes.best.add(step, measured.accuracy()) {
            self.folder.save_best(step, &self.files.of(adapter)?)?;
        }
        Ok(())
    }

    /// Errors where the step spoiled the adapter.
    fn guard(&mut self, m: &StepMetrics, measured: Option<&Measured>) -> Result<()> {
        if !self.config.guards {
            return Ok(());
        }
        let guards = &mut self.notes.guards;
        let reason = guards.step(&m.more);
        match reason.or_else(|| guards.measured(measured?)) {
            Some(reason) => {
                let step = m.step;
                bail!(Tripped { step, reason })
            }
            None => Ok(()),
        }
    }

    /// Saves a state and the adapter where that is due. Errors where the run is asked to stop, behind a state.
    fn keep(&mut self, step: usize, adapter: &Adapter, optimizer: &Optimizer) -> Result<()> {
        let saves = self.train.saves(step, self.total);
        let due = match self.config.checkpoint_every {
            Some(every) => (step as u64).is_multiple_of(every),
            None => self.saved.elapsed() >= PERIOD,
        };
        let stops = self.observer.stops();
        if saves || due || stops {
            self.states
                .save(self.folder, step, adapter, optimizer, &self.notes)?;
            self.saved = Instant::now();
        }
        if saves {
            let name = format!("checkpoint-{step}");
            self.folder.save(&name, &self.files.of(adapter)?)?;
        }
        if stops {
            bail!("interrupted after step {step} of {}", self.total);
        }
        Ok(())
    }
}
