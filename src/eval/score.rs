//! The scorer: one row in, one scored row out. Everything but `elapsed_ms` is a function of the row, its database and the
//! run's time of day.

use super::example::Example;
use super::modes::{Execution, Mode, Texts};
use super::session::Session;
use super::shown::Shown;
use super::standard::Standard;
use crate::data::jsonl;
use crate::sql::error::SqlError;
use crate::sql::extract::Extraction;
use crate::sql::taxonomy::classify;
use crate::sql::value::Row;
use anyhow::{Context, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Duration;

/// The kind of failure of a row that the model gave no answer to.
pub const NO_ANSWER: &str = "sql_no_answer";

/// What scoring a row found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scores {
    /// One column a metric of every mode, and one for its points; null where the row lacks the mode's fields.
    #[serde(flatten)]
    pub verdicts: Map<String, Value>,
    /// Why the model's query gave no rows.
    pub predicted_error: Option<String>,
    /// Why the reference query gave no rows: a fault of the dataset.
    pub gold_error: Option<String>,
    /// What the model's query returned, only where it did not match; its first rows.
    pub predicted_rows: Option<Shown>,
    /// What the reference query returned, only where it was not matched; its first rows.
    pub gold_rows: Option<Shown>,
    /// Whether either of them was too large to be shown so far; left out where not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rows_cut: bool,
    /// The kind of failure; null for a row that passed.
    pub failure_type: Option<String>,
}

/// Scores a row by every mode that it has the fields for, which `suits` tells.
pub fn score(
    texts: &Texts,
    modes: &[&dyn Mode],
    suits: impl Fn(&dyn Mode) -> bool,
    session: &mut Session,
) -> Scores {
    // The first mode that can score the row decides whether it failed, and its results say how.
    let mut first = None;
    let mut verdicts = Map::new();
    for mode in modes {
        session.begin_mode();
        let verdict = suits(*mode).then(|| mode.score(texts, session));
        for (at, metric) in mode.metrics().iter().enumerate() {
            let answer = verdict.as_ref().map(|verdict| verdict.passed[at]);
            verdicts.insert(metric.column.to_owned(), answer.into());
        }
        if let Some(points) = mode.points() {
            let earned = verdict.as_ref().map(|verdict| verdict.points);
            verdicts.insert(points.column.to_owned(), earned.into());
        }
        first = first.or(verdict);
    }
    let passed = first
        .as_ref()
        .and_then(|verdict| verdict.passed.first().copied());
    let execution = first.and_then(|verdict| verdict.execution);
    let failed = passed != Some(true);
    let (predicted, gold) = match &execution {
        Some(Execution { predicted, gold }) => (Some(predicted.as_ref()), Some(gold.as_ref())),
        None => (None, None),
    };
    let error = |result: Option<&Result<_, SqlError>>| result?.as_ref().err().cloned();
    let most = session.options().shown;
    let mut rows_cut = false;
    let mut rows = |result: Option<&Result<Vec<Row>, SqlError>>| {
        let rows = result?.as_ref().ok().filter(|_| failed)?;
        let (shown, cut) = Shown::of(rows, most);
        rows_cut |= cut;
        Some(shown)
    };
    let predicted_error = error(predicted);
    let failure = || classify(texts.scored, texts.gold, predicted_error.as_ref()).to_owned();
    Scores {
        verdicts,
        gold_error: error(gold).map(|error| error.to_string()),
        predicted_rows: rows(predicted),
        gold_rows: rows(gold),
        rows_cut,
        failure_type: failed.then(failure),
        predicted_error: predicted_error.map(|error| error.to_string()),
    }
}

/// The scores of a row that fails whatever was predicted.
pub fn failed(modes: &[&dyn Mode], suits: impl Fn(&dyn Mode) -> bool, error: &SqlError) -> Scores {
    Scores {
        predicted_error: Some(error.to_string()),
        failure_type: Some(classify(Some(""), "", Some(error)).to_owned()),
        ..fails(modes, suits)
    }
}

/// The scores of a row that the model gave no answer to.
pub fn unanswered(modes: &[&dyn Mode], suits: impl Fn(&dyn Mode) -> bool) -> Scores {
    Scores {
        failure_type: Some(NO_ANSWER.to_owned()),
        ..fails(modes, suits)
    }
}

fn fails(modes: &[&dyn Mode], suits: impl Fn(&dyn Mode) -> bool) -> Scores {
    let mut scores = Scores::default();
    for mode in modes {
        let answer = suits(*mode).then_some(false);
        for metric in mode.metrics() {
            scores
                .verdicts
                .insert(metric.column.to_owned(), answer.into());
        }
        if let Some(points) = mode.points() {
            let none = answer.map(|_| 0.0);
            let column = points.column.to_owned();
            scores.verdicts.insert(column, none.into());
        }
    }
    scores
}

