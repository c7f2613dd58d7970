//! What rounds found, and what of them is done.

use super::set::Chosen;
use crate::db::sqlite::Now;
use crate::learning::standing::Standing;
use serde::{Deserialize, Serialize};

/// All rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The time of day that all queries saw.
    pub now: Now,
    /// The execution accuracy of the start, where adapters are measured.
    pub start_accuracy: Option<f64>,
    pub rounds: Vec<Round>,
    /// The round whose adapter is handed out; 0 is the start.
    pub kept: usize,
}

/// One round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub round: usize,
    /// The round whose adapter was drawn from; 0 is the start.
    pub drawn_from: usize,
    /// What was drawn.
    pub drawn: Standing,
    /// What of it was learned.
    pub learned: Chosen,
    /// The round whose adapter was trained on; 0 is the start. `None` where nothing was trained.
    pub trained_from: Option<usize>,
    /// The execution accuracy of what was trained, where adapters are measured.
    pub accuracy: Option<f64>,
}

impl Summary {
    /// Nothing yet.
    pub fn new(now: Now) -> Self {
        Self {
            now,
            start_accuracy: None,
            rounds: Vec::new(),
            kept: 0,
        }
    }

    /// The round with the best adapter so far: the last one that is not worse than any before it, where they are measured, else the last.
    pub fn best(&self) -> usize {
        let (mut best, mut most) = (0, self.start_accuracy);
        for round in self.rounds.iter().filter(|r| r.trained_from.is_some()) {
            if round.accuracy >= most {
                (best, most) = (round.round, round.accuracy);
            }
        }
        best
    }

    /// The accuracy of a round's adapter; 0 is the start.
    pub fn accuracy(&self, round: usize) -> Option<f64> {
        match round.checked_sub(1) {
            None => self.start_accuracy,
            Some(at) => self.rounds.get(at)?.accuracy,
        }
    }
}

impl Round {
    /// In one line.
    pub fn line(&self) -> String {
        let Self {
            round,
            drawn,
            learned,
            ..
        } = self;
        let accuracy = match self.accuracy {
            Some(accuracy) => format!("; execution accuracy {accuracy:.3}"),
            None => String::new(),
        };
        format!(
            "round {round}: greedy={:.3} pass@1={:.3} pass@{}={:.3} distinct={:.2}; {} answers of {} rows learned, {} rows of before{accuracy}",
            drawn.greedy.value,
            drawn.pass_1(),
            drawn.samples,
            drawn.pass(),
            drawn.distinct_queries,
            learned.answers,
            learned.rows,
            learned.replayed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(start: Option<f64>, rounds: &[Option<f64>]) -> Summary {
        let round = |(at, accuracy): (usize, &Option<f64>)| Round {
            round: at + 1,
            drawn_from: 0,
            drawn: Standing::of(&[]),
            learned: Chosen::default(),
            trained_from: Some(0),
            accuracy: *accuracy,
        };
        Summary {
            start_accuracy: start,
            rounds: rounds.iter().enumerate().map(round).collect(),
            ..Summary::new(Now::current())
        }
    }

    #[test]
    fn no_adapter_is_the_best_that_is_worse_than_one_before() {
        let best = |start, rounds: &[f64]| {
            let rounds: Vec<_> = rounds.iter().copied().map(Some).collect();
            summary(Some(start), &rounds).best()
        };
        assert_eq!(best(0.5, &[]), 0);
        assert_eq!(best(0.5, &[0.4, 0.45]), 0);
        assert_eq!(best(0.5, &[0.5]), 1);
        assert_eq!(best(0.5, &[0.7, 0.6]), 1);
        assert_eq!(best(0.5, &[0.4, 0.6, 0.6]), 3);
        assert_eq!(summary(None, &[None, None]).best(), 2);
        let mut nothing = summary(None, &[None, None]);
        nothing.rounds[1].trained_from = None;
        assert_eq!(nothing.best(), 1);
    }
}
