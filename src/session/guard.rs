//! What ends a run that spoils its adapter, before anybody is handed one: bounds on how far answers may fall behind those of the adapter that
//! the run began with, and behind the reference that its objective knows.

use super::selection::Measured;
use crate::eval::stats::mcnemar_exact;
use crate::training::lessons::Metrics;
use crate::training::objective::preference::CHOSEN_GAIN;
use serde::{Deserialize, Serialize};

/// Steps that a mean is over.
const WINDOW: usize = 20;
/// Steps without which there is no mean.
const FEWEST: usize = 5;
/// How far the chosen answers may fall below the reference, nats a token.
const CHOSEN: f64 = 0.1;
/// How far execution accuracy may fall where pairs of rows tell the fall from chance, and how far in any case.
const EXECUTION: (f64, f64) = (0.05, 0.15);
/// The p below which they do.
const P: f64 = 0.05;
/// How far the share of queries that run may fall.
const VALID: f64 = 0.10;

/// A run that was ended. The adapter it began with is as it was.
#[derive(Debug, thiserror::Error)]
#[error(
    "step {step}: {reason} (--no-guards goes on, at the risk of an adapter that answers nothing)"
)]
pub struct Tripped {
    pub step: usize,
    pub reason: String,
}

/// What guards have seen; a part of a run's state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Guards {
    /// Of the adapter that the run began with.
    start: Option<Measured>,
    /// By how much chosen answers were above the reference, in the last steps.
    gains: Vec<f64>,
}

impl Guards {
    /// Whether the adapter that the run begins with is still to be measured.
    pub fn wants_start(&self) -> bool {
        self.start.is_none()
    }

    /// Takes note of it.
    pub fn start(&mut self, measured: Measured) {
        self.start = Some(measured);
    }

    /// Looks at a step's numbers; why the run should end, if it should.
    pub fn step(&mut self, metrics: &Metrics) -> Option<String> {
        let gain = *metrics.get(CHOSEN_GAIN)?;
        self.gains.push(gain);
        let more = self.gains.len().saturating_sub(WINDOW);
        self.gains.drain(..more);
        let n = self.gains.len();
        let mean = self.gains.iter().sum::<f64>() / n as f64;
        (n >= FEWEST && mean < -CHOSEN).then(|| {
            format!(
                "the chosen answers are {:.2} nats a token less likely than at the start, the mean of {n} steps (at most {CHOSEN}): \
                 the run unlearns them",
                -mean
            )
        })
    }

    /// Looks at an adapter's answers; why the run should end, if it should.
    pub fn measured(&self, now: &Measured) -> Option<String> {
        let start = self.start.as_ref()?;
        let rows = || start.passed.iter().zip(&now.passed);
        let gained = rows().filter(|(before, now)| !**before && **now).count();
        let lost = rows().filter(|(before, now)| **before && !**now).count();
        let fell = start.accuracy() - now.accuracy();
        let p = mcnemar_exact(gained, lost);
        if fell > EXECUTION.1 || (fell > EXECUTION.0 && p < P) {
            return Some(format!(
                "execution accuracy fell from {:.3} to {:.3} ({lost} rows lost, {gained} gained, p = {p:.2})",
                start.accuracy(),
                now.accuracy()
            ));
        }
        (start.valid() - now.valid() > VALID).then(|| {
            format!(
                "the share of queries that run fell from {:.2} to {:.2}",
                start.valid(),
                now.valid()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(passed: usize, valid: usize, of: usize) -> Measured {
        Measured {
            passed: (0..of).map(|row| row < passed).collect(),
            ran: valid,
        }
    }

    #[test]
    fn a_fall_that_chance_explains_is_none() {
        let mut guards = Guards::default();
        assert!(guards.wants_start());
        guards.start(measured(43, 50, 50));
        assert_eq!(guards.measured(&measured(40, 50, 50)), None);
        // Six rows of fifty, all lost: p = 0.03.
        let reason = guards.measured(&measured(37, 50, 50)).unwrap();
        assert!(reason.contains("0.860 to 0.740"), "{reason}");
        assert!(
            guards
                .measured(&measured(42, 44, 50))
                .unwrap()
                .contains("1.00 to 0.88")
        );
        // Of few rows a large fall is enough.
        let mut few = Guards::default();
        few.start(measured(4, 5, 5));
        assert!(few.measured(&measured(3, 5, 5)).is_some());
    }

    #[test]
    fn chosen_answers_may_fall_a_little_and_not_for_long() {
        let of = |gains: &[f64]| {
            let mut guards = Guards::default();
            let steps = gains
                .iter()
                .map(|gain| Metrics::from([(CHOSEN_GAIN, *gain)]));
            steps.map(|step| guards.step(&step)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[-0.05; 40]), vec![None; 40]);
        let found = of(&[-0.5; 8]);
        let tripped = found.iter().position(Option::is_some);
        assert_eq!(tripped, Some(FEWEST - 1));
        // One bad step among good ones.
        assert_eq!(of(&[0.1, 0.1, -0.4, 0.1, 0.1, 0.1]), vec![None; 6]);
        assert_eq!(Guards::default().step(&Metrics::new()), None);
    }
}
