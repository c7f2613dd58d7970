//! The factory's own mode: the same rows from the database, and the same text. Where suites count, the rows are the same on every database of the
//! row's test suite.

use super::{Execution, Metric, Mode, Texts, Verdict, execute, refusal};
use crate::eval::session::{Outcome, Session};
use crate::sql::compare::same_text;
use crate::sql::error::SqlError;
use crate::sql::normalize::plain;
use std::path::{Path, PathBuf};

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
        let files = match files(texts, session) {
            Ok(files) => files,
            Err(error) => return Some(error),
        };
        files.iter().enumerate().find_map(|(at, file)| {
            let outcome = session.gold(file, texts.gold, false);
            let error = outcome.as_ref().as_ref().err()?;
            Some(match at {
                0 => error.clone(),
                _ => SqlError::Gold(format!("gold_sql gave no rows on {}: {error}", name(file))),
            })
        })
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
        let mut same = alike(&execution);
        let mut elsewhere = None;
        // The row's own is asked already.
        let others = files(texts, session).unwrap_or_default();
        for file in others.iter().skip(1) {
            if !same {
                break;
            }
            let execution = Execution {
                gold: session.gold(file, texts.gold, false),
                predicted: session.predicted(file, scored),
            };
            same = alike(&execution);
            let error = execution.predicted.as_ref().as_ref().err();
            elsewhere = error.map(|error| (name(file), error.clone()));
        }
        Verdict {
            passed: vec![same, plain(scored) == plain(texts.gold)],
            execution: Some(execution),
            elsewhere,
            ..Verdict::default()
        }
    }
}

/// Whether the two queries returned the same.
fn alike(execution: &Execution) -> bool {
    match (execution.predicted.as_ref(), execution.gold.as_ref()) {
        (Ok(predicted), Ok(gold)) => same_text(predicted, gold),
        _ => false,
    }
}

/// The databases that count: the row's own first, and where suites do the others of its suite.
fn files(texts: &Texts, session: &mut Session) -> Result<Vec<PathBuf>, SqlError> {
    let mut files = session.locate(texts.db)?;
    if !session.options().suites {
        files.truncate(1);
    }
    Ok(files)
}

/// What a database of a suite is called.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.display().to_string()
}
