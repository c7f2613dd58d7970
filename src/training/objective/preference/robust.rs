//! DPO for labels of which a share ε is wrong, so that its mean over the noise is DPO's:
//! [−(1 − ε) log σ(u) + ε log σ(−u)] / (1 − 2ε).

use super::super::{log_sigmoid, sigmoid};
use super::{Given, Pair, Settings};

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    let (u, wrong) = (s.beta * pair.margin(), s.label_smoothing.unwrap_or(0.0));
    let (right, all) = (1.0 - wrong, 1.0 - 2.0 * wrong);
    let c = s.beta * (right * sigmoid(-u) + wrong * sigmoid(u)) / all;
    Given {
        loss: (-right * log_sigmoid(u) + wrong * log_sigmoid(-u)) / all,
        coefficients: [-c, c],
        rewards: pair.rewards(s.beta),
    }
}
