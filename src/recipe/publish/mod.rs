//! Whether a run folder may be published: complete, consistent, its scores true, its decision covered by them.

mod rows;
mod scores;

pub use scores::Check;

use super::dataset::{self, HELDOUT};
use super::evidence::Evidence;
use super::hashes::Hashes;
use super::lock;
use super::records::{self, Choice, is_blank};
use super::status::Phase;
use super::validate::{Records, Wanted};
use crate::run::files::folder_of;
use anyhow::{Result, bail};
use rows::{leaks, overlaps, references};
use scores::scores;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The sections that report.md has.
const SECTIONS: [&str; 8] = [
    "Decision",
    "Evidence",
    "Target",
    "Data",
    "Eval",
    "Performance",
    "Failures",
    "Next Action",
];
/// Everything that is wrong with the run in `folder`, a line each; it may be published where there is nothing.
///
/// Errors where the folder is being written.
pub fn check(folder: &Path, check: &Check) -> Result<Vec<String>> {
    if let Some(owner) = lock::holder(folder)? {
        bail!(
            "{} is being written by {owner}: wait until it is done",
            folder.display()
        );
    }
    let wanted = if check.report_only {
        Wanted::Report
    } else {
        Wanted::Whole
    };
    let mut records = Records::read(folder, wanted);
    let mut faults = std::mem::take(&mut records.faults);
    let records = &records;
    if let Some(status) = records
        .status
        .as_ref()
        .filter(|status| status.phase != Phase::Decided)
    {
        faults.push(format!(
            "run-status.json: the run is {}, not decided",
            status.phase
        ));
    }
    contents(records, &mut faults);
    texts(folder, &mut faults);
    decision(folder, records, &mut faults);
    files(folder, records, &mut faults);
    if let Some(evidence) = &records.evidence {
        overlaps(records, evidence, &mut faults);
        references(folder, records, evidence, &mut faults);
        leaks(folder, records, evidence, &mut faults);
        scores(folder, records, evidence, check, &mut faults);
        outputs(evidence, &mut faults);
    }
    Ok(faults)
}

/// What the stages made, adapters among it, must be as they left it.
fn outputs(evidence: &Evidence, faults: &mut Vec<String>) {
    for done in evidence.stages() {
        let Ok(folder) = done.folder() else { continue };
        let mut hashes = Hashes::open(folder_of(folder));
        for (flag, before) in &done.sha256 {
            let Some(path) = done.outputs.get(flag) else {
                continue;
            };
            let now = hashes.of(path);
            if !now.is_ok_and(|now| now.sha256 == *before) {
                faults.push(format!(
                    "{}: it is not what stage {} left",
                    path.display(),
                    done.stage
                ));
            }
        }
    }
}

/// Fields that must say something, and say the same in two files.
fn contents(records: &Records, faults: &mut Vec<String>) {
    if let Some(dataset) = &records.dataset {
        if dataset.counts.heldout_rows == 0 {
            faults.push("dataset.json: counts.heldout_rows is 0".to_owned());
        }
        if dataset.sources.is_empty() {
            faults.push("dataset.json: sources is empty".to_owned());
        }
        for kind in [dataset::TRAIN, HELDOUT] {
            let rows: usize = dataset
                .sources
                .iter()
                .filter(|s| s.kind == kind)
                .map(|s| s.rows)
                .sum();
            let counted = match kind {
                HELDOUT => dataset.counts.heldout_rows,
                _ => dataset.counts.train_rows,
            };
            if rows != counted {
                faults.push(format!(
                    "dataset.json: counts.{kind}_rows is {counted}, and the sources have {rows}"
                ));
            }
        }
    }
    let commands = records
        .provenance
        .as_ref()
        .map(|provenance| &provenance.commands);
    let sides = [
        (
            records::BASELINE,
            "baseline",
            &records.baseline,
            commands.map(|c| &c.baseline),
        ),
        (
            records::CANDIDATE,
            "candidate",
            &records.candidate,
            commands.map(|c| &c.candidate),
        ),
    ];
    for (file, side, evaluation, command) in sides {
        let Some(evaluation) = evaluation else {
            continue;
        };
        if is_blank(evaluation.command.as_deref()) {
            faults.push(format!("{file}: command is empty"));
        }
        if evaluation.score.is_none() {
            faults.push(format!("{file}: score is empty ({})", evaluation.notes));
        }
        if command.is_some_and(|command| *command != evaluation.command) {
            faults.push(format!(
                "provenance.json: commands.{side} is not the command of {file}"
            ));
        }
    }
    if records
        .slices
        .as_ref()
        .is_some_and(|slices| slices.slices.is_empty())
    {
        faults.push("slice-metrics.json: slices is empty".to_owned());
    }
}

