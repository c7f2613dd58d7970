//! Spider2-lite's file of questions: `instance_id`, `db`, `question`, and `external_knowledge` where a document goes with it.

use super::tasks::Question;
use crate::data::jsonl;
use crate::data::record;
use crate::db::home::Home;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// The questions.
pub struct Spider2 {
    /// Those whose database is there.
    pub questions: Vec<Question>,
    /// How many others there are.
    pub absent: usize,
}

impl Spider2 {
    /// Reads them. Errors name what is missing in a line, and where no database is there.
    pub fn read(path: &Path, home: &Home, follow_links: bool) -> Result<Self> {
        let mut questions = Vec::new();
        let lines = jsonl::read_as(path, |line| {
            let db = match line.optional_str(path, "db")? {
                Some(db) => db,
                None => line.str(path, "db_id")?,
            };
            let asked = record::user(line.str(path, "question")?.to_owned());
            let id = line.str(path, "instance_id")?.to_owned();
            let question = Question::new(path, &line, line.fields(), db, asked)?;
            Ok(Question {
                id: Some(id),
                ..question
            })
        })?;
        let (all, mut first) = (lines.len(), None);
        for question in lines {
            match home.locate(&question.db, follow_links) {
                Ok(_) => questions.push(question),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        if questions.is_empty()
            && let Some(error) = first
        {
            return Err(error)
                .with_context(|| format!("{}: no question's database is there", path.display()));
        }
        ensure!(all > 0, "{}: there are no questions", path.display());
        Ok(Self {
            absent: all - questions.len(),
            questions,
        })
    }
}
