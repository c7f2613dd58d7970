//! The rows as they are written.

use super::Request;
use super::source::Usable;
use serde::Serialize;

/// A row to train on.
#[derive(Serialize)]
pub struct TrainRow<'a> {
    id: String,
    source: &'a str,
    source_index: usize,
    pub curriculum: &'static str,
    instruction: String,
    response: &'a str,
}

/// A held-out row.
#[derive(Serialize)]
pub struct DevRow<'a> {
    id: String,
    source: &'a str,
    source_index: usize,
    curriculum: &'static str,
    question: &'a str,
    schema: &'a str,
    prompt: String,
    gold_sql: &'a str,
}

/// Each row as often as its bucket weighs.
pub fn train<'a>(rows: &'a [Usable], request: &'a Request) -> Vec<TrainRow<'a>> {
    let mut train = Vec::new();
    for row in rows {
        let times = request.weights.get(row.bucket).copied().unwrap_or(1);
        for time in 0..times {
            let mut id = id(row, request, "train");
            if !request.weights.is_empty() {
                id.push_str(&format!("-w{time}"));
            }
            train.push(TrainRow {
                id,
                source: &request.source,
                source_index: row.index,
                curriculum: row.bucket,
                instruction: prompt(row, request),
                response: &row.sql,
            });
        }
    }
    train
}

pub fn dev<'a>(rows: &'a [Usable], request: &'a Request) -> Vec<DevRow<'a>> {
    let row = |row: &'a Usable| DevRow {
        id: id(row, request, "dev"),
        source: &request.source,
        source_index: row.index,
        curriculum: row.bucket,
        question: &row.question,
        schema: &row.schema,
        prompt: prompt(row, request),
        gold_sql: &row.sql,
    };
    rows.iter().map(row).collect()
}

pub fn prompt(row: &Usable, request: &Request) -> String {
    let parts = [("schema", &*row.schema), ("question", &*row.question)];
    request.prompt.fill(&parts)
}

/// `bmc2-train-00068` of b-mc2/sql-create-context.
pub fn id(row: &Usable, request: &Request, split: &str) -> String {
    let owner = request.source.split('/').next().unwrap_or_default();
    let owner: String = owner.chars().filter(|c| c.is_alphanumeric()).collect();
    format!("{owner}-{split}-{:05}", row.index)
}
