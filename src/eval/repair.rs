//! Repair rows of scored rows: a query that failed is asked again with its error, and the answer is the reference.

use super::returned::NO_QUERY;
use super::score::ScoredRow;
use crate::data::jsonl;
use crate::data::record::{self, Columns, Role};
use crate::data::repair::{MARK, prompt};
use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The rows, and why scored rows gave none.
#[derive(Debug, Default)]
pub struct Made {
    pub rows: Vec<Map<String, Value>>,
    /// How many rows were left out, by reason.
    pub dropped: BTreeMap<&'static str, usize>,
}

/// A repair row for each of `scored` whose query failed. `set` are the rows that were scored, with their prompts. Errors where they are others.
pub fn rows(scored: &[ScoredRow], set: &Path, columns: &Columns) -> Result<Made> {
    let lines = jsonl::read(set)?;
    let mut made = Made::default();
    for row in scored {
        let line = lines.get(row.index);
        let same = |line: &&jsonl::Line| {
            let gold = line.fields().get("gold_sql").and_then(Value::as_str);
            gold.unwrap_or_default() == row.gold_sql && line.id() == row.id
        };
        let Some(line) = line.filter(same) else {
            bail!(
                "{}: row {} is not the one that was scored (another id or gold_sql): give the rows that eval-sql scored",
                set.display(),
                row.index + 1
            );
        };
        let asked = record::asked(set, line, columns)?;
        let question = match &asked.turns[..] {
            [turn] if turn.role == Role::User && asked.tools.is_empty() => Ok(&turn.content),
            _ => Err("asked in several turns"),
        };
        match failed(row).and_then(|failed| Ok((failed, question?))) {
            Ok(((query, error), question)) => {
                let Value::Object(made_row) = json!({
                    "id": format!("{}-repair", super::choices::name(row)),
                    "prompt": prompt(question, query, error),
                    "completion": row.gold_sql,
                    "db": row.db,
                    MARK: true,
                }) else {
                    unreachable!("the literal is an object");
                };
                made.rows.push(made_row);
            }
            Err(reason) => *made.dropped.entry(reason).or_insert(0) += 1,
        }
    }
    Ok(made)
}

/// The query of a row that failed, and its error; else why it repairs nothing.
fn failed(row: &ScoredRow) -> Result<(&str, &str), &'static str> {
    if row.passed() {
        return Err("right");
    }
    if row.gold_sql.is_empty() {
        return Err("without gold_sql");
    }
    if row.scores.gold_error.is_some() {
        return Err("gold_sql fails");
    }
    if row.predicted_sql.trim().is_empty() {
        return Err("without an answer");
    }
    match (&row.scores.predicted_error, row.scored_sql.as_str()) {
        (Some(error), "") => Ok((&row.predicted_sql, error)),
        (Some(error), query) => Ok((query, error)),
        (None, "") => Ok((&row.predicted_sql, NO_QUERY)),
        (None, _) => Err("wrong, but without an error"),
    }
}
