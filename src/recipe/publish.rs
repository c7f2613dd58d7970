//! Whether a run folder may be published: complete, consistent, its scores true, its decision covered by them.

use super::dataset::{self, HELDOUT};
use super::done::Done;
use super::evidence::{Evidence, GateEvidence};
use super::leaks::Texts;
use super::records::{self, Choice, Confidence, Evaluation, Slice};
use super::rescore;
use super::rows;
use super::status::Phase;
use super::validate::{Records, Wanted};
use crate::data::jsonl;
use crate::eval::judge::{Verdict, judge, metric};
use crate::eval::score::ScoredRow;
use crate::eval::worker::Setup;
use crate::sql::database::Now;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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
/// Most rows of a file that are named.
const NAMED: usize = 5;
/// Two ways to write one number.
const SAME: f64 = 1e-9;

/// How to check.
pub struct Check<'a> {
    /// Whether it is fine that there is no artifact.
    pub report_only: bool,
    /// How a scoring scored: its stage, how many rows, and the time of day that its queries saw, where that is known.
    pub setup: &'a dyn Fn(&Done, usize, Option<Now>) -> Result<Setup>,
    /// What starts a scoring process.
    pub worker: &'a [PathBuf],
}

/// Everything that is wrong with the run in `folder`, a line each; it may be published where there is nothing.
///
/// Errors where the folder is being written.
pub fn check(folder: &Path, check: &Check) -> Result<Vec<String>> {
    if let Some(owner) = super::lock::holder(folder)? {
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
    }
    Ok(faults)
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

fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
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
    let mut wrong = |what: &str| faults.push(format!("decision.json: {what}"));
    if is_blank(Some(&decision.reason)) {
        wrong("reason is empty");
    }
    if is_blank(Some(&decision.next_action)) {
        wrong("next_action is empty");
    }
    if decision.evidence_sources.is_empty() {
        wrong("evidence_sources is empty");
    }
    for source in &decision.evidence_sources {
        if !folder.join(source).exists() {
            wrong(&format!(
                "evidence_sources names {source}, which is not in the run"
            ));
        }
    }
    let confidence = decision.failure_reason_confidence;
    let shipped = records
        .artifact
        .as_ref()
        .is_some_and(|artifact| artifact.shipped);
    if decision.decision != Choice::Ship {
        if is_blank(decision.failure_reason.as_deref()) {
            wrong("failure_reason is empty, and nothing is shipped");
        }
        if is_blank(decision.lesson.as_deref()) {
            wrong("lesson is empty, and nothing is shipped");
        }
        if confidence == Confidence::NotApplicable {
            wrong("failure_reason_confidence is not-applicable, and nothing is shipped");
        }
        if shipped {
            faults.push(format!(
                "artifact.json: shipped is true, and the decision is {}",
                decision.decision
            ));
        }
        return;
    }
    if confidence != Confidence::NotApplicable {
        wrong("ship needs failure_reason_confidence not-applicable");
    }
    for blocker in &decision.blocked_by {
        wrong(&format!("ship is blocked by {blocker}"));
    }
    if !shipped {
        wrong("ship needs an artifact.json whose shipped is true");
    }
    let package = records
        .artifact
        .as_ref()
        .and_then(|artifact| artifact.package_dir.as_deref());
    match package {
        None => wrong("ship needs a package_dir in artifact.json"),
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

/// Whether training and held-out rows are as far apart as was said.
fn overlaps(records: &Records, evidence: &Evidence, faults: &mut Vec<String>) {
    let (Some(dataset), Some(validity)) = (&records.dataset, &records.validity) else {
        return;
    };
    match dataset::shared(evidence, &dataset.sources) {
        Ok(overlap) => {
            let found = if overlap.pairs.is_empty() {
                dataset::NO_OVERLAP
            } else {
                dataset::OVERLAP
            };
            let said = &validity.overlap_check.result;
            if said != found {
                faults.push(format!("eval-validity.json: overlap_check.result is {said:?}, and the files show {found}"));
            }
        }
        Err(error) => faults.push(format!(
            "eval-validity.json: the overlap cannot be checked: {error:#}"
        )),
    }
}

/// Whether the rows are held against the references of the held-out files, where these have any.
fn references(folder: &Path, records: &Records, evidence: &Evidence, faults: &mut Vec<String>) {
    let mut known = BTreeSet::new();
    let sources = records.dataset.iter().flat_map(|dataset| &dataset.sources);
    for source in sources.filter(|source| source.kind == HELDOUT) {
        // A file that cannot be read has no right hash either.
        for line in jsonl::read(&source.path).unwrap_or_default() {
            known.extend(
                line.fields()
                    .get("gold_sql")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
        }
    }
    for gate in evidence.gates.iter().filter(|_| !known.is_empty()) {
        let file = rows::file(&gate.gate.name, "candidate");
        let rows = rows::of_run(folder, &gate.gate.name, "candidate");
        for row in rows
            .ok()
            .flatten()
            .into_iter()
            .flatten()
            .filter(|row| !known.contains(&row.gold_sql))
            .take(NAMED)
        {
            faults.push(format!(
                "{}: row {}: its gold_sql is that of no held-out row",
                file.display(),
                rows::name(&row)
            ));
        }
    }
}

/// Text of rows in status files.
fn leaks(folder: &Path, records: &Records, evidence: &Evidence, faults: &mut Vec<String>) {
    let mut texts = Texts::default();
    for gate in &evidence.gates {
        for side in ["candidate", "baseline"] {
            let file = rows::file(&gate.gate.name, side);
            // Rows that cannot be read are named where they are scored.
            if let Ok(Some(rows)) = rows::of_run(folder, &gate.gate.name, side) {
                texts.add_scored(&rows, &file.display().to_string());
            }
        }
    }
    let stages = evidence.stages();
    for source in records.dataset.iter().flat_map(|dataset| &dataset.sources) {
        let columns = dataset::columns(stages.iter().copied(), &source.path);
        let added = columns.and_then(|columns| texts.add_file(&source.path, &columns));
        if let Err(error) = added {
            faults.push(format!(
                "dataset.json: the texts of {} cannot be looked for: {error:#}",
                source.path.display()
            ));
        }
    }
    faults.extend(texts.find(folder));
}

/// Every gate on its rows, scored again.
fn scores(
    folder: &Path,
    records: &Records,
    evidence: &Evidence,
    check: &Check,
    faults: &mut Vec<String>,
) {
    let Some(verdicts) = &records.verdicts else {
        return;
    };
    let ships = records
        .decision
        .as_ref()
        .is_some_and(|decision| decision.decision == Choice::Ship);
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<BTreeSet<String>>();
    let asked = names(evidence.gates.iter().map(|gate| &gate.gate.name).collect());
    if asked != names(verdicts.iter().map(|verdict| &verdict.name).collect()) {
        faults.push("gates.json: it has other gates than evidence.json".to_owned());
    }
    for gate in &evidence.gates {
        let name = &gate.gate.name;
        let verdict = match judge_again(folder, gate, check, faults) {
            Ok(verdict) => verdict,
            Err(error) => {
                faults.push(format!("gate {name} cannot be judged again: {error:#}"));
                continue;
            }
        };
        if ships && !verdict.passed {
            faults.push(format!(
                "ship needs every gate green, and gate {name} fails on the rows of the run"
            ));
        }
        if let Some(said) = verdicts.iter().find(|said| said.name == *name) {
            faults.extend(
                other(said, &verdict).map(|what| format!("gates.json: gate {name}: {what}")),
            );
        }
        let primary = evidence
            .primary()
            .is_ok_and(|primary| primary.gate.name == *name);
        if primary {
            against(records, gate, &verdict, faults);
        }
    }
}

fn judge_again(
    folder: &Path,
    gate: &GateEvidence,
    check: &Check,
    faults: &mut Vec<String>,
) -> Result<Verdict> {
    let name = &gate.gate.name;
    let mut side = |side: &str, done: &Done| -> Result<Vec<ScoredRow>> {
        let file = rows::file(name, side);
        let rows = rows::of_run(folder, name, side)?
            .with_context(|| format!("{} is missing", file.display()))?;
        let setup = (check.setup)(done, rows.len(), rows::scored_at(folder, name, side))?;
        let again = rescore::again(&rows, &setup, check.worker)?;
        let differences = rescore::differences(&rows, &again);
        let more = differences.len().saturating_sub(NAMED);
        for difference in differences.iter().take(NAMED) {
            faults.push(format!("{}: {difference}", file.display()));
        }
        if more > 0 {
            faults.push(format!(
                "{}: {more} more rows score otherwise",
                file.display()
            ));
        }
        Ok(again)
    };
    let candidate = side("candidate", &gate.candidate)?;
    let baseline = gate
        .baseline
        .as_ref()
        .map(|done| side("baseline", done))
        .transpose()?;
    judge(&gate.gate, &candidate, baseline.as_deref())
}

/// What a verdict says otherwise than the one on the rows.
fn other(said: &Verdict, found: &Verdict) -> Option<String> {
    if said == found {
        return None;
    }
    let number = |what: &str, said: f64, found: f64| {
        let differs = (said - found).abs() > SAME;
        differs.then(|| format!("{what} is {said}, and {found} on the rows of the run"))
    };
    let counts = [
        ("passed_rows", said.passed_rows, found.passed_rows),
        ("n", said.n, found.n),
    ];
    let counts = counts
        .into_iter()
        .find_map(|(what, said, found)| number(what, said as f64, found as f64));
    let passed = (said.passed != found.passed).then(|| {
        format!(
            "passed is {}, and {} on the rows of the run",
            said.passed, found.passed
        )
    });
    let rest = || Some("it says something else than the rows of the run".to_owned());
    number("value", said.value, found.value)
        .or(counts)
        .or(passed)
        .or_else(rest)
}

/// The records that repeat the primary gate's numbers.
fn against(records: &Records, gate: &GateEvidence, verdict: &Verdict, faults: &mut Vec<String>) {
    let mut score = |file: &str, evaluation: &Option<Evaluation>, value: Option<f64>| {
        let said = evaluation.as_ref().and_then(|evaluation| evaluation.score);
        if let (Some(said), Some(value)) = (said, value)
            && (said - value).abs() > SAME
        {
            faults.push(format!(
                "{file}: score is {said}, and {value} on the rows of the run"
            ));
        }
    };
    score(records::CANDIDATE, &records.candidate, Some(verdict.value));
    score(
        records::BASELINE,
        &records.baseline,
        verdict.baseline.map(|baseline| baseline.value),
    );
    if let Some(candidate) = &records.candidate
        && candidate.passed != Some(verdict.passed)
    {
        faults.push(format!(
            "eval-candidate.json: passed is not {}",
            verdict.passed
        ));
    }
    let overall: Option<&Slice> = records.slices.as_ref().map(|slices| &slices.overall);
    let mean = metric(&gate.gate.mode, &gate.gate.metric).map(|metric| metric.mean);
    if let (Some(overall), Ok(mean)) = (overall, mean) {
        let said = overall.metrics.get(mean);
        // Four decimals are written.
        if said.is_none_or(|said| (said - verdict.value).abs() > 5e-5 + SAME) {
            faults.push(format!(
                "slice-metrics.json: overall.{mean} is not the {} of the rows of the run",
                verdict.value
            ));
        }
        if overall.rows != verdict.n {
            faults.push(format!(
                "slice-metrics.json: overall.rows is {}, and the gate has {}",
                overall.rows, verdict.n
            ));
        }
    }
}
