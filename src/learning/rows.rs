//! Rows to learn from: what each asks, on which database, and which query is right.

use crate::data::jsonl::{self, Faults, Line};
use crate::data::record::{self, Columns, Content, Conversation};
use crate::eval::example::{self, Example};
use crate::sql::extract::Extraction;
use crate::sql::normalize::is_query;
use anyhow::{Result, anyhow};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The rows of a file, in its order.
pub struct Rows {
    pub path: PathBuf,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
    pub rows: Vec<Row>,
}

/// One of them.
#[derive(Clone)]
pub struct Row {
    /// As it was read.
    pub line: Line,
    pub asked: Conversation,
    /// Its database and its reference, as they are scored.
    pub example: Example,
}

impl Rows {
    /// Reads rows with a prompt, a database (`db` or `db_id`, else `db`) and a reference: `gold_sql`, or where there is none the query in the
    /// row's own answer. Errors name all rows that lack one.
    pub fn read(path: &Path, columns: &Columns, db: Option<&str>) -> Result<Self> {
        let (lines, asked) = record::read_prompts(path, columns)?;
        let (_, sha256) = jsonl::measure(path)?;
        let (mut rows, mut faults) = (Vec::new(), Faults::default());
        for (index, (line, asked)) in lines.into_iter().zip(asked).enumerate() {
            let example = referred(path, &line, columns)
                .and_then(|referred| example::one(path, index, referred, db));
            match example {
                Ok(example) => rows.push(Row {
                    line,
                    asked,
                    example,
                }),
                Err(fault) => faults.add(fault),
            }
        }
        faults.refuse()?;
        Ok(Self {
            path: path.to_owned(),
            sha256,
            rows,
        })
    }

    /// `file:line`, with the row's name, for messages.
    pub fn place(&self, row: usize) -> String {
        self.rows[row].example.place(&self.path)
    }

    /// The rows as they were read, and what each asks.
    pub fn asked(&self) -> (Vec<Line>, Vec<Conversation>) {
        let each = self.rows.iter();
        each.map(|row| (row.line.clone(), row.asked.clone()))
            .unzip()
    }

    /// The rows as they are scored.
    pub fn examples(&self) -> Vec<Example> {
        self.rows.iter().map(|row| row.example.clone()).collect()
    }
}

/// The row with its reference in `gold_sql`.
fn referred(path: &Path, line: &Line, columns: &Columns) -> Result<Line> {
    let mut referred = line.clone();
    if line.value(path, "prompt")?.is_some_and(Value::is_array) {
        // Messages are asked, and no text that a scored row shows.
        referred.replace(&["prompt"], Map::new());
    }
    if line.value(path, "gold_sql")?.is_some() {
        return Ok(referred);
    }
    let query = answered(path, line, columns).ok_or_else(|| {
        anyhow!(
            "{}:{}: no reference: field \"gold_sql\" is missing, and the row has no answer with a query in it",
            path.display(),
            line.number
        )
    })?;
    referred.set("gold_sql", query);
    Ok(referred)
}

/// The query in the row's own answer.
fn answered(path: &Path, line: &Line, columns: &Columns) -> Option<String> {
    let Ok(Content::Turns(conversation)) = record::learned(path, line, columns) else {
        return None;
    };
    let answer = conversation.turns.last()?.content.trim();
    match is_query(answer) {
        true => Some(answer.to_owned()),
        false => Extraction::default()
            .find(answer)
            .query()
            .map(str::to_owned),
    }
}
