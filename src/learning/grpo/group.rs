//! The answers to one row beside each other, and how long they took.

use crate::learning::episodes::episode::Episode;
use crate::learning::rewards::steps::Steps;
use crate::learning::rollouts::Drawn;
use crate::training::objective::policy::{Kind, advantages};

/// Seconds of a drawing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seconds {
    /// Until the last answer was there.
    pub generation: f64,
    /// That the judge worked, most of them while others were drawn.
    pub scoring: f64,
}

/// The answers to one row, and what each is worth.
pub struct Group {
    pub row: usize,
    pub drawn: Vec<Drawn>,
    /// The episodes that ended with them, and what their turns are worth; none without tools.
    pub played: Vec<(Episode, Vec<f64>)>,
    /// `None` where an answer could not be drawn.
    pub rewards: Vec<Option<f64>>,
    /// Of each answer one, of an episode one a turn.
    pub advantages: Vec<Vec<f64>>,
}

impl Group {
    /// Of answers that are worth `rewards`.
    pub fn of_answers(
        row: usize,
        drawn: Vec<Drawn>,
        rewards: Vec<Option<f64>>,
        loss: Kind,
    ) -> Self {
        let advantages = advantages(loss, &rewards).into_iter();
        Self {
            row,
            drawn,
            played: Vec::new(),
            advantages: advantages.map(|one| vec![one]).collect(),
            rewards,
        }
    }

    /// Of episodes whose answers are worth `rewards`, and whose turns are worth what `steps` says.
    pub fn of_episodes(
        row: usize,
        drawn: Vec<Drawn>,
        episodes: Vec<Episode>,
        rewards: &[Option<f64>],
        (steps, loss): (&Steps, Kind),
    ) -> Self {
        let worth: Vec<Vec<f64>> = episodes.iter().map(|episode| steps.of(episode)).collect();
        let each = rewards.iter().zip(&worth);
        let wholes = each.map(|(reward, own)| reward.map(|reward| steps.whole(reward, own)));
        let wholes: Vec<Option<f64>> = wholes.collect();
        Self {
            row,
            drawn,
            advantages: steps.advantages(loss, &wholes, &worth),
            played: episodes.into_iter().zip(worth).collect(),
            rewards: wholes,
        }
    }

    /// Whether there is anything to learn: whether some answers, or turns of them, are worth more than others.
    pub fn has_spread(&self) -> bool {
        self.advantages
            .iter()
            .flatten()
            .any(|advantage| *advantage != 0.0)
    }

    /// How many are right.
    pub fn right(&self) -> usize {
        self.drawn.iter().filter(|one| one.passed()).count()
    }
}