/// A scored row; the order of the fields is the order in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScoredRow {
    /// 0-based place among the rows.
    pub index: usize,
    /// The row's own name.
    pub id: Option<String>,
    /// The database's name.
    pub db: Option<String>,
    /// The question asked.
    pub question: Option<String>,
    /// The model's whole reply.
    pub predicted_sql: String,
    /// The query found in it; empty when there is none, or the reply is refused.
    pub scored_sql: String,
    /// The reference query.
    pub gold_sql: String,
    /// Gold results in files, for rows that have them.
    #[serde(flatten)]
    pub standard: Standard,
    /// What scoring found.
    #[serde(flatten)]
    pub scores: Scores,
    /// Wall time of scoring this row.
    pub elapsed_ms: u64,
}

impl ScoredRow {
    /// Puts what scoring found beside the row.
    pub fn new(example: &Example, scores: Scores, extract: Extraction, elapsed: Duration) -> Self {
        let text = |field| example.text(field).map(str::to_owned);
        let predicted_sql = text("predicted_sql").unwrap_or_default();
        Self {
            index: example.index,
            id: text("id"),
            db: text("db"),
            question: text("question"),
            scored_sql: extract
                .find(&predicted_sql)
                .query()
                .unwrap_or_default()
                .to_owned(),
            predicted_sql,
            gold_sql: text("gold_sql").unwrap_or_default(),
            standard: example.standard.clone(),
            scores,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Whether the row passed the first metric of the first mode that could score it.
    pub fn passed(&self) -> bool {
        self.scores.failure_type.is_none()
    }

    /// A metric's answer; `None` where its mode could not score the row.
    pub fn verdict(&self, column: &str) -> Option<bool> {
        self.scores.verdicts.get(column).and_then(Value::as_bool)
    }

    /// A mode's points; `None` where it could not score the row.
    pub fn points(&self, column: &str) -> Option<f64> {
        self.scores.verdicts.get(column).and_then(Value::as_f64)
    }
}

/// The rows of a file that `eval-sql --out` wrote.
pub fn read(path: &Path) -> Result<Vec<ScoredRow>, Error> {
    let lines = jsonl::read_own(path)?;
    let row = |line: jsonl::Line| {
        let number = line.number;
        let row = serde_json::from_value(line.into_fields().into());
        row.with_context(|| format!("{}:{number}: no row of `eval-sql --out`", path.display()))
    };
    lines.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing;
    use serde_json::json;

    fn scored(fields: Value, names: &[&str]) -> ScoredRow {
        let schema = "CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (NULL);";
        testing::scored(schema, fields, names).1
    }

    #[test]
    fn a_failed_row_has_these_fields_in_this_order() {
        let row = scored(
            json!({"id": "r", "db": "x.db", "gold_sql": "select a from t", "predicted_sql": "So: select 1; ok"}),
            &["factory"],
        );
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"index":3,"id":"r","db":"x.db","question":null,"predicted_sql":"So: select 1; ok","#,
                r#""scored_sql":"select 1;","gold_sql":"select a from t","exec_match":false,"exact_match":false,"#,
                r#""predicted_error":null,"gold_error":null,"predicted_rows":[["1"]],"gold_rows":[["1"],["2"],[null]],"#,
                r#""failure_type":"sql_wrong_result","elapsed_ms":7}"#
            )
        );
    }

    #[test]
    fn a_passed_row_shows_no_rows() {
        let row = scored(
            json!({"db": "x.db", "gold_sql": "select a from t;", "predicted_sql": "SELECT a FROM t ORDER BY a"}),
            &["factory"],
        );
        assert!(row.passed());
        assert_eq!(row.verdict("exec_match"), Some(true));
        assert_eq!(row.verdict("exact_match"), Some(false));
        assert_eq!(
            (row.scores.predicted_rows, row.scores.gold_rows),
            (None, None)
        );
    }

    #[test]
    fn no_select_runs_nothing() {
        let row = scored(
            json!({"db": "x.db", "gold_sql": "select nope", "predicted_sql": "No."}),
            &["factory"],
        );
        assert_eq!(row.scores.failure_type, Some("sql_no_select".to_owned()));
        assert_eq!((row.scored_sql.as_str(), row.scores.gold_error), ("", None));
    }

    #[test]
    fn a_broken_reference_never_matches() {
        let row = scored(
            json!({"db": "x.db", "gold_sql": "select nope", "predicted_sql": "select nope"}),
            &["factory"],
        );
        assert_eq!(row.verdict("exec_match"), Some(false));
        assert_eq!(
            row.scores.gold_error.as_deref(),
            Some("no such column: nope")
        );
    }

    #[test]
    fn a_mode_without_its_fields_leaves_null() {
        let row = scored(
            json!({"gold_sql": "select a", "predicted_sql": "```SELECT  a```"}),
            &["factory", "public-exact"],
        );
        assert_eq!(row.scores.verdicts["exec_match"], Value::Null);
        assert_eq!(row.verdict("public_exact_match"), Some(true));
        assert!(row.passed());
    }
}
