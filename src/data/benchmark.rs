//! `data spider` and `data bird`: training rows and held-out rows with an execution gate from a local download of a benchmark.
//!
//! A question is asked over its database's tables, with what the benchmark says one must know (`evidence`). Reference queries that do
//! not run on their database are left out and listed.

mod files;
mod rows;
mod tables;

use super::curriculum::bucket;
use super::jsonl;
use super::prompt::Prompt;
use super::set::{Set, hashes, tally};
use crate::db::home::Home;
use crate::db::sandbox::Sandbox;
use crate::sql::error::SqlError;
use anyhow::{Result, ensure};
use files::Files;
use rows::{DevRow, Question, TrainRow};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tables::Tables;

pub use files::Benchmark;

/// What is wanted.
pub struct Request {
    pub benchmark: Benchmark,
    /// The download.
    pub from: PathBuf,
    /// The folder of the set: where its databases are is said as seen from it.
    pub out: PathBuf,
    pub prompt: Prompt,
    /// Most rows of each split; all of them where none is said, and with 0 the split's files are not needed.
    pub train: Option<usize>,
    pub dev: Option<usize>,
    /// The execution accuracy that the gate asks for.
    pub min: f64,
    /// Processor time that a reference query may take.
    pub timeout: Duration,
    /// Chooses rows where fewer are wanted.
    pub seed: u64,
}

#[derive(Serialize)]
struct Manifest<'a> {
    source: &'a str,
    seed: u64,
    prompt: &'a str,
    train_rows: usize,
    dev_rows: usize,
    train_databases: usize,
    dev_databases: usize,
    train_curriculum: BTreeMap<&'a str, usize>,
    dev_curriculum: BTreeMap<&'a str, usize>,
    dropped: BTreeMap<&'a str, usize>,
    /// Reference queries that do not run.
    left_out: Vec<LeftOut>,
    overlap: Overlap,
    sha256: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct LeftOut {
    id: String,
    why: String,
}

/// What train and dev share, counted over the rows as they are written.
#[derive(Serialize)]
struct Overlap {
    databases: usize,
    prompts: usize,
    /// Queries of the same database.
    queries: usize,
}

/// Builds the set. The same request and files: the same bytes.
///
/// Errors name files and databases that are missing, as the benchmark calls them.
pub fn build(request: &Request) -> Result<Set> {
    let mut sha256 = BTreeMap::new();
    let mut dropped = BTreeMap::new();
    let mut left_out = Vec::new();
    let mut split = |split, wanted| -> Result<(Vec<Question>, Option<PathBuf>)> {
        if wanted == Some(0) {
            return Ok((Vec::new(), None));
        }
        let files = Files::find(request.benchmark, split, &request.from)?;
        let (questions, hash) = rows::read(&files, request.benchmark, split)?;
        let tables = Tables::read(&files.tables)?;
        sha256.insert(seen_from(&files.rows, &request.from), hash);
        sha256.insert(
            seen_from(&files.tables, &request.from),
            tables.sha256.clone(),
        );
        let questions = rows::choose(questions, wanted, request.seed);
        let kept = with_databases(questions, &files, &tables, request, &mut left_out)?;
        Ok((kept, Some(files.databases)))
    };
    let (dev, databases) = split("dev", request.dev)?;
    let (train, _) = split("train", request.train)?;
    ensure!(
        !dev.is_empty() || !train.is_empty(),
        "no row: none was wanted, or no reference query runs"
    );
    if !left_out.is_empty() {
        dropped.insert("have a query that does not run", left_out.len());
    }

    let held: BTreeSet<_> = dev.iter().flat_map(Question::keys).collect();
    let before = train.len();
    let train: Vec<Question> = train
        .into_iter()
        .filter(|row| row.keys().iter().all(|key| !held.contains(key)))
        .collect();
    if before > train.len() {
        dropped.insert(
            "ask or answer what a held-out row does",
            before - train.len(),
        );
    }
    ensure!(
        !train.is_empty() || request.train == Some(0),
        "no training row is left of {before}: each asks or answers what a held-out row does, or has a query that does not run"
    );
    ensure!(
        !dev.is_empty() || request.dev == Some(0),
        "no held-out row is left: no reference query runs"
    );

    let train_rows: Vec<TrainRow> = train.iter().map(|row| row.train(&request.prompt)).collect();
    let dev_rows: Vec<DevRow> = dev.iter().map(|row| row.dev(&request.prompt)).collect();
    let mut files = BTreeMap::from([
        ("train.jsonl".to_owned(), jsonl::to_bytes(&train_rows)?),
        ("dev.jsonl".to_owned(), jsonl::to_bytes(&dev_rows)?),
    ]);
    files.retain(|_, content| !content.is_empty());
    if let Some(databases) = &databases {
        let gates = gates(request, databases)?;
        files.insert("gates.toml".to_owned(), gates.into_bytes());
    }
    sha256.extend(hashes(&files));
    let of = |rows: &[Question]| {
        let databases: BTreeSet<String> = rows.iter().map(|row| row.db.clone()).collect();
        (databases, tally(rows.iter().map(|row| bucket(&row.sql))))
    };
    let ((train_databases, train_curriculum), (dev_databases, dev_curriculum)) =
        (of(&train), of(&dev));
    let summary = format!(
        "{} train rows over {} databases, {} dev rows over {}{}",
        train.len(),
        train_databases.len(),
        dev.len(),
        dev_databases.len(),
        dropped
            .iter()
            .map(|(reason, count)| format!("; {count} {reason}"))
            .collect::<String>()
    );
    let manifest = Manifest {
        source: request.benchmark.name(),
        seed: request.seed,
        prompt: request.prompt.text(),
        train_rows: train.len(),
        dev_rows: dev.len(),
        train_databases: train_databases.len(),
        dev_databases: dev_databases.len(),
        train_curriculum,
        dev_curriculum,
        dropped,
        left_out,
        overlap: overlap(&train, &dev),
        sha256,
    };
    Set::new(files, &manifest, summary)
}

