//! Answers whose queries fail are asked again, with the query and the database's error in the prompt.

use super::loaded::Loaded;
use super::loras::Loras;
use super::rows::Row;
use crate::data::record::Conversation;
use crate::data::repair::{asked_again, taught};
use crate::eval::databases::Databases;
use crate::eval::returned::{Asked, returned};
use crate::generation::constraint::Grammar;
use crate::generation::sampler::SamplerConfig;
use crate::router::Decision;
use crate::run::observer::Observer;
use crate::run::usage::UsageError;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Refuses adapters that were not trained on repair rows: they answer such a prompt with what is worse than the first answer.
pub fn check(loras: &Loras) -> Result<()> {
    let mut other = loras.is_empty().then(|| "a base alone".to_owned());
    for lora in &loras.0 {
        if taught(&lora.folder)? == 0 {
            other.get_or_insert(format!("adapter {}", lora.folder.display()));
        }
    }
    let Some(who) = other else {
        return Ok(());
    };
    let message = format!(
        "--repair: {who} was not trained on repair rows: make some with `factory data repair`, put them among the training rows with `factory data blend`, and train"
    );
    Err(UsageError(message).into())
}

/// An answer to a row that was asked again.
#[derive(Debug)]
pub struct Repaired {
    pub row: Row,
    /// Of the answer before.
    pub error: String,
}

/// What repairs.
pub struct Repair<'a> {
    pub rounds: usize,
    pub loaded: &'a Loaded,
    pub databases: &'a Databases,
    pub sampler: SamplerConfig,
    /// Of each row what was asked, its database, and what the router said (empty without one).
    pub turns: &'a [Conversation],
    pub dbs: &'a [String],
    pub decisions: &'a [Decision],
    /// What each row's answer is held to; none where none is held to anything.
    pub grammars: &'a [Option<Arc<dyn Grammar>>],
    pub observer: &'a dyn Observer,
}

/// A row whose answer fails.
struct Failing {
    at: usize,
    query: String,
    error: String,
}

impl Repair<'_> {
    /// Asks again, greedily, for those of `answers`, one a row, whose queries fail, until they run or all rounds are over. Those that run then, by their
    /// rows' places.
    pub fn run(&self, answers: &[&Row]) -> Result<BTreeMap<usize, Repaired>> {
        let mut repaired = BTreeMap::new();
        let all: Vec<usize> = (0..answers.len()).collect();
        let (_, mut failing) = self.failing(&all, answers)?;
        let begun = failing.len();
        for _ in 0..self.rounds {
            let asked = failing.into_iter().filter_map(|row| {
                let turns = asked_again(&self.turns[row.at], &row.query, &row.error);
                // One that has become too long stays as it is.
                let prompt = self.loaded.prompt(&turns).ok()?;
                Some((row, prompt))
            });
            let (rows, prompts): (Vec<Failing>, Vec<Vec<u32>>) = asked.unzip();
            if rows.is_empty() {
                break;
            }
            let again = self.answers(&rows, &prompts)?;
            let places: Vec<usize> = rows.iter().map(|row| row.at).collect();
            let (run, still) = self.failing(&places, &again.iter().collect::<Vec<_>>())?;
            for (at, (before, row)) in rows.into_iter().zip(again).enumerate() {
                if run[at] {
                    let error = before.error;
                    repaired.insert(before.at, Repaired { row, error });
                }
            }
            failing = still;
        }
        self.observer.note(format_args!(
            "repaired: {} of {begun} answers that failed",
            repaired.len()
        ));
        Ok(repaired)
    }

    fn answers(&self, rows: &[Failing], prompts: &[Vec<u32>]) -> Result<Vec<Row>> {
        let loaded = self.loaded;
        let adapters = match self.decisions.is_empty() {
            true => loaded.mixed(loaded.mixture.clone()),
            false => {
                let own = rows.iter().map(|row| self.decisions[row.at].clone());
                Some(loaded.routed(&own.collect::<Vec<_>>()))
            }
        };
        let sampler = SamplerConfig {
            temperature: 0.0,
            samples: 1,
            ..self.sampler.clone()
        };
        let mut engine = loaded.engine(adapters, sampler);
        let grammars = rows.iter().map(|row| self.grammars.get(row.at)?.clone());
        engine.grammars = grammars.collect();
        let which: Vec<usize> = (0..prompts.len()).collect();
        let mut cache = loaded.cache(&engine, prompts, &which, self.observer)?;
        let (answers, _) = engine.generate_over(&mut cache, prompts)?;
        Ok(answers.into_iter().map(Row::from).collect())
    }

    /// Which of `answers` run, which are to the rows `places`, and those that do not. One that is none is neither.
    fn failing(&self, places: &[usize], answers: &[&Row]) -> Result<(Vec<bool>, Vec<Failing>)> {
        let texts = places.iter().zip(answers);
        let there = texts
            .enumerate()
            .filter_map(|(nth, (&at, row))| Some((nth, at, row.text.as_deref()?)));
        let there: Vec<_> = there.collect();
        let asked = there.iter().map(|&(_, at, reply)| Asked {
            db: &self.dbs[at],
            reply,
        });
        let ran = returned(self.databases, &asked.collect::<Vec<_>>(), || {
            match self.observer.stops() {
                true => bail!("interrupted"),
                false => Ok(()),
            }
        })?;
        let (mut runs, mut failing) = (vec![false; answers.len()], Vec::new());
        for ((nth, at, reply), ran) in there.into_iter().zip(ran) {
            match ran {
                Ok(_) => runs[nth] = true,
                Err(error) => {
                    let found = self.databases.rules.extract.find(reply);
                    failing.push(Failing {
                        at,
                        query: found.query().unwrap_or(reply).to_owned(),
                        error: error.to_string(),
                    });
                }
            }
        }
        Ok((runs, failing))
    }
}
