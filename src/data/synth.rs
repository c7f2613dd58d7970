//! `data synth`: a train/dev/preferences set generated from a specification, with its promises checked.
//!
//! Every gold query runs, has one fixed answer, and answers otherwise than the wrong queries near it.
//! Train and dev share no question and no query. A dev row's slice is read off its query's shape.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::set::{Set, sha256};
use database::Database;

mod checks;
pub(super) mod corrupt;
pub(super) mod database;
pub mod db;
mod fill;
mod manifest;
mod preferences;
mod query;
mod rows;
mod spec;

/// Generates the set of the specification at `path`. Same files, same seed: the same bytes.
///
/// # Errors
/// One that names the file and the template when the specification cannot be read or breaks a promise.
pub fn generate(path: &Path, seed: u64) -> Result<Set> {
    let spec = spec::load(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = BTreeMap::new();
    let mut sources = BTreeMap::from([(file_name(path), read(path)?)]);
    let mut databases = BTreeMap::new();
    let mut rows = rows::Rows::default();
    for domain in &spec.domains {
        let (schema, templates) = (folder.join(&domain.schema), folder.join(&domain.file));
        let database = Database::open(&schema)?;
        rows.add(&spec.prompt, domain, &database, seed)
            .with_context(|| templates.display().to_string())?;
        databases.insert(domain.name.clone(), database);
        files.insert(domain.schema.clone(), read(&schema)?);
        sources.insert(domain.file.clone(), read(&templates)?);
    }
    rows.name_slices();
    checks::check(&rows, &spec).with_context(|| path.display().to_string())?;
    let preferences = preferences::make(&rows.train, &databases, spec.counts.preferences, seed)?;

    files.insert("train.jsonl".to_string(), rows::jsonl(&rows.train)?);
    files.insert("dev.jsonl".to_string(), rows::jsonl(&rows.dev)?);
    files.insert("preferences.jsonl".to_string(), rows::jsonl(&preferences)?);
    let hashes = files
        .iter()
        .chain(&sources)
        .map(|(name, content)| (name.clone(), sha256(content)))
        .collect();
    let manifest = manifest::Manifest::of(&rows, &preferences, seed, hashes);
    let summary = manifest.summary();
    Set::new(files, &manifest, summary)
}

/// The files that the specification at `path` leads to.
///
/// # Errors
/// As [`generate`] has them for the specification itself.
pub fn inputs(path: &Path) -> Result<Vec<PathBuf>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let domains = spec::load(path)?.domains.into_iter();
    let files = domains.flat_map(|domain| [folder.join(&domain.schema), folder.join(&domain.file)]);
    Ok(files.collect())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
