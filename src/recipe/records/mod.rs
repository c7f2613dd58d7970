//! The files of a run folder, one struct each, with the names and fields of the formats; read strictly, written whole.

mod data;
mod decision;
mod scores;

pub use data::{
    Counts, DataFile, Dataset, Frontier, FrozenEval, OverlapCheck, Processing, Source, Validity,
};
pub use decision::{Artifact, Choice, Confidence, Decision, Overruled, is_blank};
pub use scores::{
    BaseModel, Candidate, Commands, Config, Cost, EvalPlan, Evaluation, Git, Provenance, Slice,
    Slices, Threshold,
};

use crate::run::files::{json, write_atomic};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::path::Path;

pub const CONFIG: &str = "config.json";
pub const DATASET: &str = "dataset.json";
pub const BASELINE: &str = "eval-baseline.json";
pub const CANDIDATE: &str = "eval-candidate.json";
pub const SLICES: &str = "slice-metrics.json";
pub const REVIEW: &str = "trace_review.md";
pub const PROVENANCE: &str = "provenance.json";
pub const REPORT: &str = "report.md";
pub const ARTIFACT: &str = "artifact.json";
pub const DECISION: &str = "decision.json";
pub const TRAIN_LOG: &str = "train.log";
pub const VALIDITY: &str = "eval-validity.json";
pub const COST: &str = "cost.json";
/// Ours: the verdicts on the gates.
pub const GATES: &str = "gates.json";
/// Ours: what the run was made from.
pub const EVIDENCE: &str = "evidence.json";
/// Ours: the stages, one a line.
pub const STAGES: &str = "stages.jsonl";
/// Ours: the recipe as it was resolved.
pub const RECIPE: &str = "recipe.toml";
/// Ours: training's metrics.
pub const METRICS: &str = "metrics.jsonl";

/// The newest version of any format that has one.
const SCHEMA: u64 = 1;

/// Reads one JSON file of a run folder. Errors name the file, and a field that is missing, unknown or of another type; where
/// a newer program wrote the run, they say so.
pub fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let path = folder.join(name);
    let place = path.display();
    let bytes = fs::read(&path).with_context(|| format!("cannot read {place}"))?;
    let version = serde_json::from_slice::<Value>(&bytes);
    let version = version
        .with_context(|| format!("{place}: not JSON"))?
        .get("schema_version")
        .and_then(Value::as_u64);
    if let Some(version) = version.filter(|version| *version > SCHEMA) {
        bail!(
            "{place}: schema_version is {version}, and this program reads {SCHEMA}: use the newer factory that wrote the run"
        );
    }
    let read: Result<T, _> = serde_json::from_slice(&bytes);
    read.map_err(|error| {
        let error = anyhow::anyhow!("{place}: {error}");
        match written_by(folder) {
            Some(other) if other != program() => {
                error.context(format!("{other} wrote this run, and this is {}", program()))
            }
            _ => error,
        }
    })
}

/// Writes one JSON file of a run folder.
pub fn write(folder: &Path, name: &str, content: &impl Serialize) -> Result<()> {
    write_atomic(&folder.join(name), &json(content)?)
}

/// This program and its version, as a run's provenance names it.
pub fn program() -> String {
    format!("factory {}", env!("CARGO_PKG_VERSION"))
}

/// The program that a run's provenance names.
fn written_by(folder: &Path) -> Option<String> {
    let bytes = fs::read(folder.join(PROVENANCE)).ok()?;
    let provenance: Value = serde_json::from_slice(&bytes).ok()?;
    Some(provenance.get("renderer")?.as_str()?.to_owned())
}
