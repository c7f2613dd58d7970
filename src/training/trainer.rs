//! The training loop: batches to gradients to optimizer steps.

use super::batching::order;
use super::config::TrainConfig;
use super::optim::Optimizer;
use super::sft::{Example, pack};
use crate::adapters::lora::Adapter;
use crate::model::decoder::Decoder;
use crate::model::linear::Gradients;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::time::Instant;

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

/// Trains `adapter` in place; `observe` is told of every step.
pub fn train(
    decoder: &Decoder,
    adapter: &mut Adapter,
    examples: &[Example],
    config: &TrainConfig,
    mut observe: impl FnMut(&StepMetrics) -> Result<()>,
) -> Result<()> {
    ensure!(!examples.is_empty(), "there are no rows to train on");
    let total = config.total_steps(examples.len());
    let rows = order(examples.len(), config.shuffle, config.seed);
    let mut rows = rows.take(config.total_rows(examples.len()));
    let mut optimizer = Optimizer::new(decoder.path, config.weight_decay);
    let start = Instant::now();
    for step in 0..total {
        let begun = Instant::now();
        let group: Vec<&Example> = rows
            .by_ref()
            .take(config.rows_per_step())
            .map(|r| &examples[r])
            .collect();
        let labels = group.iter().map(|e| e.answer.len()).sum();
        let tokens: usize = group.iter().map(|e| e.len()).sum();
        let (mut gradients, mut loss) = (Gradients::default(), 0.0);
        for micro in group.chunks(config.batch) {
            loss += loss_and_gradient(decoder, adapter, micro, labels, &mut gradients)?;
        }
        let lr = config.learning_rate(step, total);
        let grad_norm = optimizer.step(adapter, &gradients, lr, config.clip)?;
        ensure!(
            loss.is_finite() && grad_norm.is_finite(),
            "step {}: loss {loss}, gradient norm {grad_norm}: training diverged; lower --lr or raise --warmup",
            step + 1
        );
        adapter.refresh(decoder)?;
        let seconds = begun.elapsed().as_secs_f64();
        observe(&StepMetrics {
            step: step + 1,
            loss,
            lr,
            grad_norm,
            rows_per_s: group.len() as f64 / seconds,
            tokens_per_s: tokens as f64 / seconds,
            elapsed_s: start.elapsed().as_secs_f64(),
        })?;
    }
    Ok(())
}
