//! Kahneman-Tversky optimization: an answer's worth is how far it is beyond the mean divergence, σ(±β(s − r − KL)), and the loss what it
//! lacks to 1. The divergence is measured on answers to other prompts and is no way to lower the loss.

use super::super::sigmoid;
use super::{Given, Pair, Settings};

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    let of = |gain: f64, sign: f64| {
        let worth = sigmoid(sign * s.beta * (gain - pair.divergence));
        // The mean over both answers.
        (
            (1.0 - worth) / 2.0,
            -sign * s.beta * worth * (1.0 - worth) / 2.0,
        )
    };
    let (chosen, by_chosen) = of(pair.chosen.gain(), 1.0);
    let (rejected, by_rejected) = of(pair.rejected.gain(), -1.0);
    Given {
        loss: chosen + rejected,
        coefficients: [by_chosen, by_rejected],
        rewards: [pair.chosen, pair.rejected].map(|side| s.beta * side.gain()),
    }
}
