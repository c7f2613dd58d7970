//! The factory's own mode: the same rows from the database, and the same text.

use super::{Execution, Metric, Mode, Verdict};
use crate::eval::example::Example;
use crate::sql::compare::same_rows;
use crate::sql::execute::Sandbox;
use crate::sql::normalize::collapse;

pub(super) struct Factory;

impl Mode for Factory {
    fn name(&self) -> &'static str {
        "factory"
    }

    fn label(&self) -> &'static str {
        "sql"
    }

    fn fields(&self) -> &'static [&'static str] {
        &["predicted_sql", "gold_sql", "db"]
    }

    fn metrics(&self) -> &'static [Metric] {
        &[
            Metric {
                column: "exec_match",
                mean: "execution_accuracy",
            },
            Metric {
                column: "exact_match",
                mean: "exact_match",
            },
        ]
    }

    fn score(&self, example: &Example, scored: Option<&str>, sandbox: &mut Sandbox) -> Verdict {
        let Some(scored) = scored else {
            return Verdict {
                passed: vec![false, false],
                execution: None,
            };
        };
        let gold = example.text("gold_sql").unwrap_or_default();
        let db = example.text("db").unwrap_or_default();
        let execution = Execution {
            predicted: sandbox.run(db, scored),
            gold: sandbox.run(db, gold),
        };
        let same = match (&execution.predicted, &execution.gold) {
            (Ok(predicted), Ok(gold)) => same_rows(predicted, gold),
            _ => false,
        };
        Verdict {
            passed: vec![same, collapse(scored) == collapse(gold)],
            execution: Some(execution),
        }
    }
}