/// The pages for people.
fn texts(folder: &Path, faults: &mut Vec<String>) {
    // A page that is missing was named already.
    let page = |name| fs::read_to_string(folder.join(name)).ok();
    if let Some(review) = page(records::REVIEW) {
        let title = review
            .lines()
            .find(|line| line.starts_with("# "))
            .unwrap_or_default();
        if !title.to_lowercase().contains("trace review") {
            faults.push("trace_review.md: its title does not say \"trace review\"".to_owned());
        }
    }
    if let Some(report) = page(records::REPORT) {
        let headings: BTreeSet<&str> = report
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| line.trim_start_matches('#').trim())
            .collect();
        for section in SECTIONS
            .iter()
            .filter(|section| !headings.contains(*section))
        {
            faults.push(format!("report.md: there is no section {section}"));
        }
    }
}

fn decision(folder: &Path, records: &Records, faults: &mut Vec<String>) {
    let Some(decision) = &records.decision else {
        return;
    };
    let mut wrong = |what: String| faults.push(format!("decision.json: {what}"));
    decision.faults().into_iter().for_each(&mut wrong);
    for source in &decision.evidence_sources {
        if !folder.join(source).exists() {
            wrong(format!(
                "evidence_sources names {source}, which is not in the run"
            ));
        }
    }
    let artifact = records.artifact.as_ref();
    let shipped = artifact.is_some_and(|artifact| artifact.shipped);
    if decision.decision != Choice::Ship {
        if shipped {
            let said = decision.decision;
            faults.push(format!(
                "artifact.json: shipped is true, and the decision is {said}"
            ));
        }
        return;
    }
    if !shipped {
        wrong("ship needs an artifact.json whose shipped is true".to_owned());
    }
    match artifact.and_then(|artifact| artifact.package_dir.as_deref()) {
        None => wrong("ship needs a package_dir in artifact.json".to_owned()),
        Some(package) if !package.is_dir() => {
            faults.push(format!(
                "artifact.json: package_dir {} is no folder",
                package.display()
            ));
        }
        Some(_) => {}
    }
}

/// The hashes of data and rows.
fn files(folder: &Path, records: &Records, faults: &mut Vec<String>) {
    let mut check = |file: &str, path: &Path, sha256: &str, rows: usize| {
        if let Err(error) = dataset::check_hash(path, sha256, rows, folder) {
            faults.push(format!("{file}: {error:#}"));
        }
    };
    for source in records.dataset.iter().flat_map(|dataset| &dataset.sources) {
        check(records::DATASET, &source.path, &source.sha256, source.rows);
    }
    let sources = records.dataset.iter().flat_map(|dataset| &dataset.sources);
    let checked: BTreeSet<_> = sources
        .map(|source| (&source.path, &source.sha256))
        .collect();
    for file in records
        .provenance
        .iter()
        .flat_map(|provenance| &provenance.datasets)
    {
        if !checked.contains(&(&file.path, &file.sha256)) {
            check(records::PROVENANCE, &file.path, &file.sha256, file.rows);
        }
    }
}
