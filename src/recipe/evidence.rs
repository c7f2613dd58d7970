//! What a run folder is made from.

use super::commands::learns;
use super::done::Done;
use crate::eval::judge::{GateSpec, Role};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Everything that a run rests on: its stages, which are done, and what it asks of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The run's name in the recipe.
    pub name: String,
    pub target: String,
    pub owner_goal: Option<String>,
    /// The command that makes the run, as a person types it.
    pub command: Vec<String>,
    /// The recipe's text as it was resolved; in a run folder a file of its own.
    #[serde(skip)]
    pub recipe: String,
    /// None of a run that only measures a base.
    pub training: Option<Done>,
    /// What would be shipped.
    pub artifact: Option<Done>,
    /// Other stages that the artifact is made of: the trainings of the adapters that are composed, or routed between.
    #[serde(default)]
    pub behind: Vec<Done>,
    pub heldout: Vec<PathBuf>,
    /// Whether rows may be in training and held-out data.
    pub allow_overlap: bool,
    /// At least one, the primary one among them.
    pub gates: Vec<GateEvidence>,
}

/// A gate and the stages that it judges.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateEvidence {
    pub gate: GateSpec,
    /// The scoring that is judged.
    pub candidate: Done,
    /// The scoring that it is held against.
    pub baseline: Option<Done>,
    /// What made the answers that `candidate` scored.
    pub answers: Option<Done>,
    /// The same of `baseline`.
    pub base_answers: Option<Done>,
}

impl Evidence {
    /// Every stage once, in the order in which a run is told: training, what is shipped, answers, scorings.
    pub fn stages(&self) -> Vec<&Done> {
        let gates = self.gates.iter().flat_map(|gate| {
            [
                gate.base_answers.as_ref(),
                gate.baseline.as_ref(),
                gate.answers.as_ref(),
                Some(&gate.candidate),
            ]
        });
        let made = [self.training.as_ref(), self.artifact.as_ref()];
        let behind = self.behind.iter().map(Some);
        let all = behind.chain(made).chain(gates);
        let mut seen = BTreeSet::new();
        all.flatten()
            .filter(|done| seen.insert(&done.key))
            .collect()
    }

    /// Every stage that learned from rows, once.
    pub fn learned(&self) -> Vec<&Done> {
        let learned = |done: &&Done| learns(&done.name());
        self.stages().into_iter().filter(learned).collect()
    }

    /// The gate that decides what the run is for.
    pub fn primary(&self) -> Result<&GateEvidence> {
        let primary = |gate: &&GateEvidence| gate.gate.role == Role::Primary;
        let found = self.gates.iter().find(primary).or(self.gates.first());
        found.with_context(|| format!("run {}: it has no gate", self.name))
    }

    /// Whether there is nothing new in it: a base alone is measured.
    pub fn is_baseline(&self) -> bool {
        self.training.is_none() && self.artifact.is_none()
    }
}
