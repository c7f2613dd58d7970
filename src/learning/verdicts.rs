//! Verdicts on replies to rows, by the scorer that evaluation has: its processes, its first mode.

use super::rows::Rows;
use crate::data::jsonl::Faults;
use crate::db::sqlite::Now;
use crate::eval::databases::Databases;
use crate::eval::example::Example;
use crate::eval::golds::{self, Golds};
use crate::eval::judged::{self, Judged};
use crate::eval::pool::Pool;
use crate::run::observer::Observer;
use crate::sql::extract::Extraction;
use crate::sql::normalize::canonical;
use anyhow::{Result, anyhow, bail, ensure};
use std::collections::BTreeMap;

/// What judges replies to the rows of a file.
pub struct Scorer {
    examples: Vec<Example>,
    golds: Golds,
    pool: Pool,
    extract: Extraction,
}

impl Scorer {
    /// For `rows`, whose queries run in `databases` at the time of day `now`. Rows whose reference fails are an error that names them; with
    /// `keep_going` they are taken out of `rows`, and counted.
    pub fn open(
        rows: &mut Rows,
        databases: &Databases,
        now: Now,
        keep_going: bool,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let mut examples = rows.examples();
        let mut pool = databases.judges(examples.len(), now);
        let broken = Golds::of(&examples).broken(&examples, &mut pool)?;
        if !broken.is_empty() {
            let mut named = Faults::default();
            for (row, error) in &broken {
                named.add(anyhow!("{}: {}", rows.place(*row), golds::fault(error)));
            }
            if let (Err(all), false) = (named.refuse(), keep_going) {
                bail!("{all:#} (--keep-going leaves such rows out)");
            }
            observer.note(format_args!(
                "left out {} of {} rows, whose reference fails",
                broken.len(),
                examples.len()
            ));
            let mut row = 0..;
            let whole = |_: &_| row.next().is_some_and(|row| !broken.contains_key(&row));
            rows.rows.retain(whole);
            examples = rows.examples();
        }
        ensure!(
            !examples.is_empty(),
            "{}: no row has a reference that can be used",
            rows.path.display()
        );
        Ok(Self {
            golds: Golds::of(&examples),
            examples,
            pool,
            extract: databases.rules.extract,
        })
    }

    /// Leaves rows out, here and of `rows`: `kept` says of each whether it stays.
    pub fn keep(&mut self, rows: &mut Rows, kept: &[bool]) {
        let mut kept = kept.iter();
        rows.rows.retain(|_| kept.next() == Some(&true));
        self.examples = rows.examples();
        self.golds = Golds::of(&self.examples);
    }

    /// The verdict on each of `replies`, which say their row; `None` is no answer. A query that a row has several times, but for letter case,
    /// spaces and comments, runs once. Errors where the observer says stop.
    pub fn verdicts(
        &mut self,
        replies: &[(usize, Option<&str>)],
        observer: &dyn Observer,
    ) -> Result<Vec<Judged>> {
        let said: Vec<(usize, &str)> = replies
            .iter()
            .filter_map(|&(row, reply)| Some((row, reply?)))
            .collect();
        let extract = self.extract;
        let judged = judged::judged(
            &self.examples,
            &self.golds,
            // Such rows were taken out.
            &BTreeMap::new(),
            &said,
            |reply| query(extract, reply).ok_or_else(|| reply.to_owned()),
            &mut self.pool,
            || match observer.stops() {
                true => bail!("interrupted"),
                false => Ok(()),
            },
        )?;
        let mut judged = judged.into_iter();
        let all = replies.iter().map(|(_, reply)| match reply {
            Some(_) => judged.next().unwrap_or_else(Judged::no_answer),
            None => Judged::no_answer(),
        });
        Ok(all.collect())
    }

    /// The query in a reply in the one form that all ways to write it have; `None` where there is none.
    pub fn query(&self, reply: &str) -> Option<String> {
        query(self.extract, reply)
    }
}

fn query(extract: Extraction, reply: &str) -> Option<String> {
    extract.find(reply).query().map(canonical)
}