fn overlap(train: &[Question], dev: &[Question]) -> Overlap {
    let keys =
        |at: usize| -> BTreeSet<_> { train.iter().map(|row| row.keys()[at].clone()).collect() };
    let shared = |at: usize| {
        let keys = keys(at);
        dev.iter()
            .filter(|row| keys.contains(&row.keys()[at]))
            .count()
    };
    let databases: BTreeSet<_> = train.iter().map(|row| &row.db).collect();
    let of_dev: BTreeSet<_> = dev.iter().map(|row| &row.db).collect();
    Overlap {
        databases: of_dev.intersection(&databases).count(),
        prompts: shared(0),
        queries: shared(1),
    }
}

/// Gives questions their tables, and leaves out those whose query does not run. Errors where a database is missing.
fn with_databases(
    questions: Vec<Question>,
    files: &Files,
    tables: &Tables,
    request: &Request,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<Question>> {
    let mut sandbox = Sandbox::new(Home::Folder(files.databases.clone()), false);
    let names: BTreeSet<String> = questions.iter().map(|row| row.db.clone()).collect();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| sandbox.locate(name).is_err())
        .collect();
    let some = missing
        .iter()
        .take(5)
        .map(|name| format!("{name}/{name}.sqlite"));
    ensure!(
        missing.is_empty(),
        "{}: {} of {} databases are missing: {}{} ({})",
        files.databases.display(),
        missing.len(),
        names.len(),
        some.collect::<Vec<_>>().join(", "),
        if missing.len() > 5 { ", …" } else { "" },
        request.benchmark.origin()
    );
    let mut kept = Vec::new();
    for mut row in questions {
        row.schema = tables.line(&row.db)?.to_owned();
        let file = sandbox.locate(&row.db)?.swap_remove(0);
        match sandbox.run(&file, false, &row.sql, request.timeout) {
            Ok(_) => kept.push(row),
            // One that is no database, or locked.
            Err(error @ SqlError::Database(_)) => return Err(error.into()),
            Err(error) => left_out.push(LeftOut {
                id: row.id,
                why: error.to_string(),
            }),
        }
    }
    Ok(kept)
}

/// The gate that asks the held-out rows.
fn gates(request: &Request, databases: &Path) -> Result<String> {
    let (from, to) = (real(&request.out)?, databases.canonicalize()?);
    let databases = pathdiff::diff_paths(&to, from).unwrap_or(to);
    let name = request.benchmark.name();
    Ok(format!(
        "# What must be reached on the held-out rows of {name}; `factory sweep` reads it, and `factory gate` once\n# `factory eval-sql --mode {} --out` has written the candidate's rows beside it.\n\n[[gate]]\nname = \"{name}-dev\"\ndata = \"dev.jsonl\"\nmode = \"{}\"\nmetric = \"execution_accuracy\"\nmin = {:?}\ndb_dir = {}\ncandidate = \"rows.jsonl\"\n",
        request.benchmark.mode(),
        request.benchmark.mode(),
        request.min,
        toml::Value::from(databases.to_string_lossy().into_owned())
    ))
}

/// One spelling of a folder that need not exist yet, whatever links lead to it.
fn real(folder: &Path) -> Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let there = folder.ancestors().find(|above| above.exists());
    let there = there.unwrap_or(Path::new("/"));
    Ok(there.canonicalize()?.join(folder.strip_prefix(there)?))
}

/// A file as it is called in the download.
fn seen_from(file: &Path, folder: &Path) -> String {
    let name = file.strip_prefix(folder).unwrap_or(file);
    name.to_string_lossy().into_owned()
}
