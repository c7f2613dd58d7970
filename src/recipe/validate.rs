//! Whether the files of a run folder have their formats.

use super::done::Done;
use super::evidence::Evidence;
use super::records::*;
use super::rows;
use super::status::{FILE as STATUS, Phase, Status};
use crate::data::jsonl;
use crate::eval::judge::Verdict;
use anyhow::Result;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Files that are not read as records.
const TEXTS: [&str; 3] = [REVIEW, REPORT, TRAIN_LOG];

/// The records of a run folder; `None` where a file is missing or has a fault.
#[derive(Default)]
pub struct Records {
    pub config: Option<Config>,
    pub dataset: Option<Dataset>,
    pub baseline: Option<Evaluation>,
    pub candidate: Option<Evaluation>,
    pub slices: Option<Slices>,
    pub provenance: Option<Provenance>,
    pub artifact: Option<Artifact>,
    pub decision: Option<Decision>,
    pub validity: Option<Validity>,
    pub evidence: Option<Evidence>,
    pub verdicts: Option<Vec<Verdict>>,
    pub status: Option<Status>,
    /// What is wrong, a line each.
    pub faults: Vec<String>,
}

/// Which files must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All but the optional ones.
    Whole,
    /// The same, but for the artifact.
    Report,
    /// None: the run is not whole yet.
    Any,
}

impl Records {
    /// Reads everything.
    pub fn read(folder: &Path, wanted: Wanted) -> Self {
        let mut records = Self::default();
        let faults = &mut records.faults;
        let needed = wanted != Wanted::Any;
        records.config = record(folder, CONFIG, needed, faults);
        records.dataset = record(folder, DATASET, needed, faults);
        records.baseline = record(folder, BASELINE, needed, faults);
        records.candidate = record(folder, CANDIDATE, needed, faults);
        records.slices = record(folder, SLICES, needed, faults);
        records.provenance = record(folder, PROVENANCE, needed, faults);
        records.artifact = record(folder, ARTIFACT, wanted == Wanted::Whole, faults);
        records.decision = record(folder, DECISION, needed, faults);
        records.evidence = record(folder, EVIDENCE, needed, faults);
        records.verdicts = record(folder, GATES, needed, faults);
        records.validity = record(folder, VALIDITY, false, faults);
        record::<Cost>(folder, COST, false, faults);
        for name in TEXTS {
            if needed && !folder.join(name).exists() {
                faults.push(missing(name));
            }
        }
        if folder.join(STATUS).exists() {
            records.status = noted(Status::read(folder), faults);
        }
        if folder.join(STAGES).exists() {
            noted(stages(&folder.join(STAGES)), faults);
        }
        records
    }
}

/// What is wrong with the formats of a run, a line each. Only a run that is decided needs to be whole.
pub fn faults(folder: &Path) -> Result<Vec<String>> {
    let wanted = match Status::read(folder)?.phase {
        Phase::Decided if folder.join(ARTIFACT).exists() => Wanted::Whole,
        Phase::Decided => Wanted::Report,
        _ => Wanted::Any,
    };
    let mut records = Records::read(folder, wanted);
    for gate in records.evidence.iter().flat_map(|evidence| &evidence.gates) {
        for side in ["candidate", "baseline"] {
            noted(
                rows::of_run(folder, &gate.gate.name, side),
                &mut records.faults,
            );
        }
    }
    Ok(records.faults)
}

fn record<T: DeserializeOwned>(
    folder: &Path,
    name: &str,
    needed: bool,
    faults: &mut Vec<String>,
) -> Option<T> {
    if folder.join(name).exists() {
        return noted(read(folder, name), faults);
    }
    if needed {
        faults.push(missing(name));
    }
    None
}

fn missing(name: &str) -> String {
    format!("{name} is missing")
}

fn noted<T>(read: Result<T>, faults: &mut Vec<String>) -> Option<T> {
    read.map_err(|error| faults.push(format!("{error:#}"))).ok()
}

fn stages(path: &Path) -> Result<Vec<Done>> {
    jsonl::read_as(path, |line| {
        let number = line.number;
        let done = serde_json::from_value(line.into_fields().into());
        done.map_err(|error| anyhow::anyhow!("{}:{number}: {error}", path.display()))
    })
}
