//! What a run learned from, what it was measured on, and how far that can be trusted.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `dataset.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    pub dataset_id: String,
    pub sources: Vec<Source>,
    pub processing: Processing,
    pub counts: Counts,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `train`, `validation` or `heldout`.
    pub kind: String,
    pub path: PathBuf,
    pub rows: usize,
    pub sha256: String,
}

/// In words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Processing {
    pub dedupe: String,
    pub quality_filter: String,
    pub heldout_split: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub train_rows: usize,
    pub heldout_rows: usize,
    /// Training rows that training left out.
    pub dropped_rows: usize,
}

/// A file with its hash, as provenance lists it; a relative path that is not there is one in the run's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    pub path: PathBuf,
    pub rows: usize,
    pub sha256: String,
}

/// `eval-validity.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validity {
    /// What a much larger model reaches; null where nobody asked one.
    pub frontier: Option<Frontier>,
    pub frozen_eval: FrozenEval,
    pub overlap_check: OverlapCheck,
    pub known_limitations: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frontier {
    pub model: String,
    pub command: String,
    pub date: String,
    pub by_suite: BTreeMap<String, f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenEval {
    pub id: String,
    pub rows: usize,
    pub sha256: String,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverlapCheck {
    /// `no-overlap` or `overlap-detected`.
    pub result: String,
    pub command: String,
    pub note: String,
}
