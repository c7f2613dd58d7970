//! The questions of a benchmark, and the rows that are made of them.

use super::{Benchmark, Files};
use crate::data::curriculum::bucket;
use crate::data::jsonl::{self, Faults, Line};
use crate::data::prompt::Prompt;
use crate::data::set::{flat, rank};
use crate::sql::normalize::plain;
use anyhow::Result;
use serde::Serialize;

/// A question as it was read.
pub struct Question {
    pub id: String,
    pub db: String,
    pub sql: String,
    /// The database's tables, in one line.
    pub schema: String,
    source: &'static str,
    question: String,
    evidence: String,
    difficulty: Option<String>,
}

/// A row to train on.
#[derive(Serialize)]
pub struct TrainRow<'a> {
    id: &'a str,
    source: &'a str,
    domain: &'a str,
    curriculum: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    evidence: &'a str,
    instruction: String,
    response: &'a str,
}

/// A held-out row.
#[derive(Serialize)]
pub struct DevRow<'a> {
    id: &'a str,
    source: &'a str,
    domain: &'a str,
    curriculum: &'a str,
    /// How hard the benchmark finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    slice: Option<&'a str>,
    question: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    evidence: &'a str,
    prompt: String,
    gold_sql: &'a str,
    db: &'a str,
}

/// Reads the questions of a split, and the file's SHA-256. All bad rows are named in one error.
pub fn read(files: &Files, benchmark: Benchmark, split: &str) -> Result<(Vec<Question>, String)> {
    let (mut questions, mut faults) = (Vec::new(), Faults::default());
    let sha256 = jsonl::for_each(&files.rows, |number, line| {
        let question = line.and_then(|line| Question::read(files, benchmark, split, number, &line));
        match question {
            Ok(question) => questions.push(question),
            Err(fault) => faults.add(fault),
        }
        Ok(())
    })?;
    faults.refuse()?;
    Ok((questions, sha256))
}

/// So many of the questions, in their order.
pub fn choose(questions: Vec<Question>, wanted: Option<usize>, seed: u64) -> Vec<Question> {
    let Some(wanted) = wanted.filter(|wanted| *wanted < questions.len()) else {
        return questions;
    };
    let mut order: Vec<usize> = (0..questions.len()).collect();
    order.sort_by_cached_key(|at| rank(seed, &[&questions[*at].id]));
    let mut chosen = vec![false; questions.len()];
    order
        .into_iter()
        .take(wanted)
        .for_each(|at| chosen[at] = true);
    let all = questions.into_iter().zip(chosen);
    all.filter_map(|(question, chosen)| chosen.then_some(question))
        .collect()
}

impl Question {
    fn read(
        files: &Files,
        benchmark: Benchmark,
        split: &str,
        number: usize,
        line: &Line,
    ) -> Result<Self> {
        let path = &files.rows;
        let text = |field| line.str(path, field).map(|text| text.trim().to_owned());
        let query = match benchmark {
            Benchmark::Spider => "query",
            Benchmark::Bird => "SQL",
        };
        let optional = |field| {
            line.optional_str(path, field)
                .map(|text| text.map(|text| text.trim().to_owned()))
        };
        let sql = text(query)?;
        Ok(Self {
            id: format!("{}-{split}-{:05}", benchmark.name(), number - 1),
            db: text("db_id")?,
            sql: format!(
                "{};",
                sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace())
            ),
            schema: String::new(),
            source: benchmark.name(),
            question: text("question")?,
            evidence: optional("evidence")?.unwrap_or_default(),
            difficulty: optional("difficulty")?,
        })
    }

    /// What no row of another split may share: the question, and the query, each of its database.
    pub fn keys(&self) -> [(String, String, &'static str); 2] {
        let key = |text, what| (self.db.clone(), text, what);
        [
            key(flat(&self.question), "question"),
            key(plain(&self.sql), "query"),
        ]
    }

    fn prompt(&self, prompt: &Prompt) -> String {
        prompt.fill(&[
            ("schema", &self.schema),
            ("evidence", &self.evidence),
            ("question", &self.question),
        ])
    }

    pub fn train(&self, prompt: &Prompt) -> TrainRow<'_> {
        TrainRow {
            id: &self.id,
            source: self.source,
            domain: &self.db,
            curriculum: bucket(&self.sql),
            evidence: &self.evidence,
            instruction: self.prompt(prompt),
            response: &self.sql,
        }
    }

    pub fn dev(&self, prompt: &Prompt) -> DevRow<'_> {
        DevRow {
            id: &self.id,
            source: self.source,
            domain: &self.db,
            curriculum: bucket(&self.sql),
            slice: self.difficulty.as_deref(),
            question: &self.question,
            evidence: &self.evidence,
            prompt: self.prompt(prompt),
            gold_sql: &self.sql,
            db: &self.db,
        }
    }
}
