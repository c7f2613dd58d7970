//! BIRD's execution accuracy: the same set of rows. Duplicates and row order are ignored, column order is not. The reply is
//! run as it stands.

use super::{Metric, Mode, Texts, Verdict, execute, execution_fault};
use crate::eval::session::Session;
use crate::sql::compare::same_set;
use crate::sql::error::SqlError;

pub(super) struct BirdEx;

impl Mode for BirdEx {
    fn name(&self) -> &'static str {
        "bird-ex"
    }

    fn metrics(&self) -> &'static [Metric] {
        &[Metric {
            column: "bird_ex_match",
            mean: "execution_accuracy",
        }]
    }

    fn gold_fault(&self, texts: &Texts, session: &mut Session) -> Option<SqlError> {
        execution_fault(session, texts.db, texts.gold)
    }

    fn score(&self, texts: &Texts, session: &mut Session) -> Verdict {
        let execution = execute(session, texts.db, texts.predicted.trim(), texts.gold);
        let same = match (execution.predicted.as_ref(), execution.gold.as_ref()) {
            (Ok(predicted), Ok(gold)) => same_set(predicted, gold),
            _ => false,
        };
        Verdict {
            passed: vec![same],
            execution: Some(execution),
            ..Verdict::default()
        }
    }
}
