//! Identity preference optimization: (δ − 1/2β)², with means a token as TRL has them.

use super::{Given, Pair, Settings};

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    let off = pair.mean_margin() - 1.0 / (2.0 * s.beta);
    Given {
        loss: off * off,
        coefficients: [
            2.0 * off / pair.chosen.tokens,
            -2.0 * off / pair.rejected.tokens,
        ],
        rewards: pair.rewards(s.beta),
    }
}
