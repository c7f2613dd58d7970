//! How an adapter was asked in training: the text around schema and question, and how the schema is written. It lies beside the adapter, so that
//! further questions are put the same way.

use super::hints::place;
use super::jsonl;
use super::prompt::Prompt;
use super::record::{self, Columns};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The file in an adapter's folder.
pub const FILE: &str = "asking.json";

/// What stands before a schema.
const MARK: &str = "Schema:";
/// Prompts that are looked at.
const LOOKED: usize = 1_000;

/// How a schema is written.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Notation {
    /// `a(id, name); b(id, a_id)`
    List,
    /// `CREATE TABLE a (id INTEGER, name TEXT); CREATE TABLE …`
    Ddl,
}

/// How a question is put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// A text with `{schema}` and `{question}` in it.
    pub prompt: String,
    pub notation: Notation,
    /// Most values of its database that a prompt was given.
    #[serde(default)]
    pub value_hints: usize,
}

impl Default for Asking {
    /// As this program's own sets ask.
    fn default() -> Self {
        Self {
            prompt: Prompt::DEFAULT.to_owned(),
            notation: Notation::List,
            value_hints: 0,
        }
    }
}

impl Asking {
    /// How most of these prompts, each with its question where that is known, are put; `None` where fewer than nine in ten are put alike.
    pub fn of<'a>(prompts: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Option<Self> {
        let mut counts: BTreeMap<(String, Notation), usize> = BTreeMap::new();
        let (mut looked, mut value_hints) = (0, 0);
        for (prompt, question) in prompts {
            looked += 1;
            if let Some((frame, notation, hints)) = frame(prompt, question) {
                value_hints = value_hints.max(hints);
                *counts.entry((frame, notation)).or_default() += 1;
            }
        }
        let ((prompt, notation), count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (10 * count >= 9 * looked).then_some(Self {
            prompt,
            notation,
            value_hints,
        })
    }

    /// How most rows of a file ask; `None` where they differ, or ask otherwise.
    pub fn of_file(path: &Path, columns: &Columns) -> Result<Option<Self>> {
        let mut prompts = Vec::new();
        jsonl::for_each(path, |_, line| {
            let Ok(line) = line else { return Ok(()) };
            if let (true, Ok(asked)) = (prompts.len() < LOOKED, record::asked(path, &line, columns))
            {
                let question = line.fields().get("question").and_then(|text| text.as_str());
                // With a system text or a history it is no prompt that could be filled.
                let prompt = match &asked.turns[..] {
                    [turn] => turn.content.clone(),
                    _ => String::new(),
                };
                prompts.push((prompt, question.map(str::to_owned)));
            }
            Ok(())
        })?;
        let each = prompts.iter();
        let each = each.map(|(prompt, question)| (prompt.as_str(), question.as_deref()));
        Ok(Self::of(each))
    }

    /// What an adapter's folder says; `None` where it says nothing.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let read = || -> Result<Self> {
            let own: Self = serde_json::from_slice(&std::fs::read(&path)?)?;
            Prompt::parse(&own.prompt, &["schema", "question"])?;
            Ok(own)
        };
        read().map(Some).with_context(|| path.display().to_string())
    }

    /// The prompt of a question.
    pub fn put(&self, schema: &str, question: &str) -> Result<String> {
        let prompt = Prompt::parse(&self.prompt, &["schema", "question"])?;
        Ok(prompt.fill(&[("schema", schema), ("question", question)]))
    }
}

/// A prompt with places for its schema and its question, and how many values it has.
fn frame(prompt: &str, question: Option<&str>) -> Option<(String, Notation, usize)> {
    let question = match question {
        Some(question) => question.trim(),
        None => place::question(prompt)?,
    };
    if question.is_empty() {
        return None;
    }
    let whole = prompt;
    let prompt = place::without(whole, question);
    let values = |text: &str| text.matches(" = '").count();
    let hints = values(whole) - values(&prompt);
    let (before, rest) = prompt.rsplit_once(question)?;
    let (head, schema) = before.split_once(MARK)?;
    let start = schema.len() - schema.trim_start().len();
    let end = schema.rfind(')')? + 1;
    let (space, tail) = (&schema[..start], &schema[end..]);
    let written = schema.get(start..end)?;
    let ddl = written
        .get(..6)
        .is_some_and(|word| word.eq_ignore_ascii_case("create"));
    let notation = if ddl { Notation::Ddl } else { Notation::List };
    let frame = format!("{head}{MARK}{space}{{schema}}{tail}{{question}}{rest}");
    Some((frame, notation, hints))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_put_as_they_were_in_training() {
        let list =
            |i: usize| format!("Be brief. Schema: t{i}(id, a); u(id). Question: How many t{i}?");
        let prompts: Vec<String> = (0..20).map(list).collect();
        let all = || prompts.iter().map(|prompt| (prompt.as_str(), None));
        let asking = Asking::of(all()).unwrap();
        assert_eq!(
            asking.prompt,
            "Be brief. Schema: {schema}. Question: {question}"
        );
        assert_eq!(asking.notation, Notation::List);
        assert_eq!(
            asking.put("t3(id, a); u(id)", "How many t3?").unwrap(),
            list(3)
        );
        // One in twenty may be other; one in three may not.
        let other = ("Who are you?", None);
        assert!(Asking::of(all().chain([other])).is_some());
        assert!(Asking::of(all().chain(std::iter::repeat_n(other, 10))).is_none());
        assert!(Asking::of(std::iter::empty()).is_none());
    }

    #[test]
    fn ddl_hints_and_questions_of_a_field_are_known() {
        let prompt =
            "Schema:\nCREATE TABLE t (a TEXT (9), b INT);\nValues: t.a = 'x'\nQuestion: Who?";
        let asking = Asking::of([(prompt, None)].into_iter()).unwrap();
        assert_eq!(asking.prompt, "Schema:\n{schema};\nQuestion: {question}");
        assert_eq!((asking.notation, asking.value_hints), (Notation::Ddl, 1));
        let prompt = "Schema: t(a)\nTell me: who (all)? Answer:";
        let asking = Asking::of([(prompt, Some("who (all)?"))].into_iter()).unwrap();
        assert_eq!(
            asking.prompt,
            "Schema: {schema}\nTell me: {question} Answer:"
        );
    }

    #[test]
    fn a_folder_that_says_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Asking::read(dir.path()).unwrap(), None);
        for text in ["{}", "{\"prompt\": \"{schema}\", \"notation\": \"list\"}"] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let error = format!("{:#}", Asking::read(dir.path()).unwrap_err());
            assert!(error.contains(FILE), "{error}");
        }
        let own = serde_json::to_string(&Asking::default()).unwrap();
        std::fs::write(dir.path().join(FILE), own).unwrap();
        assert_eq!(Asking::read(dir.path()).unwrap(), Some(Asking::default()));
    }
}
