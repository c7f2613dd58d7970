//! What was decided, and what is shipped.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// `decision.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    pub decision: Choice,
    pub reason: String,
    pub failure_reason: Option<String>,
    pub failure_reason_confidence: Confidence,
    pub lesson: Option<String>,
    pub next_action: String,
    /// Files of the run that say so.
    pub evidence_sources: Vec<String>,
    pub blocked_by: Vec<String>,
    /// Ours: whose word stands against the proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overruled: Option<Overruled>,
}

impl Decision {
    /// What is wrong with it in itself.
    pub fn faults(&self) -> Vec<String> {
        let confidence = self.failure_reason_confidence;
        let mut faults = Vec::new();
        let mut wrong = |is: bool, what: &str| faults.extend(is.then(|| what.to_owned()));
        wrong(is_blank(Some(&self.reason)), "reason is empty");
        wrong(is_blank(Some(&self.next_action)), "next_action is empty");
        wrong(
            self.evidence_sources.is_empty(),
            "evidence_sources is empty",
        );
        if self.decision == Choice::Ship {
            wrong(
                confidence != Confidence::NotApplicable,
                "ship needs failure_reason_confidence not-applicable",
            );
            for blocker in &self.blocked_by {
                wrong(true, &format!("ship is blocked by {blocker}"));
            }
            return faults;
        }
        for (field, text) in [
            ("failure_reason", &self.failure_reason),
            ("lesson", &self.lesson),
        ] {
            let what = format!("{field} is empty, and nothing is shipped");
            wrong(is_blank(text.as_deref()), &what);
        }
        wrong(
            confidence == Confidence::NotApplicable,
            "failure_reason_confidence is not-applicable, and nothing is shipped",
        );
        faults
    }
}

/// Whether a text says nothing.
pub fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

/// What is done with a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// It is used.
    Ship,
    /// It is worse, and not followed up.
    Reject,
    /// Again, with other data.
    RetryData,
    /// Again, trained otherwise.
    RetryTraining,
    /// Again, measured otherwise.
    RetryEval,
    /// Kept for later.
    Park,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

/// How sure the reason of a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    Exact,
    Inferred,
    MissingEvidence,
    NotApplicable,
}

/// Who decided otherwise than was proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overruled {
    pub by: String,
    /// RFC 3339.
    pub date: String,
    pub proposed: Choice,
    pub proposed_reason: String,
}

/// `artifact.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    pub artifact_id: String,
    /// `adapter`, `router`, `model` or `other`.
    pub kind: String,
    pub path: PathBuf,
    pub base_model: String,
    pub format: String,
    /// The folder with everything of it.
    pub package_dir: Option<PathBuf>,
    pub shipped: bool,
    /// How it has to be served to be what was measured.
    pub routing_constraint: Option<String>,
}
