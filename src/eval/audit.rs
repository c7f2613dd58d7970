//! What is odd about a reference query: a data set's own mistakes, found before a model is blamed for them.

use super::modes::{Mode, Texts};
use super::session::Session;
use super::standard::Standard;
use crate::sql::determined::{self, Open};
use crate::sql::error::SqlError;
use serde::{Deserialize, Serialize};

/// One oddity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `gold_fails`, `gold_empty`, `gold_random`, `gold_clock`, `gold_unordered`, `gold_bare_column` or `gold_not_itself`.
    pub kind: String,
    /// In words.
    pub detail: String,
}

impl Finding {
    /// The query gives no rows at all.
    pub fn fails(error: &SqlError) -> Self {
        finding("gold_fails", error.to_string())
    }
}

fn finding(kind: &str, detail: impl Into<String>) -> Finding {
    Finding {
        kind: kind.to_owned(),
        detail: detail.into(),
    }
}

/// Looks at the reference query of a row by the modes that suit it. A query that fails is only said to fail.
pub fn audit(texts: &Texts, modes: &[&'static dyn Mode], session: &mut Session) -> Vec<Finding> {
    for mode in modes {
        if let Some(fault) = mode.gold_fault(texts, session) {
            return vec![finding(
                "gold_fails",
                format!("{fault} (mode {})", mode.name()),
            )];
        }
    }
    let in_files = |standard: &Standard| standard.gold_csv.is_some();
    if texts.gold.is_empty() && texts.standard.is_some_and(in_files) {
        // There is no more to say of files.
        return Vec::new();
    }
    let mut findings = Vec::new();
    if let Some(function) = determined::chance(texts.gold) {
        findings.push(finding("gold_random", format!("calls {function}()")));
    }
    if determined::clock(texts.gold) {
        findings.push(finding("gold_clock", "asks for the time of day"));
    }
    if !texts.db.is_empty() {
        findings.extend(of_rows(texts, session));
    }
    let found = session.options().rules.extract.find(texts.gold);
    let as_prediction = Texts {
        predicted: texts.gold,
        scored: found.query(),
        refused: found.refused(),
        ..*texts
    };
    for mode in modes {
        session.begin_mode();
        let verdict = mode.score(&as_prediction, session);
        if verdict.passed.contains(&false) {
            let detail = format!("does not match itself under mode {}", mode.name());
            findings.push(finding("gold_not_itself", detail));
        }
    }
    findings
}

/// No rows, or rows that depend on an order which the query leaves open.
fn of_rows(texts: &Texts, session: &mut Session) -> Option<Finding> {
    let file = match session.locate(texts.db) {
        Ok(files) => files.into_iter().next()?,
        Err(error) => return Some(Finding::fails(&error)),
    };
    let forwards = session.gold(&file, texts.gold, false);
    let rows = match forwards.as_ref() {
        Ok(rows) if rows.is_empty() => return Some(finding("gold_empty", "returns no rows")),
        Ok(rows) => rows,
        Err(error) => return Some(Finding::fails(error)),
    };
    let (kind, detail) = match determined::left_open(texts.gold, rows, |sql, reversed| {
        session.gold(&file, sql, reversed)
    }) {
        Err(error) => return Some(Finding::fails(&error)),
        Ok(open) => match open? {
            Open::Walk => (
                "gold_unordered",
                "returns other rows when tables are walked backwards: a LIMIT or an aggregate without ORDER BY",
            ),
            Open::Ties => (
                "gold_unordered",
                "returns other rows when ties are decided the other way: an ORDER BY before a LIMIT or of a window is not full",
            ),
            Open::BareColumn => (
                "gold_bare_column",
                "a result is neither grouped by nor aggregated, and the rows of a group differ in it",
            ),
        },
    };
    Some(finding(kind, detail))
}
