//! What the turns of an episode are worth, beside its answer, and whom that concerns.

use crate::learning::episodes::call::Outcome;
use crate::learning::episodes::episode::Episode;
use crate::sql::tables::named;
use crate::training::objective::policy::{Kind, advantages};
use serde::{Deserialize, Serialize};

/// What is looked at in a turn. One that calls what was called before has nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verifier {
    /// It runs a query, which runs.
    StepRuns,
    /// It tries a query or answers with one, of tables all of whose definitions were looked up before.
    LookedUp,
}

/// What is not to be in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The very call was made before.
    Repeated,
    /// A table that is not there.
    UnknownTable,
    /// No call that can be understood.
    Malformed,
    /// A tool that says that it failed, of a table that is not there or for another reason.
    StepFails,
}

/// A part of a turn's worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Part {
    /// Pays its weight.
    Verified(Verifier, f64),
    /// Costs its weight, which is not above 0.
    Punished(Fault, f64),
}

/// Whom the worth of a turn concerns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// The whole episode, whose turns' worth is added to its answer's, as if all came with its last step.
    #[default]
    LastStep,
    /// The whole episode, by the mean of its turns: more of them are worth no more.
    AllStepsAverage,
    /// The turn alone, beside all turns of its group; what the answer is worth concerns each.
    PerTurn,
}

/// How turns are rewarded.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Steps {
    pub parts: Vec<Part>,
    pub distribution: Distribution,
}

impl Steps {
    /// What each turn of an episode is worth.
    pub fn of(&self, episode: &Episode) -> Vec<f64> {
        let turns = 0..episode.turns.len();
        let worth = |turn| {
            let each = self.parts.iter().map(|part| match part {
                Part::Verified(verifier, weight) if verifier.holds(episode, turn) => *weight,
                Part::Punished(fault, weight) if fault.holds(episode, turn) => *weight,
                _ => 0.0,
            });
            // Of no parts `sum` would make −0.
            each.fold(0.0, |all, worth| all + worth)
        };
        turns.map(worth).collect()
    }

    /// What an episode is worth as a whole whose answer is worth `reward` and whose turns `steps`.
    pub fn whole(&self, reward: f64, steps: &[f64]) -> f64 {
        let sum: f64 = steps.iter().sum();
        match self.distribution {
            Distribution::LastStep => reward + sum,
            Distribution::AllStepsAverage => reward + sum / steps.len().max(1) as f64,
            Distribution::PerTurn => reward,
        }
    }

    /// The advantage of each turn of a group's episodes, which are worth `wholes` and whose turns `steps`. An episode that could not be judged counts for
    /// nothing.
    pub fn advantages(
        &self,
        kind: Kind,
        wholes: &[Option<f64>],
        steps: &[Vec<f64>],
    ) -> Vec<Vec<f64>> {
        let judged = wholes.iter().zip(steps);
        let turns = judged.flat_map(|(whole, own)| own.iter().map(|step| whole.map(|_| *step)));
        let turns = match self.distribution {
            Distribution::PerTurn => advantages(kind, &turns.collect::<Vec<_>>()),
            _ => vec![0.0; turns.count()],
        };
        let mut turns = turns.into_iter();
        let each = advantages(kind, wholes).into_iter().zip(steps);
        each.map(|(whole, own)| {
            let own = turns.by_ref().take(own.len());
            own.map(|turn| whole + turn).collect()
        })
        .collect()
    }
}

impl Verifier {
    fn holds(self, episode: &Episode, turn: usize) -> bool {
        let said = &episode.turns[turn];
        // What paid once is not to be had again.
        let Some(call) = said.call.as_ref().filter(|_| !said.repeated) else {
            return false;
        };
        match self {
            Self::StepRuns => call.query().is_some() && said.outcome == Outcome::Ok,
            Self::LookedUp => {
                let tables = named(call.query().or(call.answered()).unwrap_or_default());
                let before = episode.looked_up(turn);
                let known = |table: &String| before.iter().any(|own| same(own, table));
                !tables.is_empty() && tables.iter().all(known)
            }
        }
    }
}

/// Whether a table was looked up as a query calls it, perhaps with its schema.
fn same(looked_up: &str, table: &str) -> bool {
    let own = looked_up.rsplit_once('.').map_or(looked_up, |(_, own)| own);
    [looked_up, own]
        .iter()
        .any(|own| own.eq_ignore_ascii_case(table))
}

