//! BIRD's soft F1: how many cells of each row are right. A row passes where all are. The reply is run as it stands.

use super::{Metric, Mode, Points, Texts, Verdict, execute, execution_fault};
use crate::eval::session::Session;
use crate::sql::compare::soft_f1;
use crate::sql::error::SqlError;

pub(super) struct SoftF1;

impl Mode for SoftF1 {
    fn name(&self) -> &'static str {
        "soft-f1"
    }

    fn metrics(&self) -> &'static [Metric] {
        &[Metric {
            column: "soft_f1_match",
            mean: "perfect",
        }]
    }

    fn points(&self) -> Option<&'static Points> {
        Some(&Points {
            column: "soft_f1",
            mean: "soft_f1",
            timed: false,
        })
    }

    fn gold_fault(&self, texts: &Texts, session: &mut Session) -> Option<SqlError> {
        execution_fault(session, texts.db, texts.gold)
    }

    fn score(&self, texts: &Texts, session: &mut Session) -> Verdict {
        let execution = execute(session, texts.db, texts.predicted.trim(), texts.gold);
        let points = match (execution.predicted.as_ref(), execution.gold.as_ref()) {
            (Ok(predicted), Ok(gold)) => soft_f1(predicted, gold),
            _ => 0.0,
        };
        Verdict {
            // Nothing extra and nothing missing is exactly 1.
            passed: vec![points == 1.0],
            points,
            execution: Some(execution),
            ..Verdict::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::eval::testing::scored;
    use serde_json::json;

    fn of(predicted: &str) -> (Option<bool>, Option<f64>) {
        let schema = "CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y');";
        let fields =
            json!({"db": "x", "gold_sql": "select a, b from t", "predicted_sql": predicted});
        let (_, row) = scored(schema, fields, &["soft-f1"]);
        (row.verdict("soft_f1_match"), row.points("soft_f1"))
    }

    #[test]
    fn a_row_passes_only_where_every_cell_is_right() {
        assert_eq!(of("select b, a from t"), (Some(true), Some(1.0)));
        assert_eq!(of("select a, 'z' from t"), (Some(false), Some(0.5)));
        assert_eq!(of("select nope from t"), (Some(false), Some(0.0)));
    }
}
