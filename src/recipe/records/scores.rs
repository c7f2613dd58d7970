//! What a run is, what it scored, and how it was made.

use super::data::DataFile;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub run_id: String,
    pub target: String,
    pub owner_goal: Option<String>,
    pub base_model: BaseModel,
    pub candidate: Candidate,
    pub eval: EvalPlan,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseModel {
    pub id: String,
    /// Of a local file, its hash.
    pub revision: Option<String>,
    pub precision: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Such as `dora r8 alpha 16`, `router`, `none`.
    pub method: String,
    pub adapter_format: Option<String>,
    pub training_command: Option<String>,
}

/// Names of gates; a slice is its key in `slice-metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalPlan {
    pub primary: String,
    pub regression: Option<String>,
    pub primary_slice: Option<String>,
    pub regression_slice: Option<String>,
    pub threshold: Threshold,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The least value with which the primary gate passes.
    pub primary_min: Option<f64>,
    /// Points that the regression gate may lose.
    pub breadth_drop_max_pp: Option<f64>,
}

/// `eval-baseline.json`, `eval-candidate.json`: the primary gate's. What was not measured is null, and `notes` says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    pub model_id: String,
    pub command: Option<String>,
    /// The gate, its mode and metric.
    pub suite: String,
    pub score: Option<f64>,
    /// Whether the gate passed; null of a baseline, which has none to pass.
    pub passed: Option<bool>,
    pub date: Option<String>,
    pub latency_ms: Option<f64>,
    pub peak_rss_mb: Option<f64>,
    pub tokens_per_second: Option<f64>,
    pub notes: String,
    pub n: Option<usize>,
    /// 95%.
    pub interval: Option<[f64; 2]>,
}

/// `slice-metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slices {
    pub overall: Slice,
    pub slices: BTreeMap<String, Slice>,
}

/// Its metrics are the modes' that scored it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    pub rows: usize,
    #[serde(flatten)]
    pub metrics: BTreeMap<String, f64>,
}

/// `provenance.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    pub schema_version: u32,
    /// The program that made the folder, with its version.
    pub renderer: String,
    pub renderer_command: String,
    pub git: Git,
    pub commands: Commands,
    /// The run's data, and the scored rows in its folder.
    pub datasets: Vec<DataFile>,
}

/// Of the folder that the command was called in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Git {
    pub commit: Option<String>,
    pub branch: Option<String>,
    pub dirty: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    pub baseline: Option<String>,
    pub candidate: Option<String>,
    pub training: Option<String>,
    pub publish_check: String,
}

/// `cost.json`: what was not measured is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_time_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_time_seconds_note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_cost_usd_note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_time_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_time_seconds_note: Option<String>,
}
