//! `dataset.json` and `eval-validity.json`: the files that a run learned from and was measured on.

use super::done::Done;
use super::evidence::Evidence;
use super::overlap::{self, Overlap, Rows};
use super::process::quoted;
use super::records::{Counts, Dataset, FrozenEval, OverlapCheck, Processing, Source, Validity};
use crate::data::jsonl::measure;
use crate::data::record::Columns;
use crate::eval::judge::Verdict;
use crate::run::words::hex;
use anyhow::{Context, Result, bail};
use regex::Regex;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Fewer rows than that make a wide interval, which is said.
const FEW_ROWS: usize = 100;

pub const TRAIN: &str = "train";
pub const HELDOUT: &str = "heldout";
/// What an overlap check finds.
pub const OVERLAP: &str = "overlap-detected";
pub const NO_OVERLAP: &str = "no-overlap";

/// The data of a run.
pub struct Data {
    pub dataset: Dataset,
    pub overlap: Overlap,
}

/// Reads the files of a run's training and held-out rows. Errors where they share rows and may not, and where a file is not
/// the one that its stage read.
pub fn of(evidence: &Evidence) -> Result<Data> {
    let learned = evidence.learned();
    let mut sources: Vec<Source> = Vec::new();
    for (kind, path) in learned.iter().flat_map(|done| read_by(done)) {
        let known = |source: &Source| source.kind == kind && source.path == path;
        if !sources.iter().any(known) {
            sources.push(source(kind, &path)?);
        }
    }
    for path in &evidence.heldout {
        sources.push(source(HELDOUT, path)?);
    }
    for stage in evidence.stages() {
        unchanged(stage, &sources)?;
    }
    let overlap = shared(evidence, &sources)?;
    if !evidence.allow_overlap {
        overlap.refuse()?;
    }
    let rows = |kind| {
        sources
            .iter()
            .filter(|s| s.kind == kind)
            .map(|s| s.rows)
            .sum()
    };
    let counts = Counts {
        train_rows: rows(TRAIN),
        heldout_rows: rows(HELDOUT),
        dropped_rows: learned
            .iter()
            .filter_map(|done| done.log())
            .map(|log| dropped(&log))
            .sum(),
    };
    let [trained, held] = overlap.repeated;
    let processing = Processing {
        dedupe: format!("none: {trained} training rows and {held} held-out rows repeat another"),
        quality_filter: format!(
            "rows longer than the training's limit are left out: {}",
            counts.dropped_rows
        ),
        heldout_split: "files of their own".to_owned(),
    };
    let dataset = Dataset {
        dataset_id: evidence.name.clone(),
        sources,
        processing,
        counts,
    };
    Ok(Data { dataset, overlap })
}

/// Errors where files that are there already share rows and may not: known before any stage runs. What stages are still to
/// write is looked at by [`of`].
pub fn check(evidence: &Evidence) -> Result<()> {
    if evidence.allow_overlap {
        return Ok(());
    }
    let learned = evidence.learned();
    let read = learned.iter().flat_map(|done| read_by(done));
    let all = read.chain(evidence.heldout.iter().map(|path| (HELDOUT, path.clone())));
    let there = all.filter(|(_, path)| path.is_file());
    let sources = there.map(|(kind, path)| source(kind, &path));
    shared(evidence, &sources.collect::<Result<Vec<_>>>()?)?.refuse()
}

/// The files of rows that a stage learned from, with what for.
fn read_by(done: &Done) -> Vec<(&'static str, PathBuf)> {
    let files = |kind, flag| {
        done.values(flag)
            .into_iter()
            .map(move |path| (kind, PathBuf::from(path)))
    };
    if done.name() == "route fit" {
        let adapters = done.values("--adapter");
        let trained = adapters
            .iter()
            .filter_map(|adapter| adapter.split_once('='));
        return trained
            .map(|(_, path)| (TRAIN, PathBuf::from(path)))
            .collect();
    }
    let validation = files("validation", "--val-data").chain(files("validation", "--eval-data"));
    files(TRAIN, "--data").chain(validation).collect()
}

fn source(kind: &str, path: &Path) -> Result<Source> {
    let (rows, sha256) = measure(path)?;
    Ok(Source {
        kind: kind.to_owned(),
        path: path.to_owned(),
        rows,
        sha256,
    })
}

/// Errors where a source is not what the stage read.
fn unchanged(stage: &Done, sources: &[Source]) -> Result<()> {
    for input in &stage.inputs {
        let same = |source: &&Source| source.path == input.path;
        if let Some(source) = sources.iter().find(same)
            && source.sha256 != input.sha256
        {
            bail!(
                "{} has changed since stage {} read it: run the recipe again",
                input.path.display(),
                stage.stage
            );
        }
    }
    Ok(())
}

