//! The rows of the source, and which of them are usable.

use super::Split;
use crate::data::curriculum::{SETS, bucket};
use crate::data::jsonl::{self, Faults, Line};
use crate::data::set::flat;
use crate::db::sqlite::scratch::Scratch;
use crate::sql::normalize::plain;
use crate::sql::tokens::tokens;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A row as it was read.
pub struct Raw {
    question: String,
    context: String,
    answer: String,
}

impl Raw {
    fn of(path: &Path, line: &Line) -> Result<Self> {
        let text = |field| line.str(path, field).map(|text| text.trim().to_owned());
        Ok(Self {
            question: text("question")?,
            context: text("context")?,
            answer: text("answer")?,
        })
    }
}

/// The whole source.
pub struct Source {
    pub rows: Vec<Raw>,
    pub sha256: String,
}

impl Source {
    /// Errors where a row has no `question`, `context` or `answer`, or they are no text.
    pub fn read(path: &Path) -> Result<Self> {
        let (mut rows, mut faults) = (Vec::new(), Faults::default());
        let sha256 = jsonl::for_each(path, |_, line| {
            let raw = line.and_then(|line| Raw::of(path, &line));
            match raw {
                Ok(raw) => rows.push(raw),
                Err(fault) => faults.add(fault),
            }
            Ok(())
        })?;
        faults.refuse()?;
        Ok(Self { rows, sha256 })
    }
}

/// A row that may be taken.
#[derive(Clone)]
pub struct Usable {
    /// Its place in the source, from 0.
    pub index: usize,
    pub question: String,
    pub schema: String,
    /// With a semicolon behind it.
    pub sql: String,
    pub bucket: &'static str,
}

/// Takes rows, each once, and counts why others are not taken.
pub struct Picked<'a> {
    source: &'a Source,
    unchecked: bool,
    seen: BTreeSet<usize>,
    prompts: BTreeSet<(String, String)>,
    /// Queries over their tables of the splits that were taken before.
    queries: BTreeSet<(String, String)>,
    pub dropped: BTreeMap<&'static str, usize>,
}

impl<'a> Picked<'a> {
    pub fn new(source: &'a Source, unchecked: bool) -> Self {
        Self {
            source,
            unchecked,
            seen: BTreeSet::new(),
            prompts: BTreeSet::new(),
            queries: BTreeSet::new(),
            dropped: BTreeMap::new(),
        }
    }

    /// How many rows of the source were looked at.
    pub fn seen(&self) -> usize {
        self.seen.len()
    }

    /// The first usable rows from a place on, none that is like one of a split taken before.
    pub fn take(&mut self, split: Split) -> Vec<Usable> {
        let mut taken: Vec<Usable> = Vec::new();
        let rows = self.source.rows.iter().enumerate().skip(split.start);
        for (index, raw) in rows {
            if taken.len() == split.count {
                break;
            }
            // One that another split took, or that was not usable then.
            if !self.seen.insert(index) {
                continue;
            }
            let row = usable(index, raw, self.unchecked).and_then(|row| {
                let schema = flat(&row.schema);
                if self.queries.contains(&(schema.clone(), plain(&row.sql))) {
                    return Err("have a held-out query");
                }
                match self.prompts.insert((schema, flat(&row.question))) {
                    true => Ok(row),
                    false => Err("ask what another asks"),
                }
            });
            match row {
                Ok(row) => taken.push(row),
                Err(reason) => *self.dropped.entry(reason).or_default() += 1,
            }
        }
        let queries = taken.iter().map(|row| (flat(&row.schema), plain(&row.sql)));
        self.queries.extend(queries);
        taken
    }
}

/// Errors say in a few words what is wrong with the row, to be counted by.
fn usable(index: usize, raw: &Raw, unchecked: bool) -> Result<Usable, &'static str> {
    let sql = raw
        .answer
        .trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let schema = raw
        .context
        .trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    if raw.question.is_empty() || schema.is_empty() || sql.is_empty() {
        return Err("say nothing");
    }
    let words = tokens(sql);
    if !words[..].first().is_some_and(|first| first.is("select"))
        || words.iter().any(|token| token.is(";"))
    {
        return Err("are not one SELECT");
    }
    let bucket = bucket(sql);
    if bucket == SETS {
        return Err("combine queries");
    }
    if !unchecked {
        let tables = Scratch::build(schema).map_err(|_| "have tables that cannot be built")?;
        tables
            .run(sql)
            .map_err(|_| "do not run over their tables")?;
    }
    Ok(Usable {
        index,
        question: raw.question.clone(),
        schema: schema.to_owned(),
        sql: format!("{sql};"),
        bucket,
    })
}
