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
    /// Of the adapter that the run began with, beside its first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_accuracy_at_start: Option<f64>,
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
    /// The last step behind which all was done that was due.
    pub done: usize,
    /// The last step behind which the adapter was measured.
    pub measured: Option<usize>,
    /// The execution accuracy of the adapter that the run begins with, until a line of the metrics has it.
    pub start: Option<f64>,
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
            execution_accuracy_at_start: self.start.take(),
        })?;
        self.guard(m.step, Some(m), measured.as_ref())?;
        let selection = self.selection.as_ref();
        if m.step == self.total || selection.is_some_and(|s| s.gives_up(&self.notes.best)) {
            return Ok(ControlFlow::Break(()));
        }
        self.keep(m.step, adapter, optimizer)?;
        self.done = m.step;
        Ok(ControlFlow::Continue(()))
    }

    /// Does what is due after the last step of a run that ended before its time: its adapter is measured, if it was not.
    pub fn ended(&mut self, step: usize, adapter: &Adapter) -> Result<()> {
        if step == self.total || self.measured == Some(step) {
            return Ok(());
        }
        let measured = self.measure(step, adapter)?;
        self.guard(step, None, measured.as_ref())
    }

    /// Saves a state where a step could not be taken, so that those before it are not lost.
    pub fn stopped(&mut self, adapter: &Adapter, optimizer: &Optimizer) -> Result<()> {
        let step = optimizer.steps();
        // In the middle of a step, or of what is due after it, there is nothing whole.
        if step == 0 || step != self.done {
            return Ok(());
        }
        self.states
            .save(self.folder, step, adapter, optimizer, &self.notes)
    }

    /// Measures the adapter that a guarded run begins with: what follows is held against it, and no worse one is kept.
    pub fn before(&mut self, adapter: &Adapter) -> Result<()> {
        if !(self.config.guards && self.notes.guards.wants_start()) {
            return Ok(());
        }
        if let Some(measured) = self.measure(0, adapter)? {
            self.start = Some(measured.accuracy());
            self.notes.guards.start(measured);
        }
        Ok(())
    }

    /// The same where that is due.
    fn evaluate(&mut self, step: usize, adapter: &Adapter) -> Result<Option<Measured>> {
        let due = |selection: &Selection| selection.measures(step, self.total);
        match self.selection.as_ref().is_some_and(due) {
            true => self.measure(step, adapter),
            false => Ok(None),
        }
    }

    /// Measures the adapter, and saves it where it is the best so far.
    fn measure(&mut self, step: usize, adapter: &Adapter) -> Result<Option<Measured>> {
        let Some(selection) = &mut self.selection else {
            return Ok(None);
        };
        let measured = selection.measure(adapter, self.files.ngrams)?;
        self.measured = Some(step);
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

    /// Errors where the step spoiled the adapter, by its numbers or by what was measured after it.
    fn guard(
        &mut self,
        step: usize,
        m: Option<&StepMetrics>,
        measured: Option<&Measured>,
    ) -> Result<()> {
        if !self.config.guards {
            return Ok(());
        }
        let guards = &mut self.notes.guards;
        let reason = m.and_then(|m| guards.step(&m.more));
        match reason.or_else(|| guards.measured(measured?)) {
            Some(reason) => {
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
