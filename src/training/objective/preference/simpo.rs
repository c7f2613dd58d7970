//! SimPO: −log σ(β(s_w/n_w − s_l/n_l) − γ), which no reference holds: it goes on until a token of the chosen answer is γ/β nats likelier.

use super::super::{log_sigmoid, sigmoid};
use super::{Given, Pair, Settings};

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    let u = s.beta * (pair.chosen.mean() - pair.rejected.mean()) - s.gamma.unwrap_or(0.0);
    let c = s.beta * sigmoid(-u);
    Given {
        loss: -log_sigmoid(u),
        coefficients: [-c / pair.chosen.tokens, c / pair.rejected.tokens],
        rewards: [pair.chosen, pair.rejected].map(|side| s.beta * side.mean()),
    }
}
