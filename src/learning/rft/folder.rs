//! The folder of a run: what is done of it, each round's files, and the adapter that is handed out.

use super::config::Config;
use super::summary::Summary;
use crate::adapters::ngrams;
use crate::answering::trained::CHAT_TEMPLATE;
use crate::data::{asking, jsonl, repair, set};
use crate::learning::headroom::written;
use crate::learning::rollouts::Group;
use crate::learning::rows::Rows;
use crate::run::files::{folder_of, json, partial, write_atomic};
use crate::run::journal::Journal;
use crate::run::training_run::{SETTINGS, TrainingRun, clear};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The summary in the folder.
const SUMMARY: &str = "rft.json";
/// Settings that change no byte of what is done: a run may go on with others.
const FREE: [&str; 5] = [
    "rounds",
    "recompute",
    "tensorboard",
    "throttle",
    "checkpoint_every",
];

/// What is done, and of which run.
#[derive(Serialize, Deserialize)]
struct Progress {
    identity: Map<String, Value>,
    summary: Summary,
}

/// The folder.
pub struct Folder {
    run: TrainingRun,
    out: PathBuf,
    identity: Map<String, Value>,
    /// Whether anything is lost with it.
    kept: bool,
}

impl Folder {
    /// Begins the folder of a run on data of that hash, or opens it where it is gone on with, and what is done. Errors where that is of another run.
    pub fn open(config: &Config, sha256: &str) -> Result<(Self, Summary)> {
        let out = &config.session.out;
        let run = match config.session.resume {
            true => TrainingRun::resume(out)?,
            false => TrainingRun::begin(out)?,
        };
        let identity = identity(config, sha256)?;
        let place = run.path().display().to_string();
        let summary = match run.progress()? {
            None => None,
            Some(bytes) => {
                tidy(run.path())?;
                let known: Progress = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{place}/progress.json"))?;
                check(&place, &known.identity, &identity)?;
                Some(known.summary)
            }
        };
        run.write(SETTINGS, toml::to_string(&config.settings)?.as_bytes())?;
        let folder = Self {
            run,
            out: out.clone(),
            identity,
            kept: summary.is_some(),
        };
        let summary = summary.unwrap_or_else(|| Summary::new(config.now));
        Ok((folder, summary))
    }

    /// Whether something is done that a later run goes on behind.
    pub fn keeps(&self) -> bool {
        self.kept
    }

    /// Writes down what is done.
    pub fn save(&mut self, summary: &Summary) -> Result<()> {
        let progress = Progress {
            identity: self.identity.clone(),
            summary: summary.clone(),
        };
        self.run.save_progress(&json(&progress)?)?;
        self.kept = true;
        Ok(())
    }

    /// The same, once: there is something that a later run goes on behind.
    pub fn keep(&mut self, summary: &Summary) -> Result<()> {
        match self.kept {
            true => Ok(()),
            false => self.save(summary),
        }
    }

    fn round(&self, number: usize) -> PathBuf {
        self.run.path().join(format!("round-{number}"))
    }

    /// A round's adapter.
    pub fn adapter(&self, number: usize) -> PathBuf {
        self.round(number).join("adapter")
    }

    /// The rows that a round learns.
    pub fn set(&self, number: usize) -> PathBuf {
        self.round(number).join("rows.jsonl")
    }

    /// The rows of a round with their samples.
    pub fn samples(&self, number: usize) -> PathBuf {
        self.round(number).join("samples.jsonl")
    }

    /// What is kept of a round's samples while they are drawn, and those that are.
    pub fn journal(&self, number: usize) -> Result<(Journal, Vec<Group>)> {
        let path = partial(&self.samples(number));
        let header = json!({"round": number, "run": self.identity});
        let old = Journal::resume::<Vec<Group>>(&path, &header)?;
        Ok(match old {
            Some((journal, parts)) => (journal, parts.into_iter().flatten().collect()),
            None => (Journal::begin(&path, &header)?, Vec::new()),
        })
    }

    /// Writes what was drawn in a round, and the rows that it learns.
    pub fn write(&self, number: usize, rows: &Rows, groups: &[Group], set: &[u8]) -> Result<()> {
        let each = rows.rows.iter().zip(groups);
        let lines: Vec<_> = each.map(|(row, group)| written(row, group)).collect();
        write_atomic(&self.samples(number), &jsonl::to_bytes(&lines)?)?;
        write_atomic(&self.set(number), set)
    }

