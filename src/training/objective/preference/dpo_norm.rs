//! DPO by the token: −log σ(βδ).

use super::super::{log_sigmoid, sigmoid};
use super::{Given, Pair, Settings};

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    let u = s.beta * pair.mean_margin();
    let c = s.beta * sigmoid(-u);
    Given {
        loss: -log_sigmoid(u),
        coefficients: [-c / pair.chosen.tokens, c / pair.rejected.tokens],
        rewards: pair.rewards(s.beta),
    }
}
