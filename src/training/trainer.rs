//! The training loop: batches to gradients to optimizer steps.

use super::batching::steps;
use super::config::TrainConfig;
use super::optim::Optimizer;
use super::packing::{Packed, pack};
use super::sft::Example;
use crate::adapters::lora::{Adapter, Dropout};
use crate::model::decoder::Decoder;
use crate::model::linear::Gradients;
use crate::model::pooled;
use anyhow::{Result, bail, ensure};
use serde::Serialize;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What is known after a step; a line of `metrics.jsonl`.
#[derive(Debug, Clone, Serialize)]
pub struct StepMetrics {
    pub step: usize,
    /// Mean negative log-probability of the step's label tokens.
    pub loss: f64,
    /// The step's learning rate.
    pub lr: f64,
    /// Before clipping.
    pub grad_norm: f64,
    /// Mean negative log-probability of the validation rows' labels, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Of the step's rows, common prefixes counted in each.
    #[serde(skip)]
    pub tokens: usize,
    /// What is left of them where prefixes are computed once.
    #[serde(skip)]
    pub computed: usize,
    /// Of this step alone, like `tokens_per_s`.
    pub rows_per_s: f64,
    pub tokens_per_s: f64,
    /// Share of the tokens that was spared by computing common prefixes once.
    pub shared: f64,
    /// Since training began.
    pub elapsed_s: f64,
}

/// Loss of packed examples and its gradient towards the adapter, added to `gradients`. `denominator` is
/// the number of labels of the whole optimizer step, so that micro-batches sum to its mean.
pub fn loss_and_gradient(
    decoder: &Decoder,
    adapter: &Adapter,
    Packed { batch, labels, .. }: &Packed,
    denominator: usize,
    gradients: &mut Gradients,
) -> Result<f64> {
    let (hidden, tape) = decoder.forward_train(batch, adapter)?;
    let coefficients = vec![-1.0 / denominator as f32; labels.len()];
    let (log_p, d_hidden) = decoder.label_gradient(&hidden, labels, &coefficients)?;
    drop(hidden);
    decoder.backward(batch, d_hidden, tape, adapter, gradients)?;
    let sum: f64 = log_p.iter().map(|p| f64::from(*p)).sum();
    Ok(-sum / denominator as f64)
}

/// Mean negative log-probability of the labels of `examples`, in batches of `batch` rows.
pub fn mean_loss(
    decoder: &Decoder,
    adapter: &Adapter,
    examples: &[Example],
    batch: usize,
) -> Result<f64> {
    let mut sum = 0.0;
    for rows in examples.chunks(batch) {
        let Packed { batch, labels, .. } = pack(rows, true);
        let log_p = pooled(|| {
            let hidden = decoder.forward(&batch, None, Some(adapter))?;
            decoder.label_log_probabilities(&hidden, &labels)
        })?;
        sum -= log_p.iter().map(|p| f64::from(*p)).sum::<f64>();
    }
    let labels: usize = examples.iter().map(Example::labels).sum();
    Ok(sum / labels as f64)
}

/// A step whose loss or gradient is not finite. Adapter and optimizer are as they were before it.
#[derive(Debug, thiserror::Error)]
#[error(
    "step {step}: loss {loss}, gradient norm {grad_norm}: training diverged; lower --lr or raise --warmup"
)]
pub struct Diverged {
    pub step: usize,
    pub loss: f64,
    pub grad_norm: f64,
    /// The step's rows, by their places.
    pub rows: Vec<usize>,
}

/// Trains `adapter` in place, from the step behind those that `optimizer` has done; `observe` is told of every step and sees
/// what it left, and may end the training. With `validation` rows, their loss is measured now and then.
pub fn train(
    decoder: &Decoder,
    adapter: &mut Adapter,
    optimizer: &mut Optimizer,
    examples: &[Example],
    validation: Option<&[Example]>,
    config: &TrainConfig,
    mut observe: impl FnMut(&StepMetrics, &Adapter, &Optimizer) -> Result<ControlFlow<()>>,
) -> Result<()> {
    ensure!(!examples.is_empty(), "there are no rows to train on");
    let total = config.total_steps(examples.len());
    let done = optimizer.steps();
    let start = Instant::now();
    let share = config.shares_prefix(&adapter.config);
    adapter.begin_training(decoder);
    for (step, places) in steps(examples, config).enumerate().skip(done) {
        let begun = Instant::now();
        let group: Vec<&Example> = places.iter().map(|&row| &examples[row]).collect();
        let labels = group.iter().map(|e| e.labels()).sum();
        let tokens: usize = group.iter().map(|e| e.len()).sum();
        let (mut gradients, mut loss, mut computed) = (Gradients::default(), 0.0, 0);
        let lr = config.learning_rate(step, total);
        let grad_norm = pooled(|| -> Result<f64> {
            for (i, micro) in group.chunks(config.batch).enumerate() {
                adapter.dropout = (adapter.config.dropout > 0.0).then_some(Dropout {
                    p: adapter.config.dropout,
                    seed: config.seed,
                    pass: (step * config.grad_accum + i) as u64,
                });
                let packed = pack(micro.iter().copied(), share);
                computed += packed.batch.len();
                loss += loss_and_gradient(decoder, adapter, &packed, labels, &mut gradients)?;
            }
            // Validation sees all.
            adapter.dropout = None;
            match loss.is_finite() {
                true => optimizer.step(adapter, &gradients, lr, config.clip),
                false => Ok(f64::NAN),
            }
        })?;
        if !grad_norm.is_finite() {
            bail!(Diverged {
                step: step + 1,
                loss,
                grad_norm,
                rows: places,
            });
        }
        let seconds = begun.elapsed().as_secs_f64();
        let step = step + 1;
        let val_loss = match validation {
            Some(rows) if config.validates(step, total) => {
                Some(mean_loss(decoder, adapter, rows, config.batch)?)
            }
            _ => None,
        };
        let metrics = StepMetrics {
            step,
            loss,
            lr,
            grad_norm,
            val_loss,
            tokens,
            computed,
            rows_per_s: group.len() as f64 / seconds,
            tokens_per_s: tokens as f64 / seconds,
            shared: 1.0 - computed as f64 / tokens as f64,
            elapsed_s: start.elapsed().as_secs_f64(),
        };
        if observe(&metrics, adapter, optimizer)?.is_break() {
            break;
        }
        // Nothing follows the last step.
        if step < total {
            std::thread::sleep(rest(begun.elapsed(), config.throttle));
        }
    }
    pooled(|| adapter.end_training(decoder))?;
    Ok(())
}

/// How long to rest after `worked` so that the device works for the share `duty` of the time.
fn rest(worked: Duration, duty: f64) -> Duration {
    worked.mul_f64(1.0 / duty - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_what_the_duty_leaves() {
        let worked = Duration::from_secs(3);
        assert_eq!(rest(worked, 1.0), Duration::ZERO);
        assert_eq!(rest(worked, 0.25), Duration::from_secs(9));
    }
}
