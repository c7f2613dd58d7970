//! The mean negative log-probability of labels: what supervised fine-tuning lowers.

use super::{Answer, Loss, Objective};
use anyhow::Result;

/// The mean over the labels of a step.
#[derive(Debug, Clone, Copy)]
pub struct Mean {
    /// How many labels the whole step has, so that its passes sum to its mean.
    pub labels: usize,
}

impl Objective for Mean {
    fn known(&self) -> Option<f32> {
        Some(-1.0 / self.labels as f32)
    }

    fn loss(&mut self, answers: &[Answer]) -> Result<Loss> {
        let sum: f64 = answers.iter().map(Answer::sum).sum();
        let coefficient = -1.0 / self.labels as f32;
        Ok(Loss {
            loss: -sum / self.labels as f64,
            coefficients: answers
                .iter()
                .map(|answer| vec![coefficient; answer.log_p.len()])
                .collect(),
        })
    }
}
