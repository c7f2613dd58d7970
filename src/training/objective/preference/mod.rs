//! Losses over pairs of answers to one prompt, of which one is preferred. `s` is an answer's log-probability, `r` the reference's, `n` its
//! labels, `u = β((s_w − r_w) − (s_l − r_l))` of a pair. Each loss is a file, checked against TRL's numbers (scripts/golden_losses.py).

mod dpo;
mod dpo_norm;
mod dpop;
mod hinge;
mod ipo;
mod orpo;
mod robust;
mod simpo;
mod tally;

use super::{Answer, Loss, Objective, Units};
use crate::training::lessons::Metrics;
use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
pub use tally::CHOSEN_GAIN;
use tally::Tally;

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// −log σ(u), by the reference (DPO, arXiv:2305.18290).
    Dpo,
    /// DPO and the chosen answers' own loss, which holds them up (RPO, arXiv:2404.19733).
    #[value(name = "dpo+nll")]
    #[serde(rename = "dpo+nll")]
    DpoNll,
    /// max(0, 1 − u) (SLiC, arXiv:2305.10425).
    Hinge,
    /// (δ − 1/2β)², δ by the token: an end to how far a pair is pushed apart (IPO, arXiv:2310.12036).
    Ipo,
    /// DPO where a share of the pairs is the wrong way round (arXiv:2403.00409).
    Robust,
    /// DPO by the token, so that length does not count (arXiv:2411.15124).
    DpoNorm,
    /// DPO that punishes a chosen answer below the reference (DPOP, arXiv:2402.13228).
    Dpop,
    /// DPO without a reference, and the chosen answers' own loss (arXiv:2401.08417).
    Cpo,
    /// By the token, without a reference, with a margin (arXiv:2405.14734).
    #[value(name = "simpo")]
    #[serde(rename = "simpo")]
    SimPo,
    /// The chosen answers' own loss and the log odds of the pair (arXiv:2403.07691).
    Orpo,
}

impl Kind {
    /// β where none is given: what the loss's authors or TRL start from.
    fn beta(self) -> f64 {
        match self {
            Self::DpoNorm => 5.0,
            Self::SimPo => 2.0,
            _ => 0.1,
        }
    }

    /// The weight of the chosen answers' own loss where none is given.
    fn nll(self) -> f64 {
        match self {
            Self::DpoNll | Self::Cpo | Self::Orpo => 1.0,
            _ => 0.0,
        }
    }

    fn pair(self) -> fn(&Pair, &Settings) -> Given {
        match self {
            Self::Dpo | Self::DpoNll => dpo::pair,
            Self::Hinge => hinge::pair,
            Self::Ipo => ipo::pair,
            Self::Robust => robust::pair,
            Self::DpoNorm => dpo_norm::pair,
            Self::Dpop => dpop::pair,
            Self::Cpo => dpo::without_reference,
            Self::SimPo => simpo::pair,
            Self::Orpo => orpo::pair,
        }
    }
}

/// A loss with its constants.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    pub loss: Kind,
    /// How strongly log-probabilities count; of ORPO the weight of the log odds.
    pub beta: f64,
    /// Weight of the chosen answers' mean negative log-probability a token.
    pub nll_weight: f64,
    /// Share of the pairs that are the wrong way round; robust's alone, as the others are of their losses.
    pub label_smoothing: Option<f64>,
    /// Margin of SimPO.
    pub gamma: Option<f64>,
    /// DPOP's weight of what a chosen answer lacks to the reference.
    pub lambda: Option<f64>,
}

impl Settings {
    /// The loss as it is without further flags.
    pub fn new(loss: Kind) -> Self {
        Self {
            loss,
            beta: loss.beta(),
            nll_weight: loss.nll(),
            label_smoothing: (loss == Kind::Robust).then_some(0.1),
            gamma: (loss == Kind::SimPo).then_some(1.0),
            lambda: (loss == Kind::Dpop).then_some(50.0),
        }
    }

