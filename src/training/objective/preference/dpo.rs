//! Direct preference optimization: −log σ(u).

use super::super::{log_sigmoid, sigmoid};
use super::{Given, Pair, Settings, Side};

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    of(
        s.beta * pair.margin(),
        s.beta,
        [pair.chosen, pair.rejected].map(|side| s.beta * side.gain()),
    )
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

/// −log σ(u), where a label of the chosen answer changes u by `scale`.
fn of(u: f64, scale: f64, rewards: [f64; 2]) -> Given {
    let c = scale * sigmoid(-u);
    Given {
        loss: -log_sigmoid(u),
        coefficients: [-c, c],
        rewards,
    }
}
