//! What is odd about a reference query: a data set's own mistakes, found before a model is blamed for them.

use super::modes::{Mode, Texts};
use super::session::{Outcome, Session};
use crate::sql::bare;
use crate::sql::compare::same_text;
use crate::sql::determined;
use crate::sql::execute::SqlError;
use crate::sql::ties::with_tie_break;
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
    let mut both_ways =
        |sql: &str| [false, true].map(|reversed| session.gold(&file, sql, reversed));
    let [forwards, backwards] = both_ways(texts.gold);
    let (forwards, backwards) = match (forwards.as_ref(), backwards.as_ref()) {
        (Ok(forwards), Ok(backwards)) => (forwards, backwards),
        (Err(error), _) | (_, Err(error)) => return Some(Finding::fails(error)),
    };
    if forwards.is_empty() {
        return Some(finding("gold_empty", "returns no rows"));
    }
    if !same_text(forwards, backwards) {
        let detail = "returns other rows when tables are walked backwards: a LIMIT or an aggregate without ORDER BY";
        return Some(finding("gold_unordered", detail));
    }
    // Where the changed query does not run, as behind UNION, nothing is said of ties.
    if let Some(sql) = with_tie_break(texts.gold) {
        let [up, down] = both_ways(&sql);
        if differ(&up, &down) {
            let detail = "returns other rows when ties are decided the other way: an ORDER BY before a LIMIT or of a window is not full";
            return Some(finding("gold_unordered", detail));
        }
    }
    let [least, most] = ["min", "max"].map(|function| bare::within(texts.gold, function));
    let least = session.gold(&file, &least?, false);
    let most = session.gold(&file, &most?, false);
    let detail =
        "a result is neither grouped by nor aggregated, and the rows of a group differ in it";
    differ(&least, &most).then(|| finding("gold_bare_column", detail))
}

/// Whether both ran and gave other rows.
fn differ(one: &Outcome, other: &Outcome) -> bool {
    match (one.as_ref(), other.as_ref()) {
        (Ok(one), Ok(other)) => !same_text(one, other),
        _ => false,
    }
}
