//! One row to score: a dataset row with the model's reply in `predicted_sql`.

use super::modes::Mode;
use crate::data::jsonl::{self, Line};
use anyhow::{Result, bail};
use serde_json::{Map, Value};
use std::path::Path;

/// The fields that anyone here reads; each is text where a row has it.
const TEXT_FIELDS: [&str; 8] = [
    "id",
    "db",
    "domain",
    "question",
    "prompt",
    "slice",
    "predicted_sql",
    "gold_sql",
];

/// A row to score and where it came from.
#[derive(Clone, Debug)]
pub struct Example {
    /// 0-based place among the rows.
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
}

/// Reads a predictions file. A row that no mode can score is an error naming `file:line` and what it lacks.
pub fn read(path: &Path, modes: &[&dyn Mode]) -> Result<Vec<Example>> {
    let lines = jsonl::read(path)?;
    let examples = lines.into_iter().enumerate();
    examples
        .map(|(index, line)| check(index, line, path, modes))
        .collect()
}

fn check(index: usize, mut line: Line, path: &Path, modes: &[&dyn Mode]) -> Result<Example> {
    // Many data sets number their rows.
    if let Some(id @ Value::Number(_)) = line.fields.get("id") {
        let text = id.to_string();
        line.fields.insert("id".to_owned(), text.into());
    }
    for field in TEXT_FIELDS {
        line.optional_str(path, field)?;
    }
    let example = Example {
        index,
        line: line.number,
        fields: line.fields,
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
    bail!("{}:{}: {}", path.display(), example.line, lacks.join("; "))
}
