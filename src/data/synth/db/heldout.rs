//! What others hold out: questions and queries that a set must not have.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::data::jsonl;
use crate::data::overlap::answer_of;
use crate::data::set::flat;
use crate::sql::normalize::canonical;

/// Questions and queries of held-out rows.
#[derive(Default)]
pub struct HeldOut {
    questions: BTreeSet<String>,
    queries: BTreeSet<String>,
}

impl HeldOut {
    /// Reads rows (JSONL).
    ///
    /// # Errors
    /// One that names the row without a query: nothing could be kept apart from it.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let mut held = Self::default();
        for file in files {
            for line in jsonl::read(file)? {
                let query = answer_of(&line);
                ensure!(
                    query.is_some(),
                    "{}:{}: the row has no query in gold_sql, response, completion or output",
                    file.display(),
                    line.number
                );
                held.queries.extend(query.map(canonical));
                let question = line.fields().get("question").and_then(Value::as_str);
                held.questions.extend(question.map(flat));
            }
        }
        Ok(held)
    }

    /// Whether a held-out row asks or answers the same.
    pub fn has(&self, question: &str, sql: &str) -> bool {
        !self.queries.is_empty()
            && (self.queries.contains(&canonical(sql)) || self.questions.contains(&flat(question)))
    }
}
