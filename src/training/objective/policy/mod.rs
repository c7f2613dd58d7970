//! Losses over rollouts, answers that the model drew and that were given rewards. `A` is a rollout's advantage over its group, `ρ` how much likelier
//! a token is now than when it was drawn. Checked against TRL's numbers (scripts/golden_losses.py).

mod advantages;
mod tally;

pub use advantages::{Advantage, advantages};
pub use tally::{ENTROPY, KL};

use super::{Answer, Loss, Objective};
use crate::training::lessons::Metrics;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use tally::Tally;

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// GRPO without its two biases: advantages keep their size and long answers count no less (arXiv:2503.20783).
    DrGrpo,
    /// Advantages by the group's standard deviation, each answer by its own length (arXiv:2402.03300).
    Grpo,
    /// GRPO over all tokens alike, which may rise further than fall (arXiv:2503.14476).
    Dapo,
    /// GRPO whose ratio is the whole answer's (arXiv:2507.18071).
    Gspo,
    /// Every token learns, its ratio cut off (arXiv:2506.13585).
    Cispo,
    /// REINFORCE against the mean of the others (arXiv:2402.14740).
    Rloo,
}

impl Kind {
    /// How far a ratio may rise above 1 where nothing is given; of CISPO the highest ratio itself.
    fn epsilon_high(self, epsilon: f64) -> f64 {
        match self {
            Self::Dapo => 0.28,
            Self::Cispo => 5.0,
            _ => epsilon,
        }
    }
}

/// A loss with its constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub loss: Kind,
    /// Weight of the divergence from the reference.
    pub beta: f64,
    /// How far a ratio may fall below 1.
    pub epsilon: f64,
    /// How far it may rise; of CISPO the highest ratio itself.
    pub epsilon_high: f64,
    /// Most tokens of an answer, by which Dr. GRPO divides.
    pub max_tokens: usize,
}

impl Settings {
    /// The loss as it is without further flags.
    pub fn new(loss: Kind, max_tokens: usize) -> Self {
        let epsilon = 0.2;
        Self {
            loss,
            beta: 0.0,
            epsilon,
            epsilon_high: loss.epsilon_high(epsilon),
            max_tokens,
        }
    }

    /// Refuses values that no run can have.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.beta.is_finite() && self.beta >= 0.0,
            "--beta must be 0 or more"
        );
        ensure!(
            (0.0..1.0).contains(&self.epsilon),
            "--epsilon must be 0 to below 1"
        );
        ensure!(
            self.epsilon_high.is_finite() && self.epsilon_high >= 0.0,
            "--epsilon-high must be 0 or more"
        );
        Ok(())
    }
}

/// An answer that was drawn, and what is known of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rollout {
    pub advantage: Advantage,
    /// log p of each label when it was drawn; taken from the first pass where it is not known.
    pub old: Option<Vec<f32>>,
    /// log p of each label under the reference, where its divergence counts.
    pub reference: Option<Vec<f32>>,
    /// What the sampler said of each label, to be compared with what training finds.
    pub sampled: Option<Vec<f32>>,
}

/// What a token adds to an answer's sum: the loss, and its derivative by the token's log p.
#[derive(Clone, Copy, Default)]
struct Term {
    value: f64,
    slope: f64,
}

/// The loss over the rollouts of a step.
pub struct Policy {
    settings: Settings,
    rollouts: Vec<Rollout>,
    /// Rollouts of the step, and their labels.
    answers: usize,
    labels: usize,
    tally: Tally,
}

