//! Questions, and what an episode on each begins with.

use super::knowledge::Knowledge;
use super::protocol::{Protocol, Setting};
use super::table::Task;
use crate::data::jsonl::{Faults, Line};
use crate::data::record::Conversation;
use crate::data::template::Renderer;
use crate::db::home::Home;
use crate::learning::rows::{Row, Rows};
use crate::run::observer::Observer;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// The field that names a document of [`Knowledge`].
const KNOWLEDGE: &str = "external_knowledge";

/// A question to a database.
pub struct Question {
    /// `file:line`, for messages.
    pub place: String,
    pub id: Option<String>,
    pub db: String,
    pub asked: Conversation,
    /// The document that it refers to.
    pub knowledge: Option<String>,
    pub scored: Scored,
}

/// What `eval-sql` reads of a row beside its name, its database and its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Or the prompt of a row without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curriculum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold_sql: Option<String>,
}

impl Scored {
    /// Of a row's fields.
    fn of(fields: &Map<String, Value>) -> Self {
        let text = |field: &str| Some(fields.get(field)?.as_str()?.to_owned());
        Self {
            question: text("question").or_else(|| text("prompt")),
            domain: text("domain"),
            curriculum: text("curriculum"),
            slice: text("slice"),
            gold_sql: text("gold_sql"),
        }
    }
}

impl Question {
    /// Of a row that was read from `path`, whose `fields` are those that are scored.
    pub fn new(
        path: &Path,
        line: &Line,
        fields: &Map<String, Value>,
        db: &str,
        asked: Conversation,
    ) -> Result<Self> {
        let knowledge = match line.value(path, KNOWLEDGE)? {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name.clone()).filter(|name| !name.trim().is_empty()),
            Some(_) => bail!(
                "{}:{}: field {KNOWLEDGE:?} is no file's name",
                path.display(),
                line.number
            ),
        };
        Ok(Self {
            place: format!("{}:{}", path.display(), line.number),
            id: line.id(),
            db: db.to_owned(),
            asked,
            knowledge,
            scored: Scored::of(fields),
        })
    }

    /// Those of rows.
    pub fn of_rows(rows: &Rows) -> Result<Vec<Self>> {
        let one = |row: &Row| {
            let db = row.example.text("db").unwrap_or_default();
            let fields = &row.example.fields;
            Self::new(&rows.path, &row.line, fields, db, row.asked.clone())
        };
        rows.rows.iter().map(one).collect()
    }
}

/// What episodes are begun with.
pub struct Opening<'a> {
    pub protocol: Protocol,
    pub home: &'a Home,
    /// Turns of an episode.
    pub turns: usize,
    /// The tools as functions, the one that answers among them.
    pub tools: &'a [Value],
    pub knowledge: Option<&'a Knowledge>,
}

impl Opening<'_> {
    /// What is asked in the episode on each of `questions`. Errors name all that cannot be asked.
    pub fn conversations(
        &self,
        questions: &[Question],
        observer: &dyn Observer,
    ) -> Result<Vec<Conversation>> {
        let (mut all, mut faults) = (Vec::new(), Faults::default());
        let (mut cut, mut untold) = (0, 0);
        for question in questions {
            let mut one = || {
                let document = match (&question.knowledge, self.knowledge) {
                    (Some(name), Some(knowledge)) => Some(knowledge.document(name)?),
                    (Some(_), None) => {
                        untold += 1;
                        None
                    }
                    (None, _) => None,
                };
                cut += usize::from(document.as_ref().is_some_and(|document| document.cut));
                let setting = Setting {
                    dialect: self.home.dialect(&question.db)?,
                    turns: self.turns,
                    knowledge: document.as_ref().map(|document| document.text.as_str()),
                    tools: self.tools,
                };
                self.protocol.begin(&question.asked, &setting)
            };
            match one().with_context(|| question.place.clone()) {
                Ok(begun) => all.push(begun),
                Err(fault) => faults.add(fault),
            }
        }
        faults.refuse()?;
        if untold > 0 {
            observer.note(format_args!(
                "{untold} rows name a document ({KNOWLEDGE}) that their prompts do not have: --knowledge says where they are"
            ));
        }
        if cut > 0 {
            observer.note(format_args!(
                "the documents of {cut} rows are longer than a prompt has of them, and were cut"
            ));
        }
        Ok(all)
    }

    /// The same as tokens.
    pub fn tasks(
        &self,
        questions: &[Question],
        renderer: &Renderer,
        observer: &dyn Observer,
    ) -> Result<Vec<Task>> {
        let begun = self.conversations(questions, observer)?;
        let tasks = questions.iter().zip(&begun).map(|(question, begun)| {
            let prompt = renderer.prompt(begun);
            Ok(Task {
                db: question.db.clone(),
                prompt: prompt.with_context(|| question.place.clone())?,
            })
        });
        tasks.collect()
    }
}
