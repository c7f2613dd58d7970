//! What was decided, and why.

use super::fact::{word, words};
use serde::Serialize;
use serde_json::Value;

/// The decision, for the head of the page.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// As decision.json has it; none while nothing is decided.
    pub word: Option<String>,
    /// In words.
    pub headline: String,
    /// `good`, `bad` or `open`.
    pub tone: &'static str,
    pub reason: Option<String>,
    pub next_action: Option<String>,
    pub failure_reason: Option<String>,
    pub confidence: Option<String>,
    pub lesson: Option<String>,
    pub evidence: Vec<String>,
    pub blocked_by: Vec<String>,
    /// What else the record says, such as who overruled the proposal.
    pub more: Vec<(String, String)>,
}

const KNOWN: [&str; 8] = [
    "decision",
    "reason",
    "failure_reason",
    "failure_reason_confidence",
    "lesson",
    "next_action",
    "evidence_sources",
    "blocked_by",
];

impl Decision {
    /// By decision.json, which may be null.
    pub fn of(record: &Value) -> Self {
        let text = |key: &str| word(&record[key]);
        let decision = text("decision");
        let (headline, tone) = named(decision.as_deref());
        let others = record.as_object().into_iter().flatten();
        let others = others.filter(|(key, _)| !KNOWN.contains(&key.as_str()));
        Self {
            word: decision,
            headline,
            tone,
            reason: text("reason"),
            next_action: text("next_action"),
            failure_reason: text("failure_reason"),
            // Of a failure that there is.
            confidence: text("failure_reason_confidence").filter(|word| word != "not-applicable"),
            lesson: text("lesson"),
            evidence: words(&record["evidence_sources"]),
            blocked_by: words(&record["blocked_by"]),
            more: others.flat_map(|(key, value)| flat(key, value)).collect(),
        }
    }
}

/// A record as lines: an object's keys are joined to its own.
fn flat(key: &str, value: &Value) -> Vec<(String, String)> {
    let key = key.replace('_', " ");
    match value {
        Value::Object(parts) => {
            let each = parts.iter().flat_map(|(inner, value)| flat(inner, value));
            each.map(|(inner, text)| (format!("{key}: {inner}"), text))
                .collect()
        }
        other => {
            let words = words(other).join(", ");
            (!words.is_empty())
                .then_some((key, words))
                .into_iter()
                .collect()
        }
    }
}

/// In words, and as how good news it is.
pub fn named(decision: Option<&str>) -> (String, &'static str) {
    let (headline, tone) = match decision {
        Some("ship") => ("Ship it", "good"),
        Some("reject") => ("Rejected", "bad"),
        Some("retry-data") => ("Retry with other data", "open"),
        Some("retry-training") => ("Retry the training", "open"),
        Some("retry-eval") => ("Retry the evaluation", "open"),
        Some("park") => ("Parked", "open"),
        Some(other) => (other, "open"),
        None => ("Not decided", "open"),
    };
    (headline.to_owned(), tone)
}