impl Policy {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            rollouts: Vec::new(),
            answers: 0,
            labels: 0,
            tally: Tally::default(),
        }
    }

    /// Takes rollouts, which rows count from 0 on.
    pub fn take(&mut self, rollouts: Vec<Rollout>) {
        self.rollouts = rollouts;
    }

    /// Begins a step over so many of them with so many labels.
    pub fn begin(&mut self, answers: usize, labels: usize) {
        (self.answers, self.labels) = (answers, labels);
        self.tally = Tally::default();
    }

    /// What is known of the step's rollouts.
    pub fn metrics(&self) -> Metrics {
        self.tally.metrics()
    }

    /// The terms of an answer's tokens.
    fn terms(&mut self, answer: &Answer) -> Result<Vec<Term>> {
        let Settings {
            loss,
            beta,
            epsilon,
            epsilon_high,
            ..
        } = self.settings;
        let rollout = self
            .rollouts
            .get_mut(answer.row)
            .context("a row is no rollout")?;
        let old = rollout.old.get_or_insert_with(|| answer.log_p.clone());
        let n = answer.log_p.len();
        ensure!(
            old.len() == n && rollout.advantage.suits(n),
            "a rollout has other labels than its answer"
        );
        let pairs = answer.log_p.iter().zip(old.iter());
        let moved: Vec<f64> = pairs
            .map(|(now, old)| f64::from(*now) - f64::from(*old))
            .collect();
        let sum: f64 = moved.iter().sum();
        // A ratio that all tokens share.
        let whole = match loss {
            Kind::Gspo => Some((sum / n as f64).exp()),
            Kind::Rloo => Some(sum.exp()),
            _ => None,
        };
        let reference = rollout.reference.as_deref();
        let over = reference.map(|reference| over(reference, &answer.log_p));
        let k3: Option<Vec<f64>> = over
            .as_ref()
            .map(|over| over.iter().map(|over| over.exp_m1() - over).collect());
        let mut terms = Vec::with_capacity(n);
        for (t, moved) in moved.iter().enumerate() {
            // Where all tokens share a ratio, each learns by its own advantage all the same, as GSPO-token does (arXiv:2507.18071, 4.3).
            let a = rollout.advantage.at(t);
            let ratio = whole.unwrap_or(moved.exp());
            let log_p = f64::from(answer.log_p[t]);
            let (low, high) = match loss {
                Kind::Cispo => (false, ratio > epsilon_high && a > 0.0),
                _ => (
                    ratio < 1.0 - epsilon && a < 0.0,
                    ratio > 1.0 + epsilon_high && a > 0.0,
                ),
            };
            let mut term = match loss {
                Kind::Cispo => {
                    let weight = ratio.min(epsilon_high) * a;
                    Term {
                        value: -weight * log_p,
                        slope: -weight,
                    }
                }
                _ if low || high => Term {
                    value: -ratio.clamp(1.0 - epsilon, 1.0 + epsilon_high) * a,
                    slope: 0.0,
                },
                _ => Term {
                    value: -ratio * a,
                    slope: -ratio * a,
                },
            };
            if loss == Kind::Rloo {
                // One ratio an answer: its value is a part of each token, its slope is each token's whole.
                term.value /= n as f64;
            }
            let mut kl = 0.0;
            if let (Some(over), Some(k3)) = (&over, &k3) {
                // By the ratio, so that its gradient is the divergence's for tokens that an older adapter drew.
                kl = ratio * k3[t];
                // What a token changes of its ratio counts for all that share it.
                let through = match whole {
                    Some(_) => k3.iter().sum::<f64>() / n as f64,
                    None => k3[t],
                };
                term.value += beta * kl;
                term.slope += beta * ratio * (through - over[t].exp_m1());
            }
            self.tally.add(low, high, kl, log_p);
            terms.push(term);
        }
        if let Some(sampled) = &rollout.sampled {
            self.tally.compare(&answer.log_p, sampled);
        }
        Ok(terms)
    }
}

/// log of how much likelier each token is under the reference.
fn over(reference: &[f32], log_p: &[f32]) -> Vec<f64> {
    let pairs = reference.iter().zip(log_p);
    pairs.map(|(r, p)| f64::from(*r) - f64::from(*p)).collect()
}

impl Objective for Policy {
    fn loss(&mut self, answers: &[Answer]) -> Result<Loss> {
        let (mut loss, mut coefficients) = (0.0, Vec::with_capacity(answers.len()));
        for answer in answers {
            let n = answer.log_p.len() as f64;
            let scale = match self.settings.loss {
                Kind::DrGrpo => 1.0 / (self.answers * self.settings.max_tokens) as f64,
                Kind::Grpo | Kind::Gspo => 1.0 / (self.answers as f64 * n),
                Kind::Dapo | Kind::Cispo => 1.0 / self.labels as f64,
                Kind::Rloo => 1.0 / self.answers as f64,
            };
            let terms = self.terms(answer)?;
            loss += scale * terms.iter().map(|term| term.value).sum::<f64>();
            let slopes = terms.iter().map(|term| (scale * term.slope) as f32);
            coefficients.push(slopes.collect());
        }
        Ok(Loss { loss, coefficients })
    }
}

#[cfg(test)]
mod tests;
