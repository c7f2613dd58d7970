//! The rows of all files, with what each of them asks and what it answers.

use super::config::Config;
use super::finding::{Finding, Kind, reason};
use super::secrets;
use crate::data::jsonl::{self, Line};
use crate::data::overlap::{answer_of, answered, said, squeezed};
use crate::data::record::{self, Columns, Content, Conversation, Role, Turn};
use crate::sql::extract::Extraction;
use crate::sql::normalize::{canonical, is_query};
use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Rows that are read before they are looked at side by side.
const AT_ONCE: usize = 4096;

/// What rows are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Train,
    Heldout,
}

/// A file of rows.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    pub path: PathBuf,
    pub side: Side,
    pub rows: usize,
    /// How many of them are refused.
    pub refused: usize,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
}

/// Rows that mean something.
pub struct Set {
    pub files: Vec<File>,
    pub rows: Vec<Row>,
}

/// A row.
pub struct Row {
    pub side: Side,
    /// `file:line`
    pub place: String,
    /// Fields that say what it is about.
    pub db: Option<String>,
    pub domain: Option<String>,
    /// What is learned, of a row that training can learn.
    pub content: Option<Content>,
    pub asks: Vec<Ask>,
}

/// A question in a row.
pub struct Ask {
    /// As prompts are compared.
    pub prompt: String,
    /// Everything before the answer, white space as one space.
    pub given: String,
    /// What is asked, as it is written.
    pub text: String,
    /// As answers are compared: the query in one form, or the text with one space for white space.
    pub answer: Option<String>,
    /// The query in the answer.
    pub query: Option<String>,
}

impl Set {
    /// Whether there are rows of that side.
    pub fn has(&self, side: Side) -> bool {
        self.files.iter().any(|file| file.side == side)
    }
}

impl Row {
    /// Its questions, each with its row.
    pub fn asked(&self) -> impl Iterator<Item = (&Row, &Ask)> {
        self.asks.iter().map(move |ask| (self, ask))
    }
}

/// Reads all files; rows that mean nothing, and secrets in any field, become findings.
pub fn read(config: &Config, findings: &mut Vec<Finding>) -> Result<Set> {
    let mut set = Set {
        files: Vec::new(),
        rows: Vec::new(),
    };
    let mut wanted = config.columns.wanted();
    let train = config.data.iter().map(|path| (path, Side::Train));
    let heldout = config.heldout.iter().map(|path| (path, Side::Heldout));
    for (path, side) in train.chain(heldout) {
        let mut waiting = Vec::new();
        let (mut rows, mut refused) = (0, 0);
        let mut look = |waiting: &mut Vec<(usize, Result<Line>)>, set: &mut Set| {
            let lines = waiting.par_drain(..);
            let looked: Vec<_> = lines
                .map(|(number, line)| {
                    let place = format!("{}:{number}", path.display());
                    let (row, found) = row(path, place, side, line, &config.columns);
                    (row, found)
                })
                .collect();
            for (row, found) in looked {
                refused += usize::from(row.is_none());
                findings.extend(found);
                set.rows.extend(row);
            }
        };
        let sha256 = jsonl::for_each(path, |number, line| {
            rows += 1;
            if let Ok(line) = &line {
                wanted.look(line);
            }
            waiting.push((number, line));
            if waiting.len() == AT_ONCE {
                look(&mut waiting, &mut set);
            }
            Ok(())
        })?;
        look(&mut waiting, &mut set);
        set.files.push(File {
            path: path.clone(),
            side,
            rows,
            refused,
            sha256,
        });
    }
    if let Some(first) = set.files.first() {
        wanted.refuse(&first.path)?;
    }
    Ok(set)
}

/// One row, and what is wrong with it alone.
fn row(
    path: &Path,
    place: String,
    side: Side,
    line: Result<Line>,
    columns: &Columns,
) -> (Option<Row>, Vec<Finding>) {
    let refused =
        |error: &anyhow::Error| Finding::new(Kind::Refused, &place, reason(&place, error));
    let line = match line {
        Ok(line) => line,
        Err(error) => return (None, vec![refused(&error)]),
    };
    let mut findings = secrets::find(line.fields(), &place);
    match meaning(path, side, &line, columns) {
        Err(error) => {
            findings.push(refused(&error));
            (None, findings)
        }
        Ok((content, asks)) => {
            let text = |field| line.fields().get(field).and_then(Value::as_str);
            let row = Row {
                side,
                place,
                db: text("db").or_else(|| text("db_id")).map(str::to_owned),
                domain: text("domain").map(str::to_owned),
                content,
                asks,
            };
            (Some(row), findings)
        }
    }
}

/// What a row teaches, and what it asks. Held-out rows may have no answer that could be learned.
fn meaning(
    path: &Path,
    side: Side,
    line: &Line,
    columns: &Columns,
) -> Result<(Option<Content>, Vec<Ask>)> {
    match (record::learned(path, line, columns), side) {
        (Ok(content), _) => {
            let asks = match &content {
                Content::Turns(conversation) => of_turns(conversation),
                Content::Text(text) => vec![Ask::running(text)],
            };
            Ok((Some(content), asks))
        }
        (Err(error), Side::Train) => Err(error),
        (Err(_), Side::Heldout) => {
            let asked = record::asked(path, line, columns)?;
            let ask = Ask::new(&asked, &asked.turns, answer_of(line));
            Ok((None, vec![ask]))
        }
    }
}

fn of_turns(conversation: &Conversation) -> Vec<Ask> {
    let all = answered(&conversation.turns);
    all.map(|(before, turn)| Ask::new(conversation, before, Some(&turn.content)))
        .collect()
}

impl Ask {
    fn new(conversation: &Conversation, before: &[Turn], answer: Option<&str>) -> Self {
        let given = before
            .iter()
            .map(|turn| format!("{}: {}", turn.role.name(), squeezed(&turn.content)));
        let tools = conversation.tools.iter().map(Value::to_string);
        let given: Vec<_> = tools.chain(given).collect();
        let asked = before.iter().filter(|turn| turn.role != Role::System);
        let texts: Vec<_> = asked.map(|turn| turn.content.as_str()).collect();
        Self {
            prompt: said(before),
            given: given.join("\n"),
            text: texts.join("\n"),
            answer: answer.map(compared),
            query: answer.and_then(query),
        }
    }

    /// Of a running text, which asks all that it says.
    fn running(text: &str) -> Self {
        Self {
            prompt: squeezed(text).to_lowercase(),
            given: squeezed(text),
            text: text.to_owned(),
            answer: None,
            query: None,
        }
    }
}

/// An answer as it is compared.
pub fn compared(answer: &str) -> String {
    match is_query(answer) {
        true => canonical(answer),
        false => squeezed(answer),
    }
}

/// The query in an answer.
fn query(answer: &str) -> Option<String> {
    let found = match is_query(answer) {
        true => return Some(answer.trim().to_owned()),
        false => Extraction::default().find(answer),
    };
    found.query().map(str::to_owned)
}
