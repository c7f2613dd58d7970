//! Spider's test-suite accuracy: the same bag of rows under any order of the columns, on every database of the suite. Row
//! order matters where the reference says `order by`. The reply is run as it stands.
//!
//! Unlike the original, a statement that is no query never matches an empty result, `value` in a prediction is not replaced
//! by 1, and columns that are all alike are no endless work.

use super::{Execution, Metric, Mode, Texts, Verdict};
use crate::eval::session::{Outcome, Session};
use crate::sql::compare::same_under_permutation;
use crate::sql::error::SqlError;
use crate::sql::normalize::test_suite;

pub(super) struct SpiderTs;

impl Mode for SpiderTs {
    fn name(&self) -> &'static str {
        "spider-ts"
    }

    fn metrics(&self) -> &'static [Metric] {
        &[Metric {
            column: "spider_ts_match",
            mean: "execution_accuracy",
        }]
    }

    fn gold_fault(&self, texts: &Texts, session: &mut Session) -> Option<SqlError> {
        let gold = test_suite(texts.gold, session.options().keep_distinct);
        let files = match session.locate(texts.db) {
            Ok(files) => files,
            Err(error) => return Some(error),
        };
        let mut outcomes = files.iter().map(|file| session.gold(file, &gold, false));
        outcomes.find_map(|outcome| outcome.as_ref().as_ref().err().cloned())
    }

    fn score(&self, texts: &Texts, session: &mut Session) -> Verdict {
        let keep_distinct = session.options().keep_distinct;
        let gold = test_suite(texts.gold, keep_distinct);
        let predicted = test_suite(texts.predicted.trim(), keep_distinct);
        let ordered = gold.to_lowercase().contains("order by");
        let fails = |error: SqlError| Outcome::new(Err(error));
        let files = match session.locate(texts.db) {
            Ok(files) => files,
            Err(error) => return verdict(false, fails(error.clone()), fails(error)),
        };
        let mut last = None;
        for file in &files {
            let outcome = session.gold(file, &gold, false);
            let found = session.predicted(file, &predicted);
            let same = match (found.as_ref(), outcome.as_ref()) {
                (Ok(found), Ok(expected)) => same_under_permutation(expected, found, ordered),
                _ => Some(false),
            };
            match same {
                Some(true) => last = Some((found, outcome)),
                Some(false) => return verdict(false, found, outcome),
                None => {
                    let reason = "the columns are too alike to compare".to_owned();
                    return verdict(false, fails(SqlError::ResourceLimit(reason)), outcome);
                }
            }
        }
        match last {
            Some((found, outcome)) => verdict(true, found, outcome),
            // A located database has at least its own file.
            None => Verdict {
                passed: vec![false],
                ..Verdict::default()
            },
        }
    }
}

fn verdict(passed: bool, predicted: Outcome, gold: Outcome) -> Verdict {
    Verdict {
        passed: vec![passed],
        execution: Some(Execution { predicted, gold }),
        ..Verdict::default()
    }
}
