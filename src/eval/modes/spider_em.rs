//! Spider's exact set match: the same clauses, each as a set, whatever the literals. The reply is read as it stands, nothing
//! runs; the database gives tables, columns and foreign keys.

use super::{Metric, Mode, Texts, Verdict};
use crate::eval::session::Session;
use crate::sql::error::SqlError;
use crate::sql::spider::exact_set_match;

pub(super) struct SpiderEm;

impl Mode for SpiderEm {
    fn name(&self) -> &'static str {
        "spider-em"
    }

    fn metrics(&self) -> &'static [Metric] {
        &[Metric {
            column: "spider_em_match",
            mean: "exact_match",
        }]
    }

    fn gold_fault(&self, texts: &Texts, session: &mut Session) -> Option<SqlError> {
        matches(texts.gold, texts, session).err()
    }

    fn score(&self, texts: &Texts, session: &mut Session) -> Verdict {
        let same = matches(texts.predicted.trim(), texts, session);
        Verdict {
            passed: vec![same.unwrap_or(false)],
            ..Verdict::default()
        }
    }
}

fn matches(predicted: &str, texts: &Texts, session: &mut Session) -> Result<bool, SqlError> {
    let files = session.locate(texts.db)?;
    let schema = session.schema(&files[0])?;
    exact_set_match(predicted, texts.gold, &schema)
        .map_err(|fault| SqlError::Sql(fault.to_string()))
}
