//! What a row means to training and generation.

use super::jsonl::{self, Line};
use anyhow::{Result, bail};
use std::path::Path;

/// Field pairs a training row may have: what is given, what is to be said.
const FORMATS: [(&str, &str); 2] = [("instruction", "response"), ("prompt", "completion")];

/// Fields generation reads its prompt from, the first that a row has.
const PROMPT_FIELDS: [&str; 2] = ["prompt", "instruction"];

/// A training row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `file:line`, for errors.
    pub place: String,
    pub prompt: String,
    pub answer: String,
}

/// Reads a training file; every row's format is checked.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    jsonl::read(path)?
        .iter()
        .map(|line| record(path, line))
        .collect()
}

fn record(path: &Path, line: &Line) -> Result<Record> {
    let place = format!("{}:{}", path.display(), line.number);
    let has = |field: &str| line.fields.contains_key(field);
    let Some((given, said)) = FORMATS.into_iter().find(|(g, s)| has(g) && has(s)) else {
        let fields: Vec<&str> = line.fields.keys().map(String::as_str).collect();
        bail!(
            "{place}: no known format: expected instruction and response, or prompt and completion; found fields: {}",
            if fields.is_empty() {
                "none".to_string()
            } else {
                fields.join(", ")
            }
        );
    };
    let text = |field| {
        let text = line.str(path, field)?;
        if text.trim().is_empty() {
            bail!("{place}: field \"{field}\" is empty");
        }
        Ok(text.to_string())
    };
    let (prompt, answer) = (text(given)?, text(said)?);
    Ok(Record {
        place,
        prompt,
        answer,
    })
}

/// The prompt of a row to generate for.
pub fn prompt<'a>(path: &Path, line: &'a Line) -> Result<&'a str> {
    for field in PROMPT_FIELDS {
        match line.optional_str(path, field)? {
            Some(text) if text.trim().is_empty() => bail!(
                "{}:{}: field \"{field}\" is empty",
                path.display(),
                line.number
            ),
            Some(text) => return Ok(text),
            None => {}
        }
    }
    bail!(
        "{}:{}: field \"prompt\" (or \"instruction\") is missing",
        path.display(),
        line.number
    )
}

/// The `plain` template: the prompt and one newline; the answer follows.
pub fn plain(prompt: &str) -> String {
    format!("{prompt}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Record> {
        let line = Line {
            number: 3,
            fields: serde_json::from_str(json).unwrap(),
        };
        record(Path::new("t.jsonl"), &line)
    }

    #[test]
    fn both_formats_are_read() {
        for json in [
            r#"{"instruction":"q","response":"a"}"#,
            r#"{"id":1,"prompt":"q","completion":"a"}"#,
        ] {
            let r = parse(json).unwrap();
            assert_eq!(
                (r.prompt.as_str(), r.answer.as_str(), r.place.as_str()),
                ("q", "a", "t.jsonl:3")
            );
        }
    }

    #[test]
    fn errors_name_place_and_field() {
        for (json, expected) in [
            (r#"{"question":"q"}"#, "t.jsonl:3: no known format"),
            (r#"{"prompt":"q","completion":7}"#, "\"completion\""),
            (
                r#"{"prompt":"q","completion":" "}"#,
                "\"completion\" is empty",
            ),
        ] {
            let error = parse(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
