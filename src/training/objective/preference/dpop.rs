//! DPO-positive: −log σ(β(Δ − λ·max(0, r_w − s_w))), which falls no further where the chosen answer is below the reference.

use super::super::{log_sigmoid, sigmoid};
use super::{Given, Pair, Settings};

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    let lambda = s.lambda.unwrap_or(0.0);
    let lacking = (-pair.chosen.gain()).max(0.0);
    let u = s.beta * (pair.margin() - lambda * lacking);
    let c = s.beta * sigmoid(-u);
    let more = match lacking > 0.0 {
        true => 1.0 + lambda,
        false => 1.0,
    };
    Given {
        loss: -log_sigmoid(u),
        coefficients: [-c * more, c],
        rewards: pair.rewards(s.beta),
    }
}
