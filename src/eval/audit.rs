//! What is odd about a reference query: a data set's own mistakes, found before a model is blamed for them.

use super::modes::{Mode, Texts};
use super::session::{Outcome, Session};
use crate::sql::compare::same_text;
use crate::sql::extract::extract;
use serde::{Deserialize, Serialize};

/// One oddity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `gold_fails`, `gold_empty`, `gold_unordered` or `gold_not_itself`.
    pub kind: String,
    /// In words.
    pub detail: String,
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
    if !texts.db.is_empty() {
        findings.extend(of_rows(texts, session));
    }
    let as_prediction = Texts {
        predicted: texts.gold,
        scored: extract(texts.gold),
        ..*texts
    };
    for mode in modes {
        let verdict = mode.score(&as_prediction, session);
        if verdict.passed.contains(&false) {
            let detail = format!("does not match itself under mode {}", mode.name());
            findings.push(finding("gold_not_itself", detail));
        }
    }
    findings
}

/// No rows, or rows that an order decides which the query leaves open.
fn of_rows(texts: &Texts, session: &mut Session) -> Option<Finding> {
    let files = session.locate(texts.db).ok()?;
    let mut run = |reversed| -> Outcome { session.gold(&files[0], texts.gold, reversed) };
    let (forwards, backwards) = (run(false), run(true));
    let (Ok(forwards), Ok(backwards)) = (forwards.as_ref(), backwards.as_ref()) else {
        return None;
    };
    if forwards.is_empty() {
        return Some(finding("gold_empty", "returns no rows"));
    }
    let same = same_text(forwards, backwards);
    (!same).then(|| {
        let detail = "returns other rows when tables are walked backwards: a LIMIT or an aggregate without a full ORDER BY";
        finding("gold_unordered", detail)
    })
}
