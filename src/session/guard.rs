//! What ends a run that spoils its adapter, before anybody is handed one: bounds on how far answers may fall behind those of the adapter that
//! the run began with, and behind the reference that its objective knows.

use super::selection::Measured;
use crate::eval::stats::mcnemar_exact;
use crate::training::lessons::Metrics;
use crate::training::objective::policy::{ENTROPY, KL};
use crate::training::objective::preference::CHOSEN_GAIN;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Steps that a mean is over.
const WINDOW: usize = 20;
/// Steps without which there is no mean.
const FEWEST: usize = 10;
/// Steps that say how a run began.
const FIRST: usize = 3;
/// The share of answers that ended by themselves, where answers are drawn.
pub const ENDED: &str = "completions/ended";
/// How far the model may be from the reference, nats a token.
const DIVERGENCE: f64 = 0.5;
/// The part of the first steps' entropy that must be left.
const ENTROPY_LEFT: f64 = 0.2;
/// How far the share of answers that end by themselves may fall.
const ENDED_LOST: f64 = 0.2;
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
    "step {step}: {reason} (with --no-guards the run would have gone on, at the risk of an adapter that answers nothing)"
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
    /// What was told of steps, by name.
    told: BTreeMap<String, Told>,
}

/// A number of the steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    /// Of the first steps.
    first: Vec<f64>,
    /// Of the last ones.
    last: Vec<f64>,
}

impl Told {
    fn add(&mut self, value: f64) {
        if self.first.len() < FIRST {
            self.first.push(value);
        }
        self.last.push(value);
        let more = self.last.len().saturating_sub(WINDOW);
        self.last.drain(..more);
    }

    /// The means of the first steps and of the last ones, and how many those are; `None` while they are few.
    fn means(&self) -> Option<(f64, f64, usize)> {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let n = self.last.len();
        (n >= FEWEST).then(|| (mean(&self.first), mean(&self.last), n))
    }
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
        for name in [CHOSEN_GAIN, KL, ENTROPY, ENDED] {
            if let Some(value) = metrics.get(name) {
                self.told.entry(name.to_owned()).or_default().add(*value);
            }
        }
        let of = |name: &str| self.told.get(name)?.means();
        let gain = of(CHOSEN_GAIN).filter(|(_, now, _)| *now < -CHOSEN);
        let gain = gain.map(|(_, now, n)| {
            format!(
                "the chosen answers are {:.2} nats a token less likely than at the start, the mean of {n} steps (at most {CHOSEN}): \
                 the run unlearns them",
                -now
            )
        });
        let far = of(KL).filter(|(_, now, _)| *now > DIVERGENCE);
        let far = far.map(|(_, now, n)| {
            format!("the model is {now:.2} nats a token from the reference, the mean of {n} steps (at most {DIVERGENCE})")
        });
        let narrow = of(ENTROPY).filter(|(first, now, _)| *now < ENTROPY_LEFT * first);
        let narrow = narrow.map(|(first, now, n)| {
            format!("the entropy fell from {first:.3} to {now:.3} nats a token, the mean of {n} steps: all answers become alike")
        });
        let endless = of(ENDED).filter(|(first, now, _)| first - now > ENDED_LOST);
        let endless = endless.map(|(first, now, n)| {
            format!("the share of answers that end by themselves fell from {first:.2} to {now:.2}, the mean of {n} steps")
        });
        gain.or(far).or(narrow).or(endless)
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
        let found = of(&[-0.5; 14]);
        let tripped = found.iter().position(Option::is_some);
        assert_eq!(tripped, Some(FEWEST - 1));
        // Bad steps among good ones.
        assert_eq!(of(&[0.1, -0.4, 0.1, 0.1].repeat(5)), vec![None; 20]);
        assert_eq!(Guards::default().step(&Metrics::new()), None);
    }

    #[test]
    fn answers_that_become_alike_or_endless_or_others_end_a_run() {
        let of = |name: &'static str, first: f64, then: f64| {
            let mut guards = Guards::default();
            let values = std::iter::repeat_n(first, FIRST).chain(std::iter::repeat_n(then, 60));
            let reasons = values.filter_map(|value| guards.step(&Metrics::from([(name, value)])));
            reasons.collect::<Vec<_>>().first().cloned()
        };
        assert_eq!(of(ENTROPY, 0.5, 0.2), None);
        assert!(of(ENTROPY, 0.5, 0.05).unwrap().contains("alike"));
        assert_eq!(of(ENDED, 1.0, 0.85), None);
        assert!(of(ENDED, 1.0, 0.5).unwrap().contains("end by themselves"));
        assert_eq!(of(KL, 0.0, 0.4), None);
        assert!(
            of(KL, 0.0, 0.9)
                .unwrap()
                .contains("nats a token from the reference")
        );
    }
}
