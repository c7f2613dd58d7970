//! One row to score: a dataset row with the model's reply in `predicted_sql`.

use super::modes::Mode;
use crate::data::jsonl::{self, Line};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The fields that anyone here reads; each is text where a row has it.
const TEXT_FIELDS: [&str; 9] = [
    "id",
    "db",
    "domain",
    "curriculum",
    "question",
    "prompt",
    "slice",
    "predicted_sql",
    "gold_sql",
];

/// A row to score and where it came from.
#[derive(Clone, Debug)]
pub struct Example {
    /// 0-based place among the rows of the file.
    pub index: usize,
    /// 1-based line in the file; 0 for a row that came from no file.
    pub line: usize,
    /// The row itself.
    pub fields: Map<String, Value>,
}

impl Example {
    /// A text field; `None` when the row lacks it.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// Whether the row has every field that `mode` needs.
    pub fn suits(&self, mode: &dyn Mode) -> bool {
        self.missing(mode).next().is_none()
    }

    fn missing(&self, mode: &dyn Mode) -> impl Iterator<Item = &'static str> {
        let fields = mode.fields().iter().copied();
        fields.filter(|field| self.text(field).is_none())
    }

    /// `file:line: row id`, for messages.
    pub fn place(&self, path: &Path) -> String {
        let place = format!("{}:{}", path.display(), self.line);
        match self.text("id") {
            Some(id) => format!("{place}: row {id}"),
            None => place,
        }
    }
}

/// A predictions file.
pub struct Reading {
    pub examples: Vec<Example>,
    /// What is wrong with the rows that no mode can score, each message with `file:line`.
    pub faults: Vec<anyhow::Error>,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
}

/// Reads a predictions file.
///
/// Where only reference queries are of interest (`golds_only`), a row needs no prediction. Rows that `keep` refuses are passed
/// over. Errors where the file cannot be read or has no rows at all.
pub fn read(
    path: &Path,
    modes: &[&dyn Mode],
    golds_only: bool,
    keep: impl Fn(&Map<String, Value>) -> bool,
) -> Result<Reading> {
    let (mut examples, mut faults) = (Vec::new(), Vec::new());
    let mut lines_of_ids = BTreeMap::new();
    let mut index = 0;
    let sha256 = jsonl::for_each(path, |number, line| {
        if line.as_ref().is_ok_and(|line| !keep(line.fields())) {
            index += 1;
            return Ok(());
        }
        let line = line.map(|mut line| {
            if golds_only {
                line.set("predicted_sql", "");
            }
            line
        });
        let example = line.and_then(|line| check(index, line, path, modes));
        index += 1;
        let example = example.and_then(|example| {
            let Some(id) = example.text("id") else {
                return Ok(example);
            };
            if let Some(first) = lines_of_ids.insert(id.to_owned(), number) {
                bail!(
                    "{}:{number}: id {id:?} is that of line {first} too: give every row its own",
                    path.display()
                );
            }
            Ok(example)
        });
        match example {
            Ok(example) => examples.push(example),
            Err(fault) => faults.push(fault),
        }
        Ok(())
    })?;
    Ok(Reading {
        examples,
        faults,
        sha256,
    })
}

fn check(index: usize, mut line: Line, path: &Path, modes: &[&dyn Mode]) -> Result<Example> {
    // Many data sets number their rows.
    if let Some(id @ Value::Number(_)) = line.fields().get("id") {
        // A long number is no double.
        let text = line.raw("id").map_or_else(|| id.to_string(), str::to_owned);
        line.set("id", text);
    }
    // Spider's and BIRD's name for it.
    let fields = line.fields();
    if let (None | Some(Value::Null), Some(db)) = (fields.get("db"), fields.get("db_id")) {
        let db = db.clone();
        line.set("db", db);
    }
    let id = line
        .fields()
        .get("id")
        .and_then(Value::as_str)
        .map(str::to_owned);
    for field in TEXT_FIELDS {
        let read = line.optional_str(path, field).map(drop);
        read.with_context(|| format!("row {}", id.as_deref().unwrap_or("without id")))?;
    }
    let example = Example {
        index,
        line: line.number,
        fields: line.into_fields(),
    };
    if modes.iter().any(|mode| example.suits(*mode)) {
        return Ok(example);
    }
    let lacks: Vec<_> = modes
        .iter()
        .flat_map(|mode| {
            let name = mode.name();
            let missing = example.missing(*mode);
            missing.map(move |field| format!("field \"{field}\" is missing (mode {name})"))
        })
        .collect();
    Err(anyhow::Error::msg(lacks.join("; "))).with_context(|| example.place(path))
}