    /// Refuses values that no run can have.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.beta.is_finite() && self.beta > 0.0,
            "--beta must be above 0"
        );
        for (flag, value) in [
            ("--nll-weight", self.nll_weight),
            ("--gamma", self.gamma.unwrap_or(0.0)),
            ("--lambda", self.lambda.unwrap_or(0.0)),
        ] {
            ensure!(
                value.is_finite() && value >= 0.0,
                "{flag} must be 0 or more"
            );
        }
        ensure!(
            (0.0..0.5).contains(&self.label_smoothing.unwrap_or(0.0)),
            "--label-smoothing is a share below a half"
        );
        Ok(())
    }
}

/// One answer of a pair.
#[derive(Debug, Clone, Copy)]
struct Side {
    /// log p of the answer.
    log_p: f64,
    /// The reference's.
    reference: f64,
    tokens: f64,
}

impl Side {
    /// log p beyond the reference.
    fn gain(&self) -> f64 {
        self.log_p - self.reference
    }

    /// log p of a token.
    fn mean(&self) -> f64 {
        self.log_p / self.tokens
    }
}

/// Two answers to one prompt.
struct Pair {
    chosen: Side,
    rejected: Side,
}

impl Pair {
    /// Δ: by how much more the chosen answer gained than the other.
    fn margin(&self) -> f64 {
        self.chosen.gain() - self.rejected.gain()
    }

    /// What DPO calls rewards, of the chosen answer and of the other.
    fn rewards(&self, beta: f64) -> [f64; 2] {
        [self.chosen, self.rejected].map(|side| beta * side.gain())
    }

    /// δ: the same of means a token.
    fn mean_margin(&self) -> f64 {
        self.chosen.gain() / self.chosen.tokens - self.rejected.gain() / self.rejected.tokens
    }
}

/// What a loss gives for a pair.
struct Given {
    loss: f64,
    /// The derivative of the loss by each label's log p, of the chosen answer and of the other.
    coefficients: [f64; 2],
    /// See [`Pair::rewards`]; without a reference of log-probabilities alone.
    rewards: [f64; 2],
}

/// The loss over the pairs of a step. Rows are counted pair by pair, the chosen answer first.
pub struct Preference {
    settings: Settings,
    /// The reference's log p of each row.
    reference: Vec<f64>,
    /// Pairs of the step.
    pairs: usize,
    /// Labels of its chosen answers.
    labels: usize,
    tally: Tally,
}

impl Preference {
    /// `reference` is the log p of each row under the reference.
    pub fn new(settings: Settings, reference: Vec<f64>) -> Self {
        Self {
            settings,
            reference,
            pairs: 0,
            labels: 0,
            tally: Tally::default(),
        }
    }

    fn side(&self, answer: &Answer) -> Side {
        Side {
            log_p: answer.sum(),
            reference: self.reference[answer.row],
            tokens: answer.log_p.len() as f64,
        }
    }
}

impl Units for Preference {
    fn width(&self) -> usize {
        2
    }

    fn begin(&mut self, pairs: usize, labels: usize) {
        (self.pairs, self.labels) = (pairs, labels);
        self.tally = Tally::default();
    }

    fn metrics(&self) -> Metrics {
        self.tally.metrics(self.pairs)
    }
}

impl Objective for Preference {
    fn loss(&mut self, answers: &[Answer]) -> Result<Loss> {
        let (pairs, labels) = (self.pairs as f64, self.labels as f64);
        let (mut loss, mut coefficients) = (0.0, Vec::with_capacity(answers.len()));
        let (whole, rest) = answers.as_chunks::<2>();
        ensure!(rest.is_empty(), "a pass holds whole pairs");
        for rows in whole {
            let [chosen, rejected] = rows.each_ref().map(|answer| self.side(answer));
            let pair = Pair { chosen, rejected };
            let given = self.settings.loss.pair()(&pair, &self.settings);
            let nll = -self.settings.nll_weight / labels;
            loss += given.loss / pairs + nll * pair.chosen.log_p;
            let [chosen, rejected] = given.coefficients.map(|c| c / pairs);
            for (answer, c) in rows.iter().zip([chosen + nll, rejected]) {
                coefficients.push(vec![c as f32; answer.log_p.len()]);
            }
            self.tally.add(&pair, &given);
        }
        Ok(Loss { loss, coefficients })
    }
}

#[cfg(test)]
mod tests;
