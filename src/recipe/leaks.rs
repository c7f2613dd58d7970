//! Text of rows where only facts about them belong: prompts, references and predictions in the status files of a run.

use super::records;
use super::status;
use crate::data::overlap::{answer_of, prompt_of, squeezed};
use crate::data::record::{self, Columns};
use crate::eval::score::ScoredRow;
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The files that people and programs pass on without the rows.
const STATUS_FILES: [&str; 12] = [
    records::CONFIG,
    status::FILE,
    records::DATASET,
    records::BASELINE,
    records::CANDIDATE,
    records::SLICES,
    records::PROVENANCE,
    records::ARTIFACT,
    records::DECISION,
    records::VALIDITY,
    records::COST,
    records::GATES,
];
/// Shorter texts, and single words, may stand anywhere by chance.
const LEAST: usize = 12;

/// Texts of rows, each with where it is from.
#[derive(Default)]
pub struct Texts {
    whole: BTreeMap<String, String>,
    /// Lines of texts that have several, with how many texts have each: what many have is the question's form.
    lines: BTreeMap<String, (String, usize)>,
}

impl Texts {
    /// Adds a text of a row.
    fn add(&mut self, text: &str, from: &str) {
        let lines: BTreeSet<String> = text.lines().map(squeezed).collect();
        if lines.len() > 1 {
            for line in lines.into_iter().filter(|line| telling(line)) {
                let known = self
                    .lines
                    .entry(line)
                    .or_insert_with(|| (from.to_owned(), 0));
                known.1 += 1;
            }
        }
        let text = squeezed(text);
        if telling(&text) {
            self.whole.entry(text).or_insert_with(|| from.to_owned());
        }
    }

    /// Adds what scored rows were asked, should say, and said.
    pub fn add_scored(&mut self, rows: &[ScoredRow], file: &str) {
        for row in rows {
            let from = format!("{file}: row {}", super::rows::name(row));
            let texts = [
                row.question.as_deref(),
                Some(&row.predicted_sql),
                Some(&row.scored_sql),
                Some(&row.gold_sql),
            ];
            texts
                .into_iter()
                .flatten()
                .for_each(|text| self.add(text, &from));
        }
    }

    /// Adds the prompts and the references of a file of rows.
    pub fn add_file(&mut self, path: &Path, columns: &Columns) -> Result<()> {
        let (lines, asked) = record::read_prompts(path, columns)?;
        for (line, asked) in lines.iter().zip(&asked) {
            let from = format!("{}:{}", path.display(), line.number);
            self.add(&prompt_of(asked), &from);
            for turn in &asked.turns {
                if turn.role != record::Role::System {
                    self.add(&turn.content, &from);
                }
            }
            let question = line.fields().get("question").and_then(Value::as_str);
            question
                .into_iter()
                .chain(answer_of(line))
                .for_each(|text| self.add(text, &from));
        }
        Ok(())
    }

    /// What is in the status files of a run, a line each.
    pub fn find(&self, folder: &Path) -> Vec<String> {
        let own = self.lines.iter().filter(|(_, (_, texts))| *texts == 1);
        let own = own.map(|(line, (from, _))| (line, from));
        let texts: Vec<(&String, &String)> = self.whole.iter().chain(own).collect();
        let mut found = Vec::new();
        for name in STATUS_FILES {
            let Ok(bytes) = fs::read(folder.join(name)) else {
                continue;
            };
            // What is no JSON is a fault of its own.
            let Ok(value) = serde_json::from_slice::<Value>(&bytes) else {
                continue;
            };
            let mut said = String::new();
            strings(&value, &mut said);
            let leaked = texts.iter().find(|(text, _)| said.contains(text.as_str()));
            if let Some((_, from)) = leaked {
                found.push(format!(
                    "{name} has text of a row in it ({from}): only numbers and names belong there"
                ));
            }
        }
        found
    }
}

/// Whether a text cannot stand somewhere by chance.
fn telling(text: &str) -> bool {
    text.chars().count() >= LEAST && text.contains(' ')
}

/// Every key and text of a value, a line each.
fn strings(value: &Value, said: &mut String) {
    let mut add = |text: &str| {
        said.push_str(&squeezed(text));
        said.push('\n');
    };
    match value {
        Value::String(text) => add(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, said)),
        Value::Object(members) => {
            members.keys().for_each(|key| add(key));
            members.values().for_each(|member| strings(member, said));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_tells_is_a_leak() {
        let folder = tempfile::tempdir().unwrap();
        let rows = folder.path().join("h.jsonl");
        let prompt =
            |question: &str| format!("Write one query in SQL.\nTable pens(id, ink)\n{question}");
        let lines: String = ["Which pens are the reddest?", "How many?"]
            .map(|question| {
                json!({"prompt": prompt(question), "gold_sql": "SELECT 1"}).to_string() + "\n"
            })
            .concat();
        fs::write(&rows, lines).unwrap();
        let mut texts = Texts::default();
        texts.add_file(&rows, &Columns::default()).unwrap();
        let found = |reason: Value| {
            records::write(
                folder.path(),
                records::DECISION,
                &json!({ "reason": reason }),
            )
            .unwrap();
            texts.find(folder.path())
        };
        // A form that all rows have, and what is too short.
        assert!(found(json!("Write one query in SQL. How many? SELECT 1")).is_empty());
        for leak in [
            json!(["it fails at: Which  pens\nare the reddest?"]),
            json!({"Which pens are the reddest?": 1}),
            json!(prompt("How many?")),
        ] {
            let faults = found(leak);
            assert!(
                faults[0].starts_with("decision.json has text of a row in it ("),
                "{faults:?}"
            );
        }
    }
}