    /// A round's samples are written down: what was kept of them meanwhile goes.
    pub fn drawn(&self, number: usize) -> Result<()> {
        let path = partial(&self.samples(number));
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Makes the settings of a round's training name files where they will be.
    pub fn settle(&self, adapter: &Path) -> Result<()> {
        let (from, to) = (self.run.path(), &self.out);
        let moved = |value: &mut toml::Value| {
            let inside = value.as_str().map(Path::new);
            let inside = inside.and_then(|path| path.strip_prefix(from).ok());
            if let Some(there) =
                inside.and_then(|inside| to.join(inside).to_str().map(str::to_owned))
            {
                *value = there.into();
            }
        };
        for settings in all(adapter, SETTINGS)? {
            let cannot = || format!("cannot rewrite {}", settings.display());
            let text = fs::read_to_string(&settings).with_context(cannot)?;
            let mut table: toml::Table = toml::from_str(&text).with_context(cannot)?;
            table.iter_mut().for_each(|(_, value)| moved(value));
            write_atomic(&settings, toml::to_string(&table)?.as_bytes())?;
        }
        Ok(())
    }

    /// Writes a file of the run's adapter.
    pub fn put(&self, name: &str, content: &[u8]) -> Result<()> {
        self.run.write(name, content)
    }

    /// Makes a round's adapter the run's, with all that lies beside it but its settings.
    pub fn take(&self, number: usize) -> Result<()> {
        let folder = self.adapter(number);
        let cannot = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(cannot)? {
            let (path, name) = entry
                .map(|e| (e.path(), e.file_name()))
                .with_context(cannot)?;
            if path.is_file() && name != SETTINGS {
                self.put(
                    &name.to_string_lossy(),
                    &fs::read(&path).with_context(cannot)?,
                )?;
            }
        }
        Ok(())
    }

    /// Copies what lies beside the adapter `init` and is read with it.
    pub fn take_beside(&self, init: &Path) -> Result<()> {
        for name in [ngrams::FILE, asking::FILE, repair::FILE, CHAT_TEMPLATE] {
            let path = init.join(name);
            if path.exists() {
                let cannot = || format!("cannot read {}", path.display());
                self.put(name, &fs::read(&path).with_context(cannot)?)?;
            }
        }
        Ok(())
    }

    /// Writes what all rounds found.
    pub fn write_summary(&self, summary: &Summary) -> Result<()> {
        self.put(SUMMARY, &json(summary)?)
    }

    /// Moves the folder to its place.
    pub fn finish(self) -> Result<()> {
        self.run.finish()
    }
}

/// The files of that name in a folder and those in it.
fn all(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.is_dir() {
            found.extend(all(&path, name)?);
        } else if path.file_name().is_some_and(|own| own == name) {
            found.push(path);
        }
    }
    Ok(found)
}

/// What a run's stages depend on. The databases' own content is not read for it.
fn identity(config: &Config, sha256: &str) -> Result<Map<String, Value>> {
    let settings = config.settings.iter();
    let settings = settings.filter(|(name, _)| !FREE.contains(&name.as_str()));
    let mut identity: Map<String, Value> = settings
        .map(|(name, value)| Ok((name.clone(), serde_json::to_value(value)?)))
        .collect::<Result<_>>()?;
    let contents = [
        ("data", sha256.to_owned()),
        ("init", content(&config.init)?),
    ];
    for (name, sha256) in contents {
        identity.insert(format!("content of {name}"), sha256.into());
    }
    identity.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    Ok(identity)
}

/// The SHA-256 of an adapter: of its file, or of the files of its folder.
fn content(adapter: &Path) -> Result<String> {
    let cannot = || format!("cannot read {}", adapter.display());
    let mut files = vec![adapter.to_owned()];
    if adapter.is_dir() {
        let entries = fs::read_dir(adapter).with_context(cannot)?;
        files = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()
            .with_context(cannot)?;
        files.retain(|path| path.is_file());
        files.sort();
    }
    let mut hashes = String::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.strip_prefix(folder_of(adapter)).unwrap_or(&file);
        hashes += &format!("{} {}\n", name.display(), set::sha256(&bytes));
    }
    Ok(set::sha256(hashes.as_bytes()))
}

/// Removes the files that were being written in the folders of rounds when the run was stopped.
fn tidy(folder: &Path) -> Result<()> {
    let cannot = || format!("cannot write {}", folder.display());
    for round in fs::read_dir(folder).with_context(cannot)? {
        let round = round.with_context(cannot)?.path();
        if round.is_dir() {
            clear(&round, |name| name.starts_with('.'))?;
        }
    }
    Ok(())
}

/// Errors where what is done belongs to another run, naming what differs.
fn check(place: &str, known: &Map<String, Value>, own: &Map<String, Value>) -> Result<()> {
    let keys = known.keys().chain(own.keys());
    let mut different: Vec<&str> = keys
        .filter(|key| known.get(*key) != own.get(*key))
        .map(String::as_str)
        .collect();
    different.sort_unstable();
    different.dedup();
    ensure!(
        different.is_empty(),
        "{place} is of a run with other inputs or flags ({}): give the same, or remove it and start again",
        different.join(", ")
    );
    Ok(())
}
