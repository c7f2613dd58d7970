//! The training loop: batches to gradients to optimizer steps.

use super::config::TrainConfig;
use super::lessons::{Lessons, Metrics};
use super::objective::{Answer, Mean, Objective};
use super::optim::Optimizer;
use super::packing::{Packed, pack};
use super::sft::Example;
use crate::adapters::lora::{Adapter, Dropout};
use crate::model::decoder::Decoder;
use crate::model::head::Label;
use crate::model::linear::Gradients;
use crate::model::pooled;
use anyhow::{Result, bail};
use serde::Serialize;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What is known after a step; a line of `metrics.jsonl`.
#[derive(Debug, Clone, Serialize)]
pub struct StepMetrics {
    pub step: usize,
    /// What the step lowers: of supervised fine-tuning the mean negative log-probability of its label tokens.
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
    /// What its objective knows beside that.
    #[serde(flatten)]
    pub more: Metrics,
}

/// The mean negative log-probability of packed examples' labels and its gradient towards the adapter, added to `gradients`. `labels` is
/// the number of labels of the whole optimizer step, so that passes sum to its mean.
pub fn loss_and_gradient(
    decoder: &Decoder,
    adapter: &Adapter,
    packed: &Packed,
    labels: usize,
    gradients: &mut Gradients,
) -> Result<f64> {
    let rows: Vec<usize> = (0..packed.ends.iter().flatten().count()).collect();
    pass(
        decoder,
        adapter,
        packed,
        &rows,
        &mut Mean { labels },
        gradients,
    )
}

/// What `objective` makes of the packed `rows`, and its gradient towards the adapter, added to `gradients`.
pub fn pass(
    decoder: &Decoder,
    adapter: &Adapter,
    Packed { batch, labels, .. }: &Packed,
    rows: &[usize],
    objective: &mut dyn Objective,
    gradients: &mut Gradients,
) -> Result<f64> {
    let (hidden, tape) = decoder.forward_train(batch, adapter)?;
    let (loss, d_hidden) = match objective.known() {
        Some(coefficient) => {
            let coefficients = vec![coefficient; labels.len()];
            let (log_p, d) = decoder.label_gradient(&hidden, labels, &coefficients)?;
            (objective.loss(&answers(rows, labels, &log_p))?.loss, d)
        }
        None => {
            let mut loss = 0.0;
            let d = decoder.label_gradient_by(&hidden, labels, |log_p| {
                let found = objective.loss(&answers(rows, labels, log_p))?;
                loss = found.loss;
                Ok(by_label(labels, &found.coefficients))
            })?;
            (loss, d)
        }
    };
    drop(hidden);
    decoder.backward(batch, d_hidden, tape, adapter, gradients)?;
    Ok(loss)
}

/// The log-probabilities of labels by the row that they are of. `rows` are those that were packed, in their order.
pub fn answers(rows: &[usize], labels: &[Label], log_p: &[f32]) -> Vec<Answer> {
    let answer = |&row| Answer {
        row,
        log_p: Vec::new(),
    };
    let mut answers: Vec<Answer> = rows.iter().map(answer).collect();
    for (label, p) in labels.iter().zip(log_p) {
        answers[label.sequence as usize].log_p.push(*p);
    }
    answers
}

/// The reverse of [`answers`]: the labels of a row stand in their order.
fn by_label(labels: &[Label], of_answers: &[Vec<f32>]) -> Vec<f32> {
    let mut next = vec![0; of_answers.len()];
    let each = labels.iter().map(|label| {
        let answer = label.sequence as usize;
        next[answer] += 1;
        of_answers[answer][next[answer] - 1]
    });
    each.collect()
}

/// The log-probability of each label of `examples`, row by row, in passes of `batch` rows.
pub fn log_probabilities(
    decoder: &Decoder,
    adapter: &Adapter,
    examples: &[Example],
    batch: usize,
    mut observe: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<Answer>> {
    let mut all = Vec::new();
    for rows in examples.chunks(batch) {
        let Packed { batch, labels, .. } = pack(rows, true);
        let log_p = pooled(|| {
            let hidden = decoder.forward(&batch, None, Some(adapter))?;
            decoder.label_log_probabilities(&hidden, &labels)
        })?;
        let places: Vec<usize> = (all.len()..all.len() + rows.len()).collect();
        all.extend(answers(&places, &labels, &log_p));
        observe(all.len())?;
    }
    Ok(all)
}

/// Mean negative log-probability of the labels of `examples`, in batches of `batch` rows.
pub fn mean_loss(
    decoder: &Decoder,
    adapter: &Adapter,
    examples: &[Example],
    batch: usize,
) -> Result<f64> {
    let answers = log_probabilities(decoder, adapter, examples, batch, |_| Ok(()))?;
    let sum: f64 = answers.iter().map(Answer::sum).sum();
    let labels: usize = examples.iter().map(Example::labels).sum();
    Ok(-sum / labels as f64)
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
    lessons: &mut dyn Lessons,
    validation: Option<&[Example]>,
    config: &TrainConfig,
    mut observe: impl FnMut(&StepMetrics, &Adapter, &Optimizer) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let total = lessons.steps();
    let done = optimizer.steps();
    let start = Instant::now();
    let share = config.shares_prefix(&adapter.config);
    adapter.begin_training(decoder);
    for step in done..total {
        let begun = Instant::now();
        let Some(passes) = lessons.begin(step, adapter)? else {
            break;
        };
        let (mut gradients, mut loss) = (Gradients::default(), 0.0);
        let (mut tokens, mut computed) = (0, 0);
        let lr = config.learning_rate(step, total);
        let grad_norm = pooled(|| -> Result<f64> {
            for (i, rows) in passes.iter().enumerate() {
                adapter.dropout = (adapter.config.dropout > 0.0).then_some(Dropout {
                    p: adapter.config.dropout,
                    seed: config.seed,
                    pass: (step * config.grad_accum + i) as u64,
                });
                let examples = rows.iter().map(|row| lessons.example(*row));
                tokens += examples.clone().map(Example::len).sum::<usize>();
                let packed = pack(examples, share);
                computed += packed.batch.len();
                let objective = lessons.objective();
                loss += pass(decoder, adapter, &packed, rows, objective, &mut gradients)?;
            }
            // Validation sees all.
            adapter.dropout = None;
            match loss.is_finite() {
                // Nothing to learn changes nothing, not even by what earlier steps set going.
                true if passes.is_empty() => {
                    optimizer.pass_over();
                    Ok(0.0)
                }
                true => optimizer.step(adapter, &gradients, lr, config.clip),
                false => Ok(f64::NAN),
            }
        })?;
        if !grad_norm.is_finite() {
            bail!(Diverged {
                step: step + 1,
                loss,
                grad_norm,
                rows: passes.concat(),
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
            rows_per_s: passes.iter().map(Vec::len).sum::<usize>() as f64 / seconds,
            tokens_per_s: tokens as f64 / seconds,
            shared: 1.0 - computed as f64 / tokens.max(1) as f64,
            elapsed_s: start.elapsed().as_secs_f64(),
            more: lessons.metrics(),
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
