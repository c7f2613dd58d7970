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

    /// Optimizer steps for a set of `rows`. The last step of an epoch may be a smaller one: none goes on in the next.
    pub fn total_steps(&self, rows: usize) -> usize {
        match self.length {
            Length::Steps(steps) => steps,
            Length::Epochs(_) => {
                let (total, step) = (self.total_rows(rows), self.rows_per_step());
                total / rows * rows.div_ceil(step) + (total % rows).div_ceil(step)
            }
        }
    }

    /// Rows seen over the whole run.
    pub fn total_rows(&self, rows: usize) -> usize {
        match self.length {
            Length::Steps(steps) => {
                let epoch = rows.div_ceil(self.rows_per_step());
                steps / epoch * rows + rows.min(steps % epoch * self.rows_per_step())
            }
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

    /// Learning rate of `step` (from 0) of `total`: it rises in equal parts to `lr`, which the last step of the warm-up has,
    /// and falls from there as the schedule says. The first step is always a part of the warm-up.
    pub fn learning_rate(&self, step: usize, total: usize) -> f64 {
        let warm_steps = ((total as f64 * self.warmup) as usize).max(1);
        if step < warm_steps {
            return self.lr * ((step + 1) as f64 / warm_steps as f64);
        }
        let highest = warm_steps - 1;
        let progress = (step - highest) as f64 / (total - highest) as f64;
        let factor = match self.schedule {
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Schedule::Linear => 1.0 - progress,
            Schedule::Constant => 1.0,
        };
        self.lr * factor
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
        assert_eq!(c.learning_rate(2, 100), 1.0);
        assert!((c.learning_rate(51, 100) - 0.5).abs() < 1e-9);
        assert!(c.learning_rate(99, 100) < 1e-3);
    }

    #[test]
    fn the_highest_rate_is_the_one_asked_for() {
        for schedule in [Schedule::Cosine, Schedule::Linear, Schedule::Constant] {
            for (warmup, total) in [
                (0.0, 1),
                (0.0, 9),
                (0.5, 20),
                (0.3, 7),
                (1.0, 12),
                (0.03, 500),
            ] {
                let c = TrainConfig {
                    lr: 7e-4,
                    schedule,
                    warmup,
                    ..Default::default()
                };
                let rates: Vec<f64> = (0..total)
                    .map(|step| c.learning_rate(step, total))
                    .collect();
                let highest = rates.iter().copied().fold(0.0, f64::max);
                assert_eq!(highest, 7e-4, "{schedule:?} {warmup} {total}");
                let top = rates.iter().position(|rate| *rate == highest).unwrap();
                assert!(rates[..=top].is_sorted(), "{rates:?}");
                assert!(rates[top..].iter().rev().is_sorted(), "{rates:?}");
                assert!(rates.iter().all(|rate| *rate > 0.0), "{rates:?}");
            }
        }
    }

    #[test]
    fn an_epoch_ends_its_last_step() {
        let counts = |rows, length, batch| {
            let c = TrainConfig {
                length,
                batch,
                grad_accum: 2,
                ..Default::default()
            };
            (c.total_rows(rows), c.total_steps(rows))
        };
        assert_eq!(counts(108, Length::Epochs(3.0), 4), (324, 42));
        assert_eq!(counts(3, Length::Epochs(3.0), 4), (9, 3));
        assert_eq!(counts(10, Length::Epochs(2.5), 2), (25, 8));
        assert_eq!(counts(10, Length::Epochs(0.01), 2), (1, 1));
        assert_eq!(counts(10, Length::Steps(7), 2), (24, 7));
        assert_eq!(counts(8, Length::Steps(5), 2), (20, 5));
    }
}