impl Fault {
    fn holds(self, episode: &Episode, turn: usize) -> bool {
        let said = &episode.turns[turn];
        match self {
            Self::Repeated => said.repeated,
            Self::UnknownTable => said.outcome == Outcome::UnknownTable,
            Self::Malformed => said.outcome == Outcome::Malformed,
            Self::StepFails => matches!(said.outcome, Outcome::Error | Outcome::UnknownTable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::episodes::call::{ALL_TABLES, Call, DEFINITIONS, EXECUTE};
    use crate::learning::episodes::episode::{End, Turn};
    use serde_json::{Value, json};

    fn turn(call: Option<Call>, outcome: Outcome, repeated: bool) -> Turn {
        Turn {
            said: String::new(),
            call,
            outcome,
            repeated,
            observed: None,
        }
    }

    fn run(query: &str) -> Option<Call> {
        Some(Call::new(EXECUTE, json!({ "query": query })))
    }

    fn look(names: Value) -> Option<Call> {
        Some(Call::new(DEFINITIONS, json!({ "table_names": names })))
    }

    fn episode() -> Episode {
        let (fine, error) = (Outcome::Ok, Outcome::Error);
        let turns = vec![
            turn(run("SELECT 1 FROM boats"), fine, false),
            turn(look(json!(["Boats", "main.crews"])), fine, false),
            turn(run("SELECT x FROM boats JOIN crews"), fine, false),
            turn(run("SELECT x FROM boats JOIN crews"), fine, true),
            turn(look(json!(["oars"])), Outcome::UnknownTable, false),
            turn(run("SELECT x FROM oars"), Outcome::UnknownTable, false),
            turn(run("SELECT y FROM boats"), error, false),
            turn(None, Outcome::Malformed, false),
            turn(Some(Call::new(ALL_TABLES, json!({}))), fine, false),
            turn(run("SELECT 1"), fine, false),
            turn(Some(Call::answer("SELECT x FROM crews")), fine, false),
        ];
        Episode {
            tokens: Vec::new(),
            written: vec![0..0; turns.len()],
            logprobs: Vec::new(),
            turns,
            end: End::Answered,
        }
    }

    #[test]
    fn each_turn_is_looked_at_for_itself() {
        let of = |part| {
            let steps = Steps {
                parts: vec![part],
                ..Steps::default()
            };
            let found = steps.of(&episode());
            let paid = found.iter().enumerate().filter(|(_, worth)| **worth != 0.0);
            paid.map(|(turn, _)| turn).collect::<Vec<_>>()
        };
        assert_eq!(of(Part::Verified(Verifier::StepRuns, 0.1)), [0, 2, 9]);
        assert_eq!(of(Part::Verified(Verifier::LookedUp, 0.1)), [2, 6, 10]);
        assert_eq!(of(Part::Punished(Fault::Repeated, -0.1)), [3]);
        assert_eq!(of(Part::Punished(Fault::UnknownTable, -0.1)), [4, 5]);
        assert_eq!(of(Part::Punished(Fault::Malformed, -0.1)), [7]);
        assert_eq!(of(Part::Punished(Fault::StepFails, -0.1)), [4, 5, 6]);
        let both = Steps {
            parts: vec![
                Part::Verified(Verifier::StepRuns, 0.5),
                Part::Verified(Verifier::LookedUp, 0.25),
                Part::Punished(Fault::StepFails, -1.0),
            ],
            ..Steps::default()
        };
        let expected = [0.5, 0.0, 0.75, 0.0, -1.0, -1.0, -0.75, 0.0, 0.0, 0.5, 0.25];
        assert_eq!(both.of(&episode()), expected);
    }

    #[test]
    fn the_worth_of_turns_concerns_whom_it_is_to() {
        let of = |distribution, wholes: &dyn Fn(&Steps) -> Vec<Option<f64>>| {
            let steps = Steps {
                parts: Vec::new(),
                distribution,
            };
            steps.advantages(
                Kind::DrGrpo,
                &wholes(&steps),
                &[vec![0.5, 0.5], vec![0.25], vec![9.0]],
            )
        };
        let wholes = |steps: &Steps| {
            let own = [
                (Some(1.0), &[0.5, 0.5][..]),
                (Some(0.0), &[0.25]),
                (None, &[9.0]),
            ];
            let each = own.map(|(reward, own)| reward.map(|reward| steps.whole(reward, own)));
            each.to_vec()
        };
        // 2 and 0.25
        let found = of(Distribution::LastStep, &wholes);
        assert_eq!(found, [vec![0.875; 2], vec![-0.875], vec![0.0]]);
        // 1.5 and 0.25
        let found = of(Distribution::AllStepsAverage, &wholes);
        assert_eq!(found, [vec![0.625; 2], vec![-0.625], vec![0.0]]);
        // 1 and 0, and of the turns that were judged a mean of 1.25 / 3.
        let found = of(Distribution::PerTurn, &wholes);
        let mean = 1.25 / 3.0;
        let expected = [vec![1.0 - mean; 2], vec![-0.25 - mean], vec![0.0]];
        for (own, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((own - expected).abs() < 1e-12, "{found:?}");
        }
    }
}
