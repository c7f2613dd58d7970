//! Corrections: replies and the right queries become training rows and preference pairs, beside old rows that keep what was
//! learned from them.

mod given;
mod made;
mod replay;

use super::databases::Databases;
use crate::data::jsonl::{self, Faults};
use crate::data::overlap::prompt_of;
use crate::data::record::{self, Columns};
use crate::run::words::hex;
use anyhow::{Result, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What rows are corrected with.
pub struct Request<'a> {
    /// Rows with a prompt, a reply (`predicted_sql`) and the right query (`gold_sql`).
    pub rows: &'a Path,
    /// How their columns are called.
    pub columns: &'a Columns,
    /// Training rows of before.
    pub replay: &'a [PathBuf],
    /// The part of all rows that are to be such.
    pub share: f64,
    /// Which of them; same seed, same rows.
    pub seed: u64,
    /// Files whose prompts are neither taught nor replayed.
    pub heldout: &'a [PathBuf],
    /// How queries are run; without it they are not.
    pub databases: Option<&'a Databases>,
    /// Whether rows that cannot be taught are left out and counted.
    pub keep_going: bool,
}

/// What became of the corrections.
pub struct Corrected {
    /// Training rows (JSONL): the corrections, then the rows of before.
    pub rows: Vec<u8>,
    /// Preference pairs (JSONL): the right query over the reply.
    pub pairs: Vec<u8>,
    pub manifest: Manifest,
}

/// What was made of what. It holds no text of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// The file of corrections.
    pub corrections: File,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<&'static str, usize>,
    /// Whether the queries were run.
    pub run: bool,
    /// Training rows of corrections; several replies to one prompt make one.
    pub taught: usize,
    pub pairs: usize,
    pub replay: Replay,
    pub seed: u64,
    /// Of the files that were written, in hexadecimal.
    pub rows_sha256: String,
    pub pairs_sha256: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct File {
    pub path: PathBuf,
    pub rows: usize,
    pub sha256: String,
}

/// The rows of before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Replay {
    pub files: Vec<File>,
    pub share: f64,
    pub wanted: usize,
    pub taken: usize,
    /// Rows that may not come again: they ask what is corrected, or what is held out.
    pub kept_out: usize,
}

/// Why a row cannot be taught.
struct Fault {
    /// In a few words, to be counted by.
    reason: &'static str,
    /// With `file:line`.
    error: anyhow::Error,
}

/// Makes rows and pairs. Errors where a file cannot be read, nothing is left to teach, or a row cannot be taught and that is not
/// to be tolerated; all such rows are named then.
pub fn correct(request: &Request) -> Result<Corrected> {
    let mut held = BTreeSet::new();
    for path in request.heldout {
        let (_, asked) = record::read_prompts(path, &Columns::default())?;
        held.extend(asked.iter().map(prompt_of));
    }
    let (file, corrections, faults) = given::read(request, &held)?;
    let mut left_out = BTreeMap::new();
    let mut named = Faults::default();
    for Fault { reason, error } in faults {
        *left_out.entry(reason).or_insert(0) += 1;
        named.add(error);
    }
    if !request.keep_going {
        let all = named.refuse();
        all.map_err(|error| {
            error.context("some rows cannot be taught (--keep-going leaves them out)")
        })?;
    }
    ensure!(
        !corrections.is_empty(),
        "{}: no row can be taught: {}",
        request.rows.display(),
        counts(&left_out)
    );
    let (taught, pairs) = made::of(&corrections);
    held.extend(corrections.iter().map(|own| prompt_of(&own.asked)));
    let (replayed, replay) = replay::choose(request, taught.len(), &held)?;
    let mut rows = jsonl::to_bytes(&taught)?;
    rows.extend(jsonl::to_bytes(&replayed)?);
    let pair_bytes = jsonl::to_bytes(&pairs)?;
    let hash = |bytes: &[u8]| hex(&Sha256::digest(bytes));
    Ok(Corrected {
        manifest: Manifest {
            corrections: file,
            left_out,
            run: request.databases.is_some(),
            taught: taught.len(),
            pairs: pairs.len(),
            replay,
            seed: request.seed,
            rows_sha256: hash(&rows),
            pairs_sha256: hash(&pair_bytes),
        },
        rows,
        pairs: pair_bytes,
    })
}

/// `2 identical, 1 held out`
pub fn counts(left_out: &BTreeMap<&'static str, usize>) -> String {
    let counts = left_out.iter().map(|(reason, n)| format!("{n} {reason}"));
    counts.collect::<Vec<_>>().join(", ")
}