/// What the training and held-out files among the sources share.
pub fn shared(evidence: &Evidence, sources: &[Source]) -> Result<Overlap> {
    let learned = evidence.learned();
    let rows = |kind: &str, columns: &dyn Fn(&Path) -> Result<Columns>| -> Result<Vec<Rows>> {
        let of_kind = sources.iter().filter(|source| source.kind == kind);
        let rows = of_kind.map(|source| {
            let path = source.path.clone();
            Ok(Rows {
                columns: columns(&path)?,
                path,
            })
        });
        rows.collect()
    };
    let answers = evidence
        .gates
        .iter()
        .filter_map(|gate| gate.answers.as_ref());
    let asked = |path: &Path| columns(answers.clone(), path);
    let trained = |path: &Path| columns(learned.iter().copied(), path);
    overlap::find(&rows(TRAIN, &trained)?, &rows(HELDOUT, &asked)?)
}

/// How the columns of a file are called, by the first of the stages that reads it.
pub fn columns<'a>(stages: impl IntoIterator<Item = &'a Done>, path: &Path) -> Result<Columns> {
    let reads = |done: &&Done| read_by(done).iter().any(|(_, read)| read == path);
    let fields = stages
        .into_iter()
        .find(reads)
        .map_or(Vec::new(), |done| done.values("--field"));
    Columns::parse(&fields)
}

/// Rows that training left out, as it says.
fn dropped(log: &str) -> usize {
    let line = Regex::new(r"left out (\d+) of \d+ rows longer than").ok();
    let found = line.and_then(|line| line.captures(log)?[1].parse().ok());
    found.unwrap_or(0)
}

/// `eval-validity.json`.
pub fn validity(data: &Data, verdicts: &[Verdict], publish_check: &str) -> Result<Validity> {
    let held: Vec<_> = data
        .dataset
        .sources
        .iter()
        .filter(|s| s.kind == HELDOUT)
        .collect();
    let names = held.iter().filter_map(|s| s.path.file_name()?.to_str());
    let (sha256, note) = match held[..] {
        [only] => (only.sha256.clone(), "of the file".to_owned()),
        _ => {
            let hashes: Vec<_> = held.iter().map(|s| s.sha256.as_str()).collect();
            (
                hex(&Sha256::digest(hashes.join("\n"))),
                "of the hashes of the files, a line each".to_owned(),
            )
        }
    };
    let overlap = &data.overlap;
    let mut known_limitations = Vec::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.n < FEW_ROWS) {
        let [low, high] = verdict.interval;
        known_limitations.push(format!(
            "gate {}: {} rows are few, the 95% interval of {:.3} is {low:.3} to {high:.3}",
            verdict.name, verdict.n, verdict.value
        ));
    }
    if overlap.literals > 0 {
        known_limitations.push(format!(
            "{} of {} held-out answers differ from a training answer in literals alone: a high score there shows that forms carry \
             over, not that new ones are found",
            overlap.literals, overlap.heldout_rows
        ));
    }
    known_limitations.push("no larger model was asked for comparison (frontier)".to_owned());
    Ok(Validity {
        frontier: None,
        frozen_eval: FrozenEval {
            id: names.collect::<Vec<_>>().join(" + "),
            rows: data.dataset.counts.heldout_rows,
            sha256,
            note,
        },
        overlap_check: OverlapCheck {
            result: if overlap.pairs.is_empty() {
                NO_OVERLAP
            } else {
                OVERLAP
            }
            .to_owned(),
            command: publish_check.to_owned(),
            note: overlap.note(),
        },
        known_limitations,
    })
}

/// The check of a run folder, as it is typed.
pub fn publish_check(folder: &Path, with_artifact: bool) -> String {
    let mut words = ["factory", "runs", "publish-check"]
        .map(str::to_owned)
        .to_vec();
    words.push(folder.display().to_string());
    if !with_artifact {
        words.push("--allow-report-only".to_owned());
    }
    quoted(&words)
}

/// Errors where the hash of a file is another than the one that is recorded; `path` is looked for in `folder` too.
pub fn check_hash(path: &Path, sha256: &str, rows: usize, folder: &Path) -> Result<()> {
    let inside = folder.join(path);
    let path = if inside.exists() { &inside } else { path };
    let (found_rows, found) = measure(path).context("its hash cannot be checked")?;
    if found != sha256 {
        bail!("{} has the hash {found}, not {sha256}", path.display());
    }
    if found_rows != rows {
        bail!("{} has {found_rows} rows, not {rows}", path.display());
    }
    Ok(())
}
