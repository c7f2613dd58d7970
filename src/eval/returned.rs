//! What predictions return, in little: enough to see which of them return the same. No reference is needed for it.

use super::databases::Databases;
use super::modes::{Texts, refusal};
use super::session::Session;
use super::worker::{Job, Reply, Task};
use crate::run::words::hex;
use crate::sql::compare::text_digest;
use crate::sql::error::SqlError;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a query returned. Two that are equal returned the same rows as mode `factory` compares them: in any order, cells as SQLite's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// How many rows.
    pub rows: usize,
    /// Of the rows, in hexadecimal.
    pub digest: String,
}

/// The error of a reply without a query.
pub const NO_QUERY: &str = "refused: no query in the reply";

/// What a query returned, or why it returned nothing.
pub type Ran = Result<Returned, SqlError>;

/// Runs the query of a reply on the row's own database.
pub(super) fn run(texts: &Texts, session: &mut Session) -> Ran {
    let files = session.locate(texts.db)?;
    if let Some(statement) = texts.refused {
        return Err(refusal(statement));
    }
    let Some(query) = texts.scored else {
        return Err(SqlError::Refused("no query in the reply".to_owned()));
    };
    let outcome = session.predicted(&files[0], query);
    let rows = outcome.as_ref().as_ref().map_err(SqlError::clone)?;
    Ok(Returned {
        rows: rows.len(),
        digest: hex(&text_digest(rows)),
    })
}

/// A reply to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked<'a> {
    /// The name of its database.
    pub db: &'a str,
    pub reply: &'a str,
}

/// What each of `asked` returns; one that is there twice runs once. `observe` is called at every query that ended, and its error ends the work.
pub fn returned(
    databases: &Databases,
    asked: &[Asked],
    mut observe: impl FnMut() -> Result<()>,
) -> Result<Vec<Ran>> {
    let mut places = BTreeMap::new();
    for one in asked {
        places.insert(*one, 0);
    }
    let (mut jobs, mut homes) = (Vec::new(), BTreeMap::new());
    for (one, place) in &mut places {
        *place = jobs.len();
        // Queries of one database find it open.
        let next = homes.len();
        let home = *homes.entry(one.db).or_insert(next);
        jobs.push((home, Job::asked(Task::Run, one.db, one.reply)));
    }
    let mut ran = vec![None; jobs.len()];
    databases.pool(jobs.len()).run(jobs, |place, reply, _| {
        let Reply::Ran(found) = reply else {
            bail!("a scoring process answered something else");
        };
        ran[place] = Some(found);
        observe()
    })?;
    let found = asked.iter().map(|one| ran[places[one]].clone());
    let found: Option<Vec<_>> = found.collect();
    found.context("a scoring process left a reply out")
}

/// Errors where one of these databases, each with the place that names it, cannot be asked anything.
pub fn check<'a>(
    databases: &Databases,
    named: impl Iterator<Item = (&'a str, String)>,
) -> Result<()> {
    let mut first = BTreeMap::new();
    for (db, place) in named {
        first.entry(db).or_insert(place);
    }
    let reply = "SELECT 1";
    let asked: Vec<_> = first.keys().map(|&db| Asked { db, reply }).collect();
    let ran = returned(databases, &asked, || Ok(()))?;
    for (place, ran) in first.values().zip(ran) {
        if let Err(error) = ran {
            bail!("{place}: {error}");
        }
    }
    Ok(())
}
