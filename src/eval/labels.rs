//! Failed rows with the kind of their failure: what to look at, and what to make data of.

use super::example::Example;
use super::score::ScoredRow;
use serde::Serialize;

/// One failed row.
#[derive(Clone, Debug, Serialize)]
pub struct Label<'a> {
    pub index: usize,
    pub id: Option<&'a str>,
    pub domain: Option<&'a str>,
    pub question: Option<&'a str>,
    pub failure_type: &'a str,
    pub predicted_sql: &'a str,
    pub scored_sql: &'a str,
    pub gold_sql: &'a str,
    pub predicted_error: Option<&'a str>,
}

/// The failed rows, in their order. `rows` are the scored `examples`.
pub fn labels<'a>(examples: &'a [Example], rows: &'a [ScoredRow]) -> Vec<Label<'a>> {
    let pairs = examples.iter().zip(rows);
    let label = |(example, row): (&'a Example, &'a ScoredRow)| {
        Some(Label {
            index: row.index,
            id: row.id.as_deref(),
            domain: example.text("domain"),
            question: row.question.as_deref(),
            failure_type: row.scores.failure_type.as_deref()?,
            predicted_sql: &row.predicted_sql,
            scored_sql: &row.scored_sql,
            gold_sql: &row.gold_sql,
            predicted_error: row.scores.predicted_error.as_deref(),
        })
    };
    pairs.filter_map(label).collect()
}
