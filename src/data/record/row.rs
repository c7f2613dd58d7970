//! The fields of a row that change what it means.

use super::columns::Columns;
use crate::data::jsonl::{Line, kind};
use anyhow::{Error, Result, anyhow, bail};
use serde_json::Value;
use std::path::Path;

/// Fields that say what is asked.
pub const ASKED: [&str; 2] = ["instruction", "prompt"];
/// Fields that say the answer to it.
pub const ANSWERS: [&str; 3] = ["response", "output", "completion"];
/// Lists of messages: as most programs have them, and ShareGPT's.
pub const LISTS: [&str; 2] = ["messages", "conversations"];
/// What an assistant thought before it answered, of a message or beside an answer.
pub const THOUGHTS: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];
/// How much a row counts.
pub const WEIGHTS: [&str; 2] = ["weight", "train"];

/// Every field that is read.
pub const FIELDS: [&str; 16] = [
    "instruction",
    "prompt",
    "input",
    "response",
    "output",
    "completion",
    "messages",
    "conversations",
    "text",
    "system",
    "tools",
    "reasoning_content",
    "reasoning",
    "thinking",
    "weight",
    "train",
];

/// Fields that would change what a row says, and are not read; what to do about each.
const REFUSED: [(&str, &str); 13] = [
    (
        "context",
        "--field input=context puts it behind the question",
    ),
    ("system_prompt", "--field system=system_prompt reads it"),
    ("history", "write its turns as messages"),
    ("functions", "write them as tools"),
    ("documents", "write them into the question"),
    (
        "chat_template_kwargs",
        "remove it; what it asks for is not supported",
    ),
    ("image", ONLY_TEXT),
    ("images", ONLY_TEXT),
    ("audio", ONLY_TEXT),
    ("audios", ONLY_TEXT),
    ("video", ONLY_TEXT),
    ("videos", ONLY_TEXT),
    (
        "mask_history",
        "give the turns that are not learned the weight 0",
    ),
];
const ONLY_TEXT: &str = "only text is read";

/// A row, asked for its fields by the names of the formats, whatever its columns are called.
pub struct Row<'a> {
    path: &'a Path,
    line: &'a Line,
    columns: &'a Columns,
}

impl<'a> Row<'a> {
    /// Errors where the row has a field that would be dropped.
    pub fn new(path: &'a Path, line: &'a Line, columns: &'a Columns) -> Result<Self> {
        let row = Self {
            path,
            line,
            columns,
        };
        for (field, what_to_do) in REFUSED {
            if row.value(field)?.is_some_and(|value| !is_blank(value)) {
                bail!(row.fault(
                    field,
                    format!(
                        "is not read, and changes what the row means: {what_to_do}, or remove it"
                    )
                ));
            }
        }
        Ok(row)
    }

    /// `file:line`
    pub fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line.number)
    }

    /// An error about a field, which is named as its column is.
    pub fn fault(&self, field: &str, what: impl std::fmt::Display) -> Error {
        let column = self.columns.of(field).unwrap_or(field);
        anyhow!("{}: field \"{column}\" {what}", self.place())
    }

    /// The names of all columns.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.line.fields().keys().map(String::as_str).collect();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    }

    /// A field's value, unless it is missing or null: a null is a column of other rows that was filled up.
    pub fn value(&self, field: &'static str) -> Result<Option<&'a Value>> {
        match self.columns.of(field) {
            Some(column) => self.line.value(self.path, column),
            None => Ok(None),
        }
    }

    /// Whether the field is there, and null.
    pub fn is_null(&self, field: &'static str) -> bool {
        let column = self.columns.of(field);
        column.is_some_and(|column| self.line.fields().get(column).is_some_and(Value::is_null))
    }

    /// Those of some fields that the row has.
    pub fn present(&self, fields: &[&'static str]) -> Result<Vec<&'static str>> {
        let mut present = Vec::new();
        for field in fields {
            if self.value(field)?.is_some() {
                present.push(*field);
            }
        }
        Ok(present)
    }

    /// The text of a field that may be missing; blank text is as none.
    pub fn text(&self, field: &'static str) -> Result<Option<&'a str>> {
        match self.value(field)? {
            None => Ok(None),
            Some(Value::String(text)) => {
                Ok(Some(text.as_str()).filter(|text| !text.trim().is_empty()))
            }
            Some(other) => {
                Err(self.fault(field, format!("must be a string, found {}", kind(other))))
            }
        }
    }

    /// The text of a field that must be there and say something.
    pub fn filled(&self, field: &'static str) -> Result<&'a str> {
        let is_there = |column| self.line.fields().contains_key(column);
        self.text(field)?
            .ok_or_else(|| match self.columns.of(field).is_some_and(is_there) {
                true => self.fault(field, "is empty"),
                false => self.fault(field, format!("is missing; the row has {}", self.names())),
            })
    }
}

/// Whether a value says nothing.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
