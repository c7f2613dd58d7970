//! What a row means to training and generation.
//!
//! A row has one format: a question (`instruction` or `prompt`, with Alpaca's `input` behind it) and an answer (`response`,
//! `output` or `completion`), both texts or both lists of messages; a list of `messages`, or ShareGPT's `conversations`; or
//! running `text`. A conversation may also have a `system` text and `tools`, an answer what was thought before it.
//!
//! These fields and those that [`row`] refuses change what a row means, and none is dropped. All others mean nothing here:
//! ids, sources, reference queries.

mod answer;
mod columns;
mod format;
mod messages;
mod preference;
mod row;

pub use answer::answered;
pub use columns::Columns;
pub use preference::Preference;
pub use row::FIELDS;

use super::jsonl::{self, Faults, Line};
use anyhow::{Result, ensure};
use row::Row;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
    /// What a tool returned.
    Tool,
}

impl Role {
    /// The name in rows and templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub role: Role,
    pub content: String,
    /// Whether the loss is on it: on assistant turns, unless the row says otherwise.
    pub learned: bool,
    /// What an assistant thought before `content`; for templates that show it.
    pub reasoning: Option<String>,
    /// The tools that an assistant calls, as the base's own template reads them.
    pub tool_calls: Vec<Value>,
    /// Of what a tool returned: `name` and `tool_call_id`, as the base's own template reads them.
    pub answers: BTreeMap<&'static str, String>,
}

impl Turn {
    /// A turn of text alone.
    pub fn new(role: Role, content: String) -> Self {
        Self {
            role,
            content,
            learned: role == Role::Assistant,
            reasoning: None,
            tool_calls: Vec::new(),
            answers: BTreeMap::new(),
        }
    }
}

/// Messages, and what an assistant may call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    pub turns: Vec<Turn>,
    /// The tools on offer, as the base's own template reads them.
    pub tools: Vec<Value>,
}

impl From<Vec<Turn>> for Conversation {
    /// Without tools.
    fn from(turns: Vec<Turn>) -> Self {
        let tools = Vec::new();
        Self { turns, tools }
    }
}

/// What a training row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A conversation; its assistant turns are what is learned.
    Turns(Conversation),
    /// Running text, all of it learned.
    Text(String),
}

/// A training row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `file:line`, for errors.
    pub place: String,
    pub content: Content,
}

/// What a row of any kind means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    Turns(Conversation),
    Text(String),
    /// Two answers, one of them better.
    Preference(Preference),
}

/// What a row that was read from `path` means. One with `chosen` or `rejected` and no other answer is a preference.
pub fn meaning(path: &Path, line: &Line, columns: &Columns) -> Result<Meaning> {
    let row = Row::new(path, line, columns)?;
    if preference::is_one(&row)? {
        return preference::read(&row).map(Meaning::Preference);
    }
    Ok(match format::learned(&row)? {
        Content::Turns(conversation) => Meaning::Turns(conversation),
        Content::Text(text) => Meaning::Text(text),
    })
}

/// Reads a training file. All rows that mean nothing are named in one error, as is a column that no row has.
pub fn read(path: &Path, columns: &Columns) -> Result<Vec<Record>> {
    rows(path, columns, |line| {
        let row = Row::new(path, &line, columns)?;
        Ok(Record {
            place: row.place(),
            content: format::learned(&row)?,
        })
    })
}

/// A row that tells good answers from bad ones.
pub enum Judgement {
    Preference(Preference),
    /// An answer, and whether it is good.
    Labelled(Content, bool),
}

/// Reads a file of preferences, and of answers with a `label` where `labelled` says that those are wanted, each with its place. Errors as
/// [`read`] does.
pub fn read_judgements<T>(
    path: &Path,
    columns: &Columns,
    labelled: bool,
    meaning: impl Fn(String, Judgement) -> Result<T>,
) -> Result<Vec<T>> {
    rows(path, columns, |line| {
        let row = Row::new(path, &line, columns)?;
        let judgement = match labelled && row.value("label")?.is_some() {
            true => {
                let good = preference::label(&row)?;
                Judgement::Labelled(
                    learned(path, &preference::unlabelled(&line), columns)?,
                    good,
                )
            }
            false => Judgement::Preference(preference::read(&row)?),
        };
        meaning(row.place(), judgement)
    })
}

/// Reads a file of prompts: every row, and what generation answers. Errors as [`read`] does.
pub fn read_prompts(path: &Path, columns: &Columns) -> Result<(Vec<Line>, Vec<Conversation>)> {
    let rows = rows(path, columns, |line| {
        let conversation = asked(path, &line, columns)?;
        Ok((line, conversation))
    })?;
    Ok(rows.into_iter().unzip())
}

/// What a row of `path` means to training.
pub fn learned(path: &Path, line: &Line, columns: &Columns) -> Result<Content> {
    format::learned(&Row::new(path, line, columns)?)
}

/// What generation answers in a row of `path`.
pub fn asked(path: &Path, line: &Line, columns: &Columns) -> Result<Conversation> {
    format::asked(&Row::new(path, line, columns)?)
}

fn rows<T>(path: &Path, columns: &Columns, meaning: impl Fn(Line) -> Result<T>) -> Result<Vec<T>> {
    let (mut wanted, mut any) = (columns.wanted(), false);
    let rows = jsonl::read_as(path, |line| {
        any = true;
        wanted.look(&line);
        meaning(line)
    });
    // A column of a wrong name explains what is wrong with every row.
    if any {
        wanted.refuse(path)?;
    }
    rows
}

/// What generation answers in rows that were read from `path`.
pub fn prompts(path: &Path, lines: &[Line], columns: &Columns) -> Result<Vec<Conversation>> {
    let (mut conversations, mut faults) = (Vec::new(), Faults::default());
    for line in lines {
        match asked(path, line, columns) {
            Ok(conversation) => conversations.push(conversation),
            Err(fault) => faults.add(fault),
        }
    }
    faults.refuse()?;
    Ok(conversations)
}

/// A conversation of one user turn.
pub fn user(content: String) -> Conversation {
    vec![Turn::new(Role::User, content)].into()
}

/// Takes the text of an end token, one of `ends`, off the end of each answer: a template ends every answer itself. Returns the
/// place of each row that had one.
pub fn strip_ends(records: &mut [Record], ends: &[String]) -> Result<Vec<String>> {
    let mut places = Vec::new();
    for record in records {
        let texts: Vec<&mut String> = match &mut record.content {
            Content::Text(text) => vec![text],
            Content::Turns(conversation) => {
                let turns = conversation.turns.iter_mut();
                let answers = turns.filter(|turn| turn.role == Role::Assistant);
                answers.map(|turn| &mut turn.content).collect()
            }
        };
        let mut had = false;
        for text in texts {
            while let Some(short) = ends
                .iter()
                .find_map(|end| text.trim_end().strip_suffix(end.as_str()))
            {
                ensure!(
                    !short.trim().is_empty(),
                    "{}: an answer is nothing but the end token",
                    record.place
                );
                text.truncate(short.len());
                had = true;
            }
        }
        if had {
            places.push(record.place.clone());
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests;
