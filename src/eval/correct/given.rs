//! The corrections as they are given, and which of them can be taught.

use super::{Fault, File, Request};
use crate::data::jsonl::{self, Line};
use crate::data::overlap::{prompt_of, squeezed};
use crate::data::record::{self, Conversation};
use crate::eval::clean::{CLEAN, class};
use crate::eval::databases::Databases;
use crate::eval::example::Example;
use crate::eval::golds::Golds;
use crate::eval::standard::Standard;
use crate::eval::worker::Reply;
use crate::sql::extract::Extraction;
use crate::sql::normalize::{canonical, is_query};
use crate::sql::taxonomy::classify;
use anyhow::{Error, Result, anyhow, bail};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The kind of failure of a reply that has the right query with something around it.
const WRAPPED: &str = "sql_prose_wrapped";

/// A reply and what would have been right.
pub struct Correction {
    pub line: Line,
    pub asked: Conversation,
    pub reply: String,
    pub right: String,
    /// The kind of failure that the reply is.
    pub failure: String,
}

/// Reads the corrections and holds apart what cannot be taught. Errors where a row does not mean a correction at all.
pub fn read(
    request: &Request,
    held: &BTreeSet<String>,
) -> Result<(File, Vec<Correction>, Vec<Fault>)> {
    let path = request.rows;
    let (lines, asked) = record::read_prompts(path, request.columns)?;
    let (rows, sha256) = jsonl::measure(path)?;
    let file = File {
        path: path.to_owned(),
        rows,
        sha256,
    };
    let (mut corrections, mut faults) = (Vec::new(), Vec::new());
    let mut rights: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for (line, asked) in lines.into_iter().zip(asked) {
        let number = line.number;
        let read = correction(path, line, asked).and_then(|own| {
            let prompt = prompt_of(&own.asked);
            let fault = |reason, what: String| Err(fault(path, number, reason, what));
            if held.contains(&prompt) {
                return fault("held out", "a held-out row has this prompt".to_owned());
            }
            let right = canonical(&own.right);
            let known = rights.entry(prompt).or_insert((right.clone(), number));
            match known.0 == right {
                true => Ok(own),
                false => fault(
                    "with two right queries",
                    format!(
                        "line {} has another gold_sql for this prompt: keep one",
                        known.1
                    ),
                ),
            }
        });
        match read {
            Ok(own) => corrections.push(own),
            Err(fault) => faults.push(fault),
        }
    }
    let corrections = match request.databases {
        Some(databases) => run(path, corrections, databases, &mut faults)?,
        None => corrections,
    };
    Ok((file, corrections, faults))
}

/// A row as a correction, judged by its texts alone.
fn correction(path: &Path, line: Line, asked: Conversation) -> Result<Correction, Fault> {
    let number = line.number;
    let text = |field| line.str(path, field).map(str::to_owned);
    let missing = |error: Error| Fault {
        reason: "without its fields",
        error,
    };
    let reply = text("predicted_sql").map_err(missing)?;
    let right = text("gold_sql").map_err(missing)?.trim().to_owned();
    if !is_query(&right) {
        let what = "field \"gold_sql\" is no query".to_owned();
        return Err(fault(path, number, "without a query", what));
    }
    if same(&reply, &right) {
        let what = "the reply is the right query: there is nothing to correct".to_owned();
        return Err(fault(path, number, "identical", what));
    }
    let found = Extraction::default().find(&reply);
    let failure = match found.query() {
        Some(query) if canonical(query) == canonical(&right) => WRAPPED,
        query => classify(query, &right, None),
    };
    let failure = failure.to_owned();
    Ok(Correction {
        line,
        asked,
        reply,
        right,
        failure,
    })
}

/// Whether two answers are one, as text or as queries.
fn same(reply: &str, right: &str) -> bool {
    squeezed(reply) == squeezed(right) || is_query(reply) && canonical(reply) == canonical(right)
}

/// Runs replies and right queries: what is left are corrections whose right query runs, and whose reply is another answer.
fn run(
    path: &Path,
    corrections: Vec<Correction>,
    databases: &Databases,
    faults: &mut Vec<Fault>,
) -> Result<Vec<Correction>> {
    let (mut somewhere, mut examples) = (Vec::new(), Vec::new());
    for own in corrections {
        let fields = own.line.fields();
        let db = fields.get("db").or(fields.get("db_id"));
        let Some(db) = db.and_then(Value::as_str) else {
            let what = "names no database (db or db_id), and --db-dir is given".to_owned();
            faults.push(fault(path, own.line.number, "without a database", what));
            continue;
        };
        let fields = [
            ("db", db),
            ("predicted_sql", &own.reply),
            ("gold_sql", &own.right),
        ];
        let fields = fields.map(|(key, text)| (key.to_owned(), text.into()));
        examples.push(Example {
            index: examples.len(),
            line: own.line.number,
            fields: Map::from_iter(fields),
            standard: Standard::default(),
        });
        somewhere.push(own);
    }
    if examples.is_empty() {
        return Ok(Vec::new());
    }
    let mut pool = databases.pool(examples.len());
    let golds = Golds::of(&examples);
    let broken = golds.broken(&examples, &mut pool)?;
    let all = examples.iter().enumerate();
    let jobs = all.map(|(row, example)| golds.score(example, row, broken.get(&row)));
    let mut scores = vec![None; examples.len()];
    pool.run(jobs.collect(), |row, reply, _| {
        let Reply::Scores(found) = reply else {
            bail!("a scoring process answered something else");
        };
        scores[row] = Some(found);
        Ok(())
    })?;
    let mut kept = Vec::new();
    for (row, (mut own, scores)) in somewhere.into_iter().zip(scores).enumerate() {
        let number = own.line.number;
        let failed = scores.and_then(|scores| scores.failure_type);
        match (broken.get(&row), failed) {
            (Some(error), _) => {
                let what = format!("gold_sql gives no rows: {error}");
                faults.push(fault(path, number, "with a right query that fails", what));
            }
            (None, Some(failure)) => {
                if own.failure != WRAPPED {
                    own.failure = failure;
                }
                kept.push(own);
            }
            // A caller would have to cut the query out.
            (None, None) if class(&own.reply) != CLEAN => {
                own.failure = WRAPPED.to_owned();
                kept.push(own);
            }
            (None, None) => {
                let what = "the reply gives the rows of gold_sql: it is right already".to_owned();
                faults.push(fault(path, number, "right already", what));
            }
        }
    }
    Ok(kept)
}

fn fault(path: &Path, number: usize, reason: &'static str, what: String) -> Fault {
    let error = anyhow!("{}:{number}: {what}", path.display());
    Fault { reason, error }
}
