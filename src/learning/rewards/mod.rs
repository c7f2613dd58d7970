//! What an answer is worth: a sum of verifiers, each 0 to 1 by its weight, and of penalties, which never pay. By default 1 for a result that
//! matches, 0.1 for a query that runs and returns as many columns as the reference, else 0. A result that matches by a trick is no match.

mod command;
mod file;

use super::draw::Sample;
use super::earned::unearned;
use super::rows::Row;
use crate::eval::judged::Judged;
use crate::generation::sequence::Finish;
use anyhow::{Context, Result, ensure};
use command::Judge;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

/// What is looked at in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verifier {
    /// Its query returns what the reference does.
    Execution,
    /// Its query runs and returns rows with as many columns as the reference's.
    Columns,
    /// Its query runs.
    Runs,
    /// There is a query in it.
    Query,
    /// It ended by itself, before the longest answer was reached.
    Ended,
}

/// What is not to be in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No query.
    NoQuery,
    /// A query that fails.
    Fails,
    /// It was cut at the longest answer.
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
    /// Where commands run, and what errors name.
    pub path: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            parts: vec![
                Part::Verified(Verifier::Execution, 0.9),
                Part::Verified(Verifier::Columns, 0.1),
            ],
            path: None,
        }
    }
}

impl Config {
    /// Reads a file of rewards. Errors name the file and what is wrong in it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let parts = file::parts(&text).with_context(|| path.display().to_string())?;
        Ok(Self {
            parts,
            path: Some(path.to_owned()),
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

    /// What each of a row's answers is worth, in which these `queries` are. `None` is one that could not be drawn.
    pub fn of(
        &mut self,
        row: &Row,
        samples: &[Sample],
        judged: &[Judged],
        queries: &[Option<String>],
    ) -> Result<Vec<Option<f64>>> {
        let gold = row.example.text("gold_sql").unwrap_or_default();
        let each = judged.iter().zip(queries);
        let earned: Vec<bool> = each
            .map(|(judged, query)| {
                let query = query.as_deref().unwrap_or_default();
                judged.passed() && unearned(judged, query, gold).is_none()
            })
            .collect();
        let drawn = samples.iter().map(|sample| sample.text.is_some());
        let mut all: Vec<Option<f64>> = drawn.map(|drawn| drawn.then_some(0.0)).collect();
        let mut judges = self.judges.iter_mut();
        for part in &self.config.parts {
            let found = match part {
                Part::Verified(verifier, _) => {
                    let all = samples.iter().zip(judged).zip(&earned);
                    all.map(|((s, j), earned)| share(verifier.holds(s, j, *earned)))
                        .collect()
                }

                Part::Punished(fault, _) => {
                    let all = samples.iter().zip(judged);
                    all.map(|(s, j)| share(fault.holds(s, j))).collect()
                }

                Part::Command(..) => {
                    let judge = judges.next().context("a command was not started")?;
                    judge.numbers(&questions(row, samples, judged))?
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
    fn holds(self, sample: &Sample, judged: &Judged, earned: bool) -> bool {
        match self {
            Self::Execution => earned,
            Self::Columns => judged.columns,
            Self::Runs => judged.returned.is_some(),
            Self::Query => judged.returned.is_some() || judged.error.is_some(),
            Self::Ended => sample.finish == Finish::Stop,
        }
    }
}

impl Fault {
    fn holds(self, sample: &Sample, judged: &Judged) -> bool {
        match self {
            Self::NoQuery => judged.returned.is_none() && judged.error.is_none(),
            Self::Fails => judged.error.is_some(),
            Self::Cut => sample.finish == Finish::Length,
        }
    }
}

fn share(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// What a command is told of each answer, a line each.
fn questions(row: &Row, samples: &[Sample], judged: &[Judged]) -> Vec<String> {
    let all = samples.iter().zip(judged);
    all.map(|(sample, judged)| {
        json!({
            "row": row.line.fields(),
            "answer": sample.text,
            "passed": judged.passed(),
            "failure": judged.failure,
            "error": judged.error,
            "ended": sample.finish == Finish::Stop,
        })
        .to_string()
    })
    .collect()
}

#[cfg(test)]
mod tests;
