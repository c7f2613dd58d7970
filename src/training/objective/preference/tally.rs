//! What is told of a step's pairs, by the names that TRL uses, and what shows that answers get lost.

use super::{Given, Pair};
use crate::training::lessons::Metrics;

/// log p of the chosen answers' tokens minus the reference's, a token.
pub const CHOSEN_GAIN: &str = "logps/chosen_minus_reference";

/// Sums over pairs.
#[derive(Default)]
pub struct Tally {
    rewards: [f64; 2],
    right: f64,
    log_p: [f64; 2],
    /// log p of the chosen answers beyond the reference, and their tokens.
    gain: f64,
    tokens: f64,
    /// Pairs whose chosen answer is below the reference.
    below: f64,
}

impl Tally {
    pub fn add(&mut self, pair: &Pair, given: &Given) {
        let sides = [&pair.chosen, &pair.rejected];
        for (i, side) in sides.iter().enumerate() {
            self.rewards[i] += given.rewards[i];
            self.log_p[i] += side.log_p;
        }
        self.right += f64::from(u8::from(given.rewards[0] > given.rewards[1]));
        self.gain += pair.chosen.gain();
        self.tokens += pair.chosen.tokens;
        self.below += f64::from(u8::from(pair.chosen.gain() < 0.0));
    }

    /// Means over `pairs`.
    pub fn metrics(&self, pairs: usize) -> Metrics {
        let mean = |sum: f64| sum / pairs as f64;
        Metrics::from([
            ("rewards/chosen", mean(self.rewards[0])),
            ("rewards/rejected", mean(self.rewards[1])),
            ("rewards/margins", mean(self.rewards[0] - self.rewards[1])),
            ("rewards/accuracies", mean(self.right)),
            ("logps/chosen", mean(self.log_p[0])),
            ("logps/rejected", mean(self.log_p[1])),
            (CHOSEN_GAIN, self.gain / self.tokens),
            ("pairs_below_reference", mean(self.below)),
        ])
    }
}
