//! Kahneman-Tversky optimization (arXiv:2402.01306): each answer for itself, good or bad. A good one is worth how far it is beyond the mean
//! divergence, σ(β(s − r − KL)), a bad one the reverse, and the loss is what they lack to 1. The divergence is measured on answers to other
//! prompts and is no way to lower the loss.

use super::preference::CHOSEN_GAIN;
use super::{Answer, Loss, Objective, Units, sigmoid};
use crate::training::lessons::Metrics;
use anyhow::{Result, ensure};
use serde::Serialize;

/// The loss as flags call it.
pub const KTO: &str = "kto";

/// The loss's constants.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// How strongly log-probabilities count.
    pub beta: f64,
    /// Weight of a good answer.
    pub desirable_weight: f64,
    /// Weight of a bad one.
    pub undesirable_weight: f64,
}

impl Settings {
    /// Refuses values that no run can have.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.beta.is_finite() && self.beta > 0.0,
            "--beta must be above 0"
        );
        for (flag, weight) in [
            ("--desirable-weight", self.desirable_weight),
            ("--undesirable-weight", self.undesirable_weight),
        ] {
            ensure!(weight.is_finite() && weight > 0.0, "{flag} must be above 0");
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            beta: 0.1,
            desirable_weight: 1.0,
            undesirable_weight: 1.0,
        }
    }
}

/// The loss over the answers of a step. Rows are counted answer by answer: itself, and another's behind its prompt.
pub struct Kto {
    settings: Settings,
    /// Whether each answer is good.
    good: Vec<bool>,
    /// The reference's log p of each row.
    reference: Vec<f64>,
    /// Answers of the step.
    answers: usize,
    tally: Tally,
}

/// Sums over answers; bad ones first.
#[derive(Default)]
struct Tally {
    count: [f64; 2],
    gain: [f64; 2],
    log_p: [f64; 2],
    tokens: [f64; 2],
    below: f64,
    /// Weighted by the answers of their passes.
    divergence: f64,
}

impl Kto {
    /// `good` says of each answer whether it is, `reference` the log p of each row under the reference.
    pub fn new(settings: Settings, good: Vec<bool>, reference: Vec<f64>) -> Self {
        Self {
            settings,
            good,
            reference,
            answers: 0,
            tally: Tally::default(),
        }
    }

    fn gain(&self, answer: &Answer) -> f64 {
        answer.sum() - self.reference[answer.row]
    }
}

impl Units for Kto {
    fn width(&self) -> usize {
        2
    }

    fn begin(&mut self, answers: usize, _: usize) {
        self.answers = answers;
        self.tally = Tally::default();
    }

    fn metrics(&self) -> Metrics {
        let Tally {
            count: [bad, good],
            gain,
            log_p,
            tokens,
            below,
            divergence,
        } = self.tally;
        let mut all = Metrics::from([("kl", divergence / (bad + good))]);
        let beta = self.settings.beta;
        if good > 0.0 {
            all.extend([
                ("rewards/chosen", beta * gain[1] / good),
                ("logps/chosen", log_p[1] / good),
                (CHOSEN_GAIN, gain[1] / tokens[1]),
                ("pairs_below_reference", below / good),
            ]);
        }
        if bad > 0.0 {
            all.extend([
                ("rewards/rejected", beta * gain[0] / bad),
                ("logps/rejected", log_p[0] / bad),
            ]);
        }
        if good > 0.0 && bad > 0.0 {
            let margin = gain[1] / good - gain[0] / bad;
            all.insert("rewards/margins", beta * margin);
        }
        all
    }
}

impl Objective for Kto {
    fn loss(&mut self, answers: &[Answer]) -> Result<Loss> {
        let (units, rest) = answers.as_chunks::<2>();
        ensure!(
            rest.is_empty(),
            "a pass holds each answer with a mismatched one"
        );
        let mismatched = units.iter().map(|[_, other]| self.gain(other)).sum::<f64>();
        // Not below 0, as a divergence is not.
        let divergence = (mismatched / units.len() as f64).max(0.0);
        let (mut loss, mut coefficients) = (0.0, Vec::with_capacity(answers.len()));
        for [answer, other] in units {
            let good = self.good[answer.row / 2];
            let (sign, weight) = match good {
                true => (1.0, self.settings.desirable_weight),
                false => (-1.0, self.settings.undesirable_weight),
            };
            let (gain, weight) = (self.gain(answer), weight / self.answers as f64);
            let worth = sigmoid(sign * self.settings.beta * (gain - divergence));
            loss += weight * (1.0 - worth);
            let c = -sign * self.settings.beta * worth * (1.0 - worth) * weight;
            coefficients.push(vec![c as f32; answer.log_p.len()]);
            coefficients.push(vec![0.0; other.log_p.len()]);
            let (tally, side) = (&mut self.tally, usize::from(good));
            tally.count[side] += 1.0;
            tally.gain[side] += gain;
            tally.log_p[side] += answer.sum();
            tally.tokens[side] += answer.log_p.len() as f64;
            tally.below += f64::from(u8::from(good && gain < 0.0));
            tally.divergence += divergence;
        }
        Ok(Loss { loss, coefficients })
    }
}
