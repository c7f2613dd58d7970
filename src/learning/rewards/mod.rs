//! What an answer is worth: a sum of verifiers, each 0 to 1 by its weight, and of penalties, which never pay. By default 1 for a result that
//! matches, 0.1 for a query that runs and returns as many columns as the reference, else 0. A result that matches by a trick is no match.

mod command;
mod file;
pub mod steps;

use super::earned::unearned;
use super::episodes::episode::Episode;
use super::rollouts::Drawn;
use super::rows::Row;
use crate::generation::sequence::Finish;
use crate::run::observer::Observer;
use anyhow::{Context, Result, ensure};
use command::Judge;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use steps::Steps;

/// What is looked at in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verifier {
    /// Its query returns what the reference does.
    Execution,
    /// Its query runs and returns rows with as many columns as the reference's, and not by a trick.
    Columns,
    /// Its query runs.
    Runs,
    /// There is a query in it.
    Query,
    /// It ended by itself, before the longest answer was reached; of an episode, it came to an answer.
    Ended,
    /// How much of what its query returns is right; nothing of what a query returns by a trick. It pays for wrong queries too.
    SoftF1,
}

/// What is not to be in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No query.
    NoQuery,
    /// A query that fails.
    Fails,
    /// It was cut at the longest answer; of an episode, its turns or the model's context were used up.
    Cut,
}

/// A part of a reward.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Part {
    /// Pays its weight.
    Verified(Verifier, f64),
    /// Costs its weight, which is not above 0.
    Punished(Fault, f64),
    /// Pays its weight by the number, 0 to 1, that a command answers.
    Command(Vec<String>, f64),
}

/// How answers are rewarded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    pub parts: Vec<Part>,
    /// How the turns of episodes are.
    pub steps: Steps,
    /// The file that says so, where there is one.
    pub path: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            parts: vec![
                Part::Verified(Verifier::Execution, 0.9),
                Part::Verified(Verifier::Columns, 0.1),
            ],
            steps: Steps::default(),
            path: None,
        }
    }
}

impl Config {
    /// Reads a file of rewards. Errors name the file and what is wrong in it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let read = file::read(&text).with_context(|| path.display().to_string())?;
        Ok(Self {
            path: Some(path.to_owned()),
            ..read
        })
    }
}

/// Rewards at work: the commands among them run.
pub struct Rewards {
    config: Config,
    /// One for each command, in their order.
    judges: Vec<Judge>,
}

impl Rewards {
    /// Starts what `config` asks.
    pub fn open(config: &Config) -> Result<Self> {
        let commands = config.parts.iter().filter_map(|part| match part {
            Part::Command(words, _) => Some(Judge::start(words)),
            _ => None,
        });
        Ok(Self {
            judges: commands.collect::<Result<_>>()?,
            config: config.clone(),
        })
    }

    /// How the turns of episodes are rewarded.
    pub fn steps(&self) -> &Steps {
        &self.config.steps
    }

    /// What each of a row's answers is worth. `None` is one that could not be drawn. `episodes` are those that ended with the answers, where any did.
    pub fn of(
        &mut self,
        row: &Row,
        drawn: &[Drawn],
        episodes: &[Episode],
        observer: &dyn Observer,
    ) -> Result<Vec<Option<f64>>> {
        let gold = row.example.text("gold_sql").unwrap_or_default();
        let there = drawn.iter().map(|one| one.sample.text.is_some());
        let mut all: Vec<Option<f64>> = there.map(|there| there.then_some(0.0)).collect();
        let mut judges = self.judges.iter_mut();
        for part in &self.config.parts {
            let found: Vec<f64> = match part {
                Part::Verified(verifier, _) => {
                    drawn.iter().map(|one| verifier.finds(one, gold)).collect()
                }
                Part::Punished(fault, _) => {
                    drawn.iter().map(|one| number(fault.holds(one))).collect()
                }
                Part::Command(..) => {
                    let judge = judges.next().context("a command was not started")?;
                    judge.numbers(&questions(row, drawn, episodes), observer)?
                }
            };
            let weight = part.weight();
            for (reward, found) in all.iter_mut().zip(found) {
                *reward = reward.map(|reward| reward + weight * found);
            }
        }
        ensure!(
            all.iter().flatten().all(|reward| reward.is_finite()),
            "a reward is not finite"
        );
        Ok(all)
    }
}

impl Part {
    fn weight(&self) -> f64 {
        match self {
            Self::Verified(_, weight) | Self::Punished(_, weight) | Self::Command(_, weight) => {
                *weight
            }
        }
    }
}

impl Verifier {
    /// What it finds in an answer, 0 to 1; `gold` is the reference.
    fn finds(self, one: &Drawn, gold: &str) -> f64 {
        let earned = || unearned(one, gold).is_none();
        match self {
            Self::Execution => number(one.passed() && earned()),
            Self::Columns => number(one.judged.columns && earned()),
            Self::Runs => number(one.judged.returned.is_some()),
            Self::Query => number(!Fault::NoQuery.holds(one)),
            Self::Ended => number(one.sample.finish == Finish::Stop),
            Self::SoftF1 if earned() => one.judged.soft_f1,
            Self::SoftF1 => 0.0,
        }
    }
}

impl Fault {
    fn holds(self, one: &Drawn) -> bool {
        let judged = &one.judged;
        match self {
            Self::NoQuery => judged.returned.is_none() && judged.error.is_none(),
            Self::Fails => judged.error.is_some(),
            Self::Cut => one.sample.finish == Finish::Length,
        }
    }
}

/// 1 for what holds, else 0.
fn number(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// What a command is told of each answer, a line each.
fn questions(row: &Row, drawn: &[Drawn], episodes: &[Episode]) -> Vec<String> {
    let question = |(at, one): (usize, &Drawn)| {
        let mut question = json!({
            "row": row.line.fields(),
            "answer": one.sample.text,
            "passed": one.passed(),
            "failure": one.judged.failure,
            "error": one.judged.error,
            "ended": one.sample.finish == Finish::Stop,
        });
        if let Some(episode) = episodes.get(at) {
            question["turns"] = json!(episode.turns);
        }
        question.to_string()
    };
    drawn.iter().enumerate().map(question).collect()
}

#[cfg(test)]
mod tests;
