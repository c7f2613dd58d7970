//! The factory's own mode: the same rows from the database, and the same text.

use super::{Execution, Metric, Mode, Texts, Verdict, execute, execution_fault, refusal};
use crate::eval::session::{Outcome, Session};
use crate::sql::compare::same_text;
use crate::sql::error::SqlError;
use crate::sql::normalize::plain;

pub(super) struct Factory;

impl Mode for Factory {
    fn name(&self) -> &'static str {
        "factory"
    }

    fn label(&self) -> &'static str {
        "sql"
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

    fn gold_fault(&self, texts: &Texts, session: &mut Session) -> Option<SqlError> {
        execution_fault(session, texts.db, texts.gold)
    }

    fn score(&self, texts: &Texts, session: &mut Session) -> Verdict {
        if let Some(statement) = texts.refused {
            let refused = refusal(statement);
            let gold = match session.locate(texts.db) {
                Ok(files) => session.gold(&files[0], texts.gold, false),
                Err(error) => Outcome::new(Err(error)),
            };
            return Verdict {
                passed: vec![false, false],
                execution: Some(Execution {
                    predicted: Outcome::new(Err(refused)),
                    gold,
                }),
                ..Verdict::default()
            };
        }
        let Some(scored) = texts.scored else {
            return Verdict {
                passed: vec![false, false],
                ..Verdict::default()
            };
        };
        let execution = execute(session, texts.db, scored, texts.gold);
        let same = match (execution.predicted.as_ref(), execution.gold.as_ref()) {
            (Ok(predicted), Ok(gold)) => same_text(predicted, gold),
            _ => false,
        };
        Verdict {
            passed: vec![same, plain(scored) == plain(texts.gold)],
            execution: Some(execution),
            ..Verdict::default()
        }
    }
}
