//! The rows that may be chosen, and those that must not.

use crate::data::jsonl::{self, Line};
use crate::data::record::{self, Columns, Content, Conversation, Role};
use crate::eval::choices::named;
use crate::eval::example::Example;
use crate::eval::score::ScoredRow;
use crate::eval::slices::features;
use crate::sql::extract::Extraction;
use crate::sql::normalize::{collapse, plain};
use crate::sql::shape::shape;
use anyhow::Result;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Fewest words of a question that may be looked for within a prompt: shorter ones stand in many.
const LEAST_WORDS: usize = 3;

/// Rows of the pool that may be chosen.
pub struct Pool {
    /// In an order that the seed decides.
    pub rows: Vec<Row>,
    /// How many there are in the file.
    pub all: usize,
    pub held_out: usize,
    pub without_query: usize,
    pub repeated: usize,
}

/// A row of the pool.
pub struct Row {
    pub line: Line,
    pub id: Option<String>,
    pub shape: String,
    pub clauses: Vec<&'static str>,
    pub curriculum: Option<String>,
    pub domain: Option<String>,
}

/// What must not be chosen.
pub struct Held {
    questions: BTreeSet<String>,
    golds: BTreeSet<String>,
    prompts: BTreeSet<String>,
    /// What the held-out files say of their rows, by id.
    pub known: BTreeMap<String, Known>,
}

/// What a set says of a row.
#[derive(Clone, Default)]
pub struct Known {
    pub curriculum: Option<String>,
    pub domain: Option<String>,
}

impl Held {
    /// The scored rows, by their questions, prompts and reference queries, and the prompts of files.
    pub fn read(rows: &[ScoredRow], asked: &[Example], files: &[PathBuf]) -> Result<Self> {
        let questions = rows.iter().filter_map(|row| row.question.as_deref());
        let questions = questions.map(collapse);
        let mut held = Self {
            questions: questions
                .filter(|question| question.split(' ').count() >= LEAST_WORDS)
                .collect(),
            golds: rows.iter().map(|row| query(&row.gold_sql)).collect(),
            prompts: BTreeSet::new(),
            known: BTreeMap::new(),
        };
        for example in asked {
            held.prompts.extend(example.text("prompt").map(collapse));
            let name = named(example.text("id"), example.index);
            held.known.insert(name, known(&example.fields));
        }
        for path in files {
            let (lines, asked) = record::read_prompts(path, &Columns::default())?;
            held.prompts.extend(asked.iter().map(prompt));
            for (index, line) in lines.iter().enumerate() {
                let name = named(line.id().as_deref(), index);
                held.known.insert(name, known(line.fields()));
            }
        }
        Ok(held)
    }

    fn has(&self, prompt: &str, sql: &str) -> bool {
        self.prompts.contains(prompt)
            || self.golds.contains(&query(sql))
            || self
                .questions
                .iter()
                .any(|question| holds(prompt, question))
    }
}

impl Pool {
    pub fn read(path: &Path, columns: &Columns, held: &Held, seed: u64) -> Result<Self> {
        let lines = jsonl::read(path)?;
        let records = record::read(path, columns)?;
        let mut pool = Self {
            rows: Vec::new(),
            all: lines.len(),
            held_out: 0,
            without_query: 0,
            repeated: 0,
        };
        let mut seen = BTreeSet::new();
        for (line, record) in lines.into_iter().zip(records) {
            let Some((prompt, sql)) = asked_and_answered(record.content) else {
                pool.without_query += 1;
                continue;
            };
            if held.has(&prompt, &sql) {
                pool.held_out += 1;
            } else if !seen.insert((prompt, query(&sql))) {
                pool.repeated += 1;
            } else {
                let Known { curriculum, domain } = known(line.fields());
                pool.rows.push(Row {
                    id: line.id(),
                    shape: shape(&sql),
                    clauses: features(&sql).collect(),
                    curriculum,
                    domain,
                    line,
                });
            }
        }
        // A hash, which no version of a random number generator changes.
        let place = |row: &Row| Sha256::digest(format!("{seed}\n{}", row.line.number));
        pool.rows.sort_by_cached_key(place);
        Ok(pool)
    }
}

/// A training row's prompt and the query in its last answer.
fn asked_and_answered(content: Content) -> Option<(String, String)> {
    let Content::Turns(mut conversation) = content else {
        return None;
    };
    let turns = &mut conversation.turns;
    let at = turns
        .iter()
        .rposition(|turn| turn.role == Role::Assistant)?;
    let answer = turns.split_off(at).swap_remove(0).content;
    let sql = Extraction::default().find(&answer).query()?.to_owned();
    Some((prompt(&conversation), sql))
}

/// Everything but a system text and the answers, in lower case with one space between words.
fn prompt(conversation: &Conversation) -> String {
    let turns = conversation.turns.iter();
    let asked = turns.filter(|turn| turn.role == Role::User);
    let texts: Vec<_> = asked.map(|turn| turn.content.as_str()).collect();
    collapse(&texts.join(" "))
}

/// A query to compare by.
fn query(sql: &str) -> String {
    plain(sql.trim().trim_end_matches(';').trim_end())
}

/// Whether a text has another in it, not as a part of longer words.
fn holds(text: &str, part: &str) -> bool {
    text.match_indices(part).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + part.len()..].chars().next();
        [before, after]
            .into_iter()
            .flatten()
            .all(|c| !c.is_alphanumeric())
    })
}

fn known(fields: &Map<String, Value>) -> Known {
    let text = |field: &str| {
        let value = fields.get(field)?;
        value.as_str().map(str::to_owned)
    };
    Known {
        curriculum: text("curriculum"),
        domain: text("domain"),
    }
}
