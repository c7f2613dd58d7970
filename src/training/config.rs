//! Settings of a supervised fine-tuning run; the one home of their defaults.

use crate::adapters::config::AdapterConfig;
use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::Serialize;

/// How the learning rate falls after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    Cosine,
    Linear,
    Constant,
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Length {
    /// Passes over the data.
    Epochs(f64),
    /// Optimizer steps.
    Steps(usize),
}

/// What happens to a row longer than `max_seq`. An answer is never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OnLong {
    /// Stop and name the row.
    Error,
    /// Leave the row out.
    Skip,
    /// Drop tokens from the front of the prompt.
    TruncatePrompt,
}

/// Whether backward computes a block's activations again instead of keeping them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// Where the memory that is free would not do otherwise.
    Auto,
    On,
    Off,
}

/// Optimisation settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainConfig {
    /// How long the run is.
    #[serde(flatten)]
    pub length: Length,
    /// Rows a forward pass.
    pub batch: usize,
    /// Forward passes an optimizer step.
    pub grad_accum: usize,
    /// Highest learning rate.
    pub lr: f64,
    pub schedule: Schedule,
    /// Share of the steps over which the learning rate rises.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Largest gradient norm; 0 leaves gradients as they are.
    pub clip: f64,
    /// Longest row in tokens.
    pub max_seq: usize,
    pub on_long: OnLong,
    /// Share of the time the device works; it rests after each step, so that a laptop stays cool.
    pub throttle: f64,
    /// Take rows in the file's order; otherwise every epoch has another.
    pub no_shuffle: bool,
    /// Form batches of rows that begin alike, so that they share a prefix.
    pub group_prefix: bool,
    /// Compute every row whole, whatever it begins with.
    pub no_share_prefix: bool,
    /// Less memory for a third more products.
    pub recompute: Recompute,
    /// Steps between measurements of the validation loss [default: a tenth of the run].
    pub val_every: Option<usize>,
    /// Steps between saved adapters.
    pub save_every: Option<usize>,
    /// Of the adapter's start and the order of rows.
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            length: Length::Epochs(3.0),
            batch: 8,
            grad_accum: 1,
            lr: 5e-4,
            schedule: Schedule::Cosine,
            warmup: 0.03,
            weight_decay: 0.0,
            clip: 1.0,
            max_seq: 512,
            on_long: OnLong::Error,
            throttle: 1.0,
            no_shuffle: false,
            group_prefix: false,
            no_share_prefix: false,
            recompute: Recompute::Auto,
            val_every: None,
            save_every: None,
            seed: 0,
        }
    }
}

impl TrainConfig {
    /// Refuses values no run can have.
    pub fn check(&self) -> Result<()> {
        // The upper bounds keep products of these numbers far from overflow.
        let (epochs, steps) = match self.length {
            Length::Epochs(epochs) => (epochs, 1),
            Length::Steps(steps) => (1.0, steps),
        };
        for (flag, value, most) in [
            ("--steps", steps, 1_000_000_000),
            ("--batch", self.batch, 65_536),
            ("--grad-accum", self.grad_accum, 65_536),
            ("--val-every", self.val_every.unwrap_or(1), 1_000_000_000),
            ("--save-every", self.save_every.unwrap_or(1), 1_000_000_000),
        ] {
            ensure!(
                (1..=most).contains(&value),
                "{flag} is {value}, expected 1 to {most}"
            );
        }
        ensure!(
            epochs > 0.0 && epochs <= 1e6,
            "--epochs must be above 0 and at most 1000000"
        );
        ensure!(self.lr.is_finite() && self.lr > 0.0, "--lr must be above 0");
        ensure!(
            (0.0..=1.0).contains(&self.warmup),
            "--warmup is a share of the steps, 0 to 1"
        );
        ensure!(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            "--weight-decay must be 0 or more"
        );
        ensure!(
            self.clip.is_finite() && self.clip >= 0.0,
            "--clip must be 0 (off) or more"
        );
        ensure!(
            (0.05..=1.0).contains(&self.throttle),
            "--throttle is a share of the time, 0.05 to 1"
        );
        ensure!(self.max_seq >= 2, "--max-seq must be at least 2");
        Ok(())
    }

    /// Whether rows of a batch compute what they begin with once. Dropout draws masks for each row of its own.
    pub fn shares_prefix(&self, adapter: &AdapterConfig) -> bool {
        !self.no_share_prefix && adapter.dropout == 0.0
    }

    /// Rows an optimizer step.
    pub fn rows_per_step(&self) -> usize {
        self.batch * self.grad_accum
    }

    /// Optimizer steps for a set of `rows`.
    pub fn total_steps(&self, rows: usize) -> usize {
        match self.length {
            Length::Steps(steps) => steps,
            Length::Epochs(_) => self.total_rows(rows).div_ceil(self.rows_per_step()),
        }
    }

    /// Rows seen over the whole run; the last step of an epoch count may be a partial one.
    pub fn total_rows(&self, rows: usize) -> usize {
        match self.length {
            Length::Steps(steps) => steps * self.rows_per_step(),
            Length::Epochs(epochs) => ((rows as f64 * epochs).ceil() as usize).max(1),
        }
    }

    /// Whether the validation loss is measured after `step` (from 1) of `total`; after the last always.
    pub fn validates(&self, step: usize, total: usize) -> bool {
        let every = self.val_every.unwrap_or(total.div_ceil(10));
        step == total || step.is_multiple_of(every)
    }

    /// Whether the adapter is saved after `step` (from 1) of `total`; the last one is the run's result.
    pub fn saves(&self, step: usize, total: usize) -> bool {
        step < total && self.save_every.is_some_and(|n| step.is_multiple_of(n))
    }

    /// Learning rate of `step` (from 0) of `total`: the warm-up factor times the schedule's.
    pub fn learning_rate(&self, step: usize, total: usize) -> f64 {
        let warm_steps = ((total as f64 * self.warmup) as usize).max(1);
        let warm = ((step + 1) as f64 / warm_steps as f64).min(1.0);
        let progress = step as f64 / total as f64;
        let factor = match self.schedule {
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Schedule::Linear => 1.0 - progress,
            Schedule::Constant => 1.0,
        };
        self.lr * warm * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_rate_rises_then_falls() {
        let c = TrainConfig {
            lr: 1.0,
            ..Default::default()
        };
        assert_eq!(c.learning_rate(0, 100), 1.0 / 3.0);
        assert!((c.learning_rate(50, 100) - 0.5).abs() < 1e-9);
        assert!(c.learning_rate(99, 100) < 1e-3);
    }

    #[test]
    fn epochs_count_rows_not_steps() {
        let c = TrainConfig {
            batch: 8,
            ..Default::default()
        };
        assert_eq!((c.total_rows(108), c.total_steps(108)), (324, 41));
    }
}
