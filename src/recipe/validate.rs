//! Whether the files of a run folder have their formats.

use super::done::Done;
use super::evidence::Evidence;
use super::records::*;
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

impl Records {
    /// Reads everything. A run that is decided needs every file but the optional ones; `report_only` allows that there is no
    /// artifact.
    pub fn read(folder: &Path, report_only: bool) -> Self {
        let mut records = Self::default();
        let faults = &mut records.faults;
        records.config = needed(folder, CONFIG, faults);
        records.dataset = needed(folder, DATASET, faults);
        records.baseline = needed(folder, BASELINE, faults);
        records.candidate = needed(folder, CANDIDATE, faults);
        records.slices = needed(folder, SLICES, faults);
        records.provenance = needed(folder, PROVENANCE, faults);
        records.artifact = match report_only {
            true => optional(folder, ARTIFACT, faults),
            false => needed(folder, ARTIFACT, faults),
        };
        records.decision = needed(folder, DECISION, faults);
        records.evidence = needed(folder, EVIDENCE, faults);
        records.verdicts = needed(folder, GATES, faults);
        records.validity = optional(folder, VALIDITY, faults);
        optional::<Cost>(folder, COST, faults);
        for name in TEXTS {
            if !folder.join(name).exists() {
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

/// What is wrong with the formats of a run, a line each. Of a live run only the status is looked at.
pub fn faults(folder: &Path) -> Result<Vec<String>> {
    let status = Status::read(folder)?;
    if status.phase != Phase::Decided {
        return Ok(Vec::new());
    }
    let report_only = !folder.join(ARTIFACT).exists();
    Ok(Records::read(folder, report_only).faults)
}

fn needed<T: DeserializeOwned>(folder: &Path, name: &str, faults: &mut Vec<String>) -> Option<T> {
    match folder.join(name).exists() {
        true => noted(read(folder, name), faults),
        false => {
            faults.push(missing(name));
            None
        }
    }
}

fn optional<T: DeserializeOwned>(folder: &Path, name: &str, faults: &mut Vec<String>) -> Option<T> {
    match folder.join(name).exists() {
        true => noted(read(folder, name), faults),
        false => None,
    }
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
