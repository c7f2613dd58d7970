//! Which of a row's samples is its answer: by what their queries return.

mod pick;

pub use pick::{By, Chosen, Group, Sample, Select, choose};

use super::rows::Row;
use crate::data::jsonl::Line;
use crate::eval::databases::Databases;
use crate::eval::returned::{self, Asked};
use crate::run::observer::Observer;
use crate::run::usage::UsageError;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// How answers are chosen.
#[derive(Debug, Clone)]
pub struct Config {
    pub select: Select,
    /// Whether a result with rows comes before an empty one.
    pub prefer_rows: bool,
    /// How often an answer that fails is asked again, with its error.
    pub repair: usize,
    /// Where queries run.
    pub databases: Option<Databases>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            select: Select::First,
            prefer_rows: false,
            repair: 0,
            databases: None,
        }
    }
}

impl Config {
    /// Refuses what is a mistake whatever is answered. `schemas` says whether the databases tell rows' schemas too.
    pub fn check(&self, samples: usize, schemas: bool) -> Result<()> {
        let usage = |message: &str| Err(UsageError(message.to_owned()).into());
        let chooses = self.select != Select::First;
        if self.prefer_rows && !chooses {
            return usage("--prefer-rows needs --select executable or vote");
        }
        if chooses && samples == 1 {
            return usage("--select executable and vote need --samples 2 or more");
        }
        match (self.runs(), &self.databases) {
            (true, None) => usage(
                "--select executable and vote, and --repair, need --db-dir, where queries run",
            ),
            (false, Some(_)) if !schemas => usage(
                "--db-dir is for --select executable or vote, --repair, and --constrain schema",
            ),
            _ => Ok(()),
        }
    }

    /// Whether answers are run.
    fn runs(&self) -> bool {
        self.select != Select::First || self.repair > 0
    }

    /// The database of each row; empty where none is needed. Errors where a row names none, or one that cannot be asked.
    pub fn databases(&self, data: &Path, lines: &[Line]) -> Result<Vec<String>> {
        let (Some(databases), true) = (&self.databases, self.runs()) else {
            return Ok(Vec::new());
        };
        let place = |line: &Line| format!("{}:{}", data.display(), line.number);
        let mut named = Vec::new();
        for line in lines {
            let own = line.optional_str(data, "db")?;
            let one = databases.home.unnamed();
            let Some(db) = own.or(line.optional_str(data, "db_id")?).or(one) else {
                bail!(
                    "{}: names no database (db or db_id), on which --select and --repair run answers",
                    place(line)
                );
            };
            named.push(db.to_owned());
        }
        let each = named.iter().zip(lines);
        returned::check(databases, each.map(|(db, line)| (db.as_str(), place(line))))?;
        Ok(named)
    }

    /// Chooses for each row, whose database has the same place in `dbs`, among its samples. Says what chose how many.
    pub fn choose(
        &self,
        dbs: &[String],
        rows: &[Vec<&Row>],
        observer: &dyn Observer,
    ) -> Result<Vec<Chosen>> {
        let (Some(databases), true) = (&self.databases, self.select != Select::First) else {
            return Ok(rows.iter().map(|_| Chosen::first()).collect());
        };
        let each = || dbs.iter().zip(rows);
        let all = each().flat_map(|(db, row)| row.iter().map(move |sample| (db, sample)));
        let asked: Vec<Asked> = all
            .filter_map(|(db, sample)| {
                Some(Asked {
                    db,
                    reply: sample.text.as_deref()?,
                })
            })
            .collect();
        let mut results = returned::returned(databases, &asked, || match observer.stops() {
            true => bail!("interrupted"),
            false => Ok(()),
        })?
        .into_iter();
        let mut sample = |row: &&Row| Sample {
            result: match row.text.as_ref().and_then(|_| results.next()) {
                Some(ran) => ran.map_err(|error| error.to_string()),
                None => Err("no answer".to_owned()),
            },
            logprob: row.logprob,
        };
        let chosen: Vec<Chosen> = rows
            .iter()
            .map(|row| {
                let samples: Vec<Sample> = row.iter().map(&mut sample).collect();
                choose(self.select, self.prefer_rows, &samples)
            })
            .collect();
        let mut counts: BTreeMap<By, usize> = BTreeMap::new();
        for one in &chosen {
            *counts.entry(one.by).or_default() += 1;
        }
        let counts = counts
            .iter()
            .map(|(by, rows)| format!("{rows} {}", by.words()));
        let counts: Vec<String> = counts.collect();
        observer.note(format_args!("answers chosen: {}", counts.join("; ")));
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_refused() {
        let with = |select, prefer_rows| Config {
            select,
            prefer_rows,
            repair: 0,
            databases: None,
        };
        let error = |config: Config, samples| config.check(samples, false).unwrap_err().to_string();
        assert!(with(Select::First, false).check(1, false).is_ok());
        assert!(error(with(Select::First, true), 8).contains("--prefer-rows"));
        assert!(error(with(Select::Vote, false), 1).contains("--samples 2"));
        assert!(error(with(Select::Executable, false), 8).contains("--db-dir"));
    }
}
