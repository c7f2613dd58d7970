//! `data public`: training and held-out rows from questions that come with their tables, as b-mc2/sql-create-context has them.
//!
//! Only queries that are usable are taken: one SELECT that combines no others and runs over the row's own tables. Rows are taken in
//! the source's order; those of training share no place in it, no prompt and no query over the same tables with those held out.

mod pairs;
mod rows;
mod source;

use super::curriculum::BUCKETS;
use super::jsonl;
use super::prompt::Prompt;
use super::set::{Set, flat, hashes, tally};
use crate::sql::normalize::plain;
use crate::sql::shape::shape;
use anyhow::{Result, ensure};
use serde::Serialize;
use source::{Picked, Source, Usable};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is wanted.
pub struct Request {
    /// Rows with `question`, `context` (CREATE TABLE statements) and `answer`.
    pub data: PathBuf,
    /// What the source is called; its owner's name begins the ids.
    pub source: String,
    pub prompt: Prompt,
    pub train: Split,
    pub dev: Split,
    /// How often the training rows of a bucket come; once where none is said.
    pub weights: BTreeMap<String, usize>,
    /// Takes queries that do not run over their row's tables as well.
    pub unchecked: bool,
    /// Chooses the rejected answers.
    pub seed: u64,
}

impl Request {
    /// Errors where nothing is wanted, or a weight is of no bucket.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.train.count + self.dev.count > 0,
            "nothing is wanted: give --train or --dev a number of rows"
        );
        for bucket in self.weights.keys() {
            let known = &BUCKETS[1..];
            ensure!(
                known.contains(&bucket.as_str()),
                "there is no bucket {bucket:?} to weigh; there are {}",
                known.join(", ")
            );
        }
        Ok(())
    }
}

/// A part of the source.
#[derive(Clone, Copy)]
pub struct Split {
    /// Place of the first row that may be taken, from 0.
    pub start: usize,
    /// Rows wanted.
    pub count: usize,
}

#[derive(Serialize)]
struct Manifest<'a> {
    source: &'a str,
    seed: u64,
    prompt: &'a str,
    train_start: usize,
    dev_start: usize,
    /// Rows of the source that were looked at.
    scan: usize,
    train_rows: usize,
    train_rows_unweighted: usize,
    train_rows_wanted: usize,
    dev_rows: usize,
    dev_rows_wanted: usize,
    preference_rows: usize,
    train_curriculum: BTreeMap<&'a str, usize>,
    train_curriculum_unweighted: BTreeMap<&'a str, usize>,
    dev_curriculum: BTreeMap<&'a str, usize>,
    weights: &'a BTreeMap<String, usize>,
    failure_types: BTreeMap<&'a str, usize>,
    /// Why rows of the source were not taken.
    dropped: BTreeMap<&'static str, usize>,
    overlap: Overlap,
    sha256: BTreeMap<String, String>,
}

/// What train and dev share, counted over the rows as they are written.
#[derive(Serialize)]
struct Overlap {
    non_overlap_key: &'static str,
    source_index: usize,
    prompts: usize,
    /// Queries over the same tables.
    queries: usize,
    /// Held-out rows whose query has the shape of one of training: not an overlap, but what a score says less about.
    shapes: usize,
}

/// Builds the set. The same request and file: the same bytes.
///
/// Errors where a row of the source lacks a field, or no row is usable.
pub fn build(request: &Request) -> Result<Set> {
    let source = Source::read(&request.data)?;
    let mut picked = Picked::new(&source, request.unchecked);
    let dev = picked.take(request.dev);
    let train = picked.take(request.train);
    for (what, found, wanted) in [("train", &train, request.train), ("dev", &dev, request.dev)] {
        ensure!(
            !found.is_empty() || wanted.count == 0,
            "{}: no usable row for {what} from index {} on, of {} rows{}",
            request.data.display(),
            wanted.start,
            source.rows.len(),
            said(&picked.dropped)
        );
    }
    let train_rows = rows::train(&train, request);
    let dev_rows = rows::dev(&dev, request);
    let pairs = pairs::make(&train, request)?;
    let overlap = overlap(&train, &dev);
    ensure!(
        overlap.source_index + overlap.prompts + overlap.queries == 0,
        "train and dev overlap: a fault of this program"
    );

    let mut files = BTreeMap::from([
        ("train.jsonl".to_owned(), jsonl::to_bytes(&train_rows)?),
        ("dev.jsonl".to_owned(), jsonl::to_bytes(&dev_rows)?),
        ("preferences.jsonl".to_owned(), jsonl::to_bytes(&pairs)?),
    ]);
    files.retain(|_, content| !content.is_empty());
    let mut sha256 = hashes(&files);
    sha256.insert(name(&request.data), source.sha256.clone());
    let buckets = |rows: &[Usable]| tally(rows.iter().map(|row| row.bucket));
    let manifest = Manifest {
        source: &request.source,
        seed: request.seed,
        prompt: request.prompt.text(),
        train_start: request.train.start,
        dev_start: request.dev.start,
        scan: picked.seen(),
        train_rows: train_rows.len(),
        train_rows_unweighted: train.len(),
        train_rows_wanted: request.train.count,
        dev_rows: dev_rows.len(),
        dev_rows_wanted: request.dev.count,
        preference_rows: pairs.len(),
        train_curriculum: tally(train_rows.iter().map(|row| row.curriculum)),
        train_curriculum_unweighted: buckets(&train),
        dev_curriculum: buckets(&dev),
        weights: &request.weights,
        failure_types: tally(pairs.iter().map(|pair| pair.failure_type)),
        dropped: picked.dropped.clone(),
        overlap,
        sha256,
    };
    let summary = format!(
        "{} train rows ({} of the source, {} wanted), {} dev rows ({} wanted), {} preferences; of {} rows looked at{}",
        train_rows.len(),
        train.len(),
        request.train.count,
        dev_rows.len(),
        request.dev.count,
        pairs.len(),
        picked.seen(),
        said(&picked.dropped)
    );
    Set::new(files, &manifest, summary)
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Reasons and how many rows each was for.
fn said(dropped: &BTreeMap<&'static str, usize>) -> String {
    let said = dropped
        .iter()
        .map(|(reason, count)| format!("; {count} {reason}"));
    said.collect()
}

fn overlap(train: &[Usable], dev: &[Usable]) -> Overlap {
    fn shared<T: Ord>(train: &[Usable], dev: &[Usable], of: impl Fn(&Usable) -> T) -> usize {
        let train: BTreeSet<T> = train.iter().map(&of).collect();
        dev.iter().filter(|row| train.contains(&of(row))).count()
    }
    Overlap {
        non_overlap_key: "source_index",
        source_index: shared(train, dev, |row| row.index),
        prompts: shared(train, dev, |row| (flat(&row.schema), flat(&row.question))),
        queries: shared(train, dev, |row| (flat(&row.schema), plain(&row.sql))),
        shapes: shared(train, dev, |row| shape(&row.sql)),
    }
}
