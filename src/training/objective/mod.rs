//! What a step learns: from the log-probabilities of its answers to a loss, and to what each label's log-probability changes of it.
//! That coefficient is all that the pass through the base needs of a loss. One file an objective.

pub mod kto;
mod mean;
pub mod policy;
pub mod preference;

pub use mean::Mean;

use super::lessons::Metrics;
use anyhow::Result;

/// An answer whose log-probabilities were computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its row, as [`super::lessons::Lessons::example`] counts them.
    pub row: usize,
    /// Of each of its labels, in their order.
    pub log_p: Vec<f32>,
}

impl Answer {
    /// The log-probability of the whole.
    pub fn sum(&self) -> f64 {
        self.log_p.iter().map(|p| f64::from(*p)).sum()
    }
}

/// What some answers give.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// Their part of the step's loss, which is the sum over its passes.
    pub loss: f64,
    /// The derivative of the loss by the log-probability of each label, answer by answer.
    pub coefficients: Vec<Vec<f32>>,
}

/// A loss over answers.
pub trait Objective {
    /// The coefficient of every label, where it does not depend on what is computed.
    fn known(&self) -> Option<f32> {
        None
    }

    /// What the answers of one pass give.
    fn loss(&mut self, answers: &[Answer]) -> Result<Loss>;
}

/// An objective over rows that stay together, such as the two answers of a pair.
pub trait Units: Objective {
    /// Rows of a unit.
    fn width(&self) -> usize;

    /// Begins a step of so many units, whose first rows have so many labels.
    fn begin(&mut self, units: usize, labels: usize);

    /// What is known of the step.
    fn metrics(&self) -> Metrics;
}

/// `1 / (1 + e^−x)`
pub(super) fn sigmoid(x: f64) -> f64 {
    match x >= 0.0 {
        true => 1.0 / (1.0 + (-x).exp()),
        // e^−x may be infinite.
        false => x.exp() / (1.0 + x.exp()),
    }
}

/// `log(1 / (1 + e^−x))`, finite for every finite x.
pub(super) fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_numbers_are_finite() {
        for x in [-1e4, -40.0, -1.0, 0.0, 1.0, 40.0, 1e4] {
            assert!(log_sigmoid(x).is_finite() && sigmoid(x).is_finite(), "{x}");
            assert!((sigmoid(x) + sigmoid(-x) - 1.0).abs() < 1e-15, "{x}");
        }
        assert!((log_sigmoid(1.0) - sigmoid(1.0).ln()).abs() < 1e-15);
        assert_eq!(log_sigmoid(-1e4), -1e4);
    }
}
