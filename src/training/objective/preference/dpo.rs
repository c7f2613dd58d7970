//! Direct preference optimization: −log σ(u).

use super::super::{log_sigmoid, sigmoid};
use super::{Given, Pair, Settings, Side};

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    let u = s.beta * pair.margin();
    let c = s.beta * sigmoid(-u);
    Given {
        loss: -log_sigmoid(u),
        coefficients: [-c, c],
        rewards: pair.rewards(s.beta),
    }
}

/// CPO's: as if the reference found all answers alike.
pub fn without_reference(pair: &Pair, s: &Settings) -> Given {
    let free = |side: Side| Side {
        reference: 0.0,
        ..side
    };
    let free = Pair {
        chosen: free(pair.chosen),
        rejected: free(pair.rejected),
    };
    self::pair(&free, s)
}
