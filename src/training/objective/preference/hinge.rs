//! A margin that is enough: max(0, 1 − u).

use super::{Given, Pair, Settings};

pub fn pair(pair: &Pair, s: &Settings) -> Given {
    let u = s.beta * pair.margin();
    let c = match u < 1.0 {
        true => s.beta,
        false => 0.0,
    };
    Given {
        loss: (1.0 - u).max(0.0),
        coefficients: [-c, c],
        rewards: pair.rewards(s.beta),
    }
}
