//! Odds ratio: −β log σ(log odds(w) − log odds(l)), where an answer's p is the mean of its tokens', e^(s/n), and its odds are p/(1 − p). The
//! chosen answers' own loss comes beside it.

use super::super::{log_sigmoid, sigmoid};
use super::{Given, Pair, Settings, Side};

/// Largest mean log p: at 0 the odds are infinite.
const MOST: f64 = -1e-9;

/// The log odds of an answer, and their derivative by the log p of a label.
fn odds(side: &Side) -> (f64, f64) {
    let mean = side.mean().min(MOST);
    let other = -mean.exp_m1();
    (mean - other.ln(), 1.0 / (other * side.tokens))
}

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    let ((chosen, by_chosen), (rejected, by_rejected)) = (odds(&pair.chosen), odds(&pair.rejected));
    let u = chosen - rejected;
    let c = s.beta * sigmoid(-u);
    Given {
        loss: -s.beta * log_sigmoid(u),
        coefficients: [-c * by_chosen, c * by_rejected],
        rewards: [pair.chosen, pair.rejected].map(|side| s.beta * side.mean()),
    }
}
