//! `package.lock.json`: what a package is, so that it can be checked later.

use super::request::Weights;
use crate::model::load;
use crate::recipe::hashes::Hashes;
use crate::recipe::records;
use crate::run::words::hex;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

pub const FILE: &str = "package.lock.json";
const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    pub schema_version: u32,
    /// The program that made it, with its version.
    pub program: String,
    pub run_id: String,
    pub weights: Weights,
    pub base: Base,
    /// Every other file of the package.
    pub files: BTreeMap<String, Entry>,
}

/// What the adapter stands on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// A path as the run named it, or a hub id.
    pub id: String,
    /// Of a file, or of a folder's files; none of a hub's model.
    pub sha256: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub sha256: String,
    pub bytes: u64,
}

impl Lock {
    /// Of the files in `folder`.
    pub fn of(folder: &Path, run_id: &str, base: Base, weights: Weights) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (name, path) in files(folder)? {
            entries.insert(name, entry(&path)?);
        }
        Ok(Self {
            schema_version: VERSION,
            program: records::program(),
            run_id: run_id.to_owned(),
            weights,
            base,
            files: entries,
        })
    }

    /// That of the package in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let place = path.display();
        let bytes = fs::read(&path)
            .with_context(|| format!("{}: no package: cannot read {place}", folder.display()))?;
        let lock: Self = serde_json::from_slice(&bytes).with_context(|| place.to_string())?;
        ensure!(
            lock.schema_version == VERSION,
            "{place}: schema_version is {}, and this program reads {VERSION}: use the factory that made the package, {}",
            lock.schema_version,
            lock.program
        );
        for name in lock.files.keys() {
            let inside = Path::new(name)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            ensure!(inside, "{place}: {name:?} lies outside the package");
        }
        Ok(lock)
    }
}

/// What is otherwise in the package `folder` than its lock says, a line each. `base` is where the base is now, if not where the run had it.
pub fn check(folder: &Path, base: Option<&str>) -> Result<Vec<String>> {
    let mut faults = changed(folder)?;
    let lock = Lock::read(folder)?;
    // Other weights need no base.
    if lock.weights == Weights::Adapter {
        faults.extend(other_base(&lock.base, base));
    }
    Ok(faults)
}

/// The same of its own files alone.
pub fn changed(folder: &Path) -> Result<Vec<String>> {
    let lock = Lock::read(folder)?;
    let mut faults = Vec::new();
    for (name, wanted) in &lock.files {
        match entry(&folder.join(name)) {
            Ok(found) if found == *wanted => {}
            Ok(found) => faults.push(format!(
                "{name} has changed: its sha256 is {}, and was {}",
                found.sha256, wanted.sha256
            )),
            Err(_) => faults.push(format!("{name} is missing")),
        }
    }
    for (name, _) in files(folder)? {
        if name != FILE && !lock.files.contains_key(&name) {
            faults.push(format!("{name} is no file of the package"));
        }
    }
    Ok(faults)
}

fn other_base(was: &Base, now: Option<&str>) -> Option<String> {
    let id = now.unwrap_or(&was.id);
    if !load::may_exist(id) {
        return Some(format!(
            "the base {id} is not here: give --base where it is"
        ));
    }
    let wanted = was.sha256.as_ref()?;
    match Hashes::open(Path::new("")).of(Path::new(id)) {
        Ok(found) if found.sha256 == *wanted => None,
        Ok(found) => Some(format!(
            "the base {id} is another: its sha256 is {}, and was {wanted}",
            found.sha256
        )),
        Err(error) => Some(format!("the base {id} cannot be checked: {error:#}")),
    }
}

pub fn entry(path: &Path) -> Result<Entry> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let mut hash = Sha256::new();
    let bytes = std::io::copy(&mut file, &mut hash).with_context(cannot)?;
    Ok(Entry {
        sha256: hex(&hash.finalize()),
        bytes,
    })
}

/// Everything in a folder, by name, folders inside it too; sorted.
pub fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match path.is_dir() {
            true => found.extend(
                files(&path)?
                    .into_iter()
                    .map(|(inner, path)| (format!("{name}/{inner}"), path)),
            ),
            false => found.push((name, path)),
        }
    }
    found.sort();
    Ok(found)
}
