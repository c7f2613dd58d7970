//! The training loop: batches to gradients to optimizer steps.

use super::batching::order;
use super::config::TrainConfig;
use super::optim::Optimizer;
use super::sft::{Example, pack};
use crate::adapters::lora::{Adapter, Dropout};
use crate::model::decoder::Decoder;
use crate::model::linear::Gradients;
use crate::model::pooled;
use anyhow::{Result, ensure};
use serde::Serialize;
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
    /// Of this step alone, like `tokens_per_s`.
    pub rows_per_s: f64,
    pub tokens_per_s: f64,
    /// Since training began.
    pub elapsed_s: f64,
}

/// Loss of `examples` and its gradient towards the adapter, added to `gradients`. `denominator` is
/// the number of labels of the whole optimizer step, so that micro-batches sum to its mean.
pub fn loss_and_gradient(
    decoder: &Decoder,
    adapter: &Adapter,
    examples: &[&Example],
    denominator: usize,
    gradients: &mut Gradients,
) -> Result<f64> {
    let (batch, labels) = pack(examples.iter().copied());
    let (hidden, tape) = decoder.forward_train(&batch, adapter)?;
    let coefficients = vec![-1.0 / denominator as f32; labels.len()];
    let (log_p, d_hidden) = decoder.label_gradient(&hidden, &labels, &coefficients)?;
    drop(hidden);
    decoder.backward(&batch, d_hidden, tape, adapter, gradients)?;
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
        let (batch, labels) = pack(rows);
        let hidden = decoder.forward(&batch, None, Some(adapter))?;
        let log_p = decoder.label_log_probabilities(&hidden, &labels)?;
        sum -= log_p.iter().map(|p| f64::from(*p)).sum::<f64>();
    }
    let labels: usize = examples.iter().map(Example::labels).sum();
    Ok(sum / labels as f64)
}

/// Trains `adapter` in place; `observe` is told of every step and sees the adapter after it. With
/// `validation` rows, their loss is measured now and then.
pub fn train(
    decoder: &Decoder,
    adapter: &mut Adapter,
    examples: &[Example],
    validation: Option<&[Example]>,
    config: &TrainConfig,
    mut observe: impl FnMut(&StepMetrics, &Adapter) -> Result<()>,
) -> Result<()> {
    ensure!(!examples.is_empty(), "there are no rows to train on");
    let total = config.total_steps(examples.len());
    let rows = order(examples.len(), !config.no_shuffle, config.seed);
    let mut rows = rows.take(config.total_rows(examples.len()));
    let mut optimizer = Optimizer::new(decoder.path, config.weight_decay);
    let (start, mut pass) = (Instant::now(), 0);
    for step in 0..total {
        let begun = Instant::now();
        let group: Vec<&Example> = rows
            .by_ref()
            .take(config.rows_per_step())
            .map(|r| &examples[r])
            .collect();
        let labels = group.iter().map(|e| e.labels()).sum();
        let tokens: usize = group.iter().map(|e| e.len()).sum();
        let (mut gradients, mut loss) = (Gradients::default(), 0.0);
        let lr = config.learning_rate(step, total);
        let grad_norm = pooled(|| -> Result<f64> {
            for micro in group.chunks(config.batch) {
                adapter.dropout = (adapter.config.dropout > 0.0).then_some(Dropout {
                    p: adapter.config.dropout,
                    seed: config.seed,
                    pass,
                });
                pass += 1;
                loss += loss_and_gradient(decoder, adapter, micro, labels, &mut gradients)?;
            }
            adapter.dropout = None;
            optimizer.step(adapter, &gradients, lr, config.clip)
        })?;
        ensure!(
            loss.is_finite() && grad_norm.is_finite(),
            "step {}: loss {loss}, gradient norm {grad_norm}: training diverged; lower --lr or raise --warmup",
            step + 1
        );
        pooled(|| adapter.refresh(decoder))?;
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
            rows_per_s: group.len() as f64 / seconds,
            tokens_per_s: tokens as f64 / seconds,
            elapsed_s: start.elapsed().as_secs_f64(),
        };
        observe(&metrics, adapter)?;
        // Nothing follows the last step.
        if step < total {
            std::thread::sleep(rest(begun.elapsed(), config.throttle));
        }
    }
    Ok(())
}

/// How long to rest after `worked` so that the device works for the share `duty` of the time.
fn rest(worked: Duration, duty: f64) -> Duration {
    worked.mul_f64(1.0 / duty - 1.0)
}
