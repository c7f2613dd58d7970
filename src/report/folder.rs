//! A run folder as a report reads it: what is missing or cannot be read is noted, and the rest is shown.

use super::fact::State;
use crate::eval::score::{self, ScoredRow};
use anyhow::{Result, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes of a file that holds no rows.
const MOST: u64 = 64 << 20;

/// A file that the report would have shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lack {
    pub file: String,
    pub state: State,
    pub note: String,
}

/// An open run folder.
pub struct Folder {
    path: PathBuf,
    /// What was asked for and is not to be had, in the order of asking.
    pub lacks: Vec<Lack>,
}

impl Folder {
    /// Errors where there is no folder, or none of a run.
    pub fn open(path: &Path) -> Result<Self> {
        ensure!(
            path.is_dir(),
            "{} is no folder (check the path)",
            path.display()
        );
        let has = |name: &&str| path.join(name).is_file();
        ensure!(
            [
                "config.json",
                "run-status.json",
                "decision.json",
                "gates.json"
            ]
            .iter()
            .any(has),
            "{} is no run folder: it has neither config.json nor run-status.json",
            path.display()
        );
        Ok(Self {
            path: path.to_owned(),
            lacks: Vec::new(),
        })
    }

    /// The folder's own name, or `.`.
    pub fn name(&self) -> String {
        let path = self
            .path
            .canonicalize()
            .unwrap_or_else(|_| self.path.clone());
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| ".".to_owned())
    }

    /// Where a file of it is.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether a file of that name is there.
    pub fn has(&self, name: &str) -> bool {
        self.at(name).is_file()
    }

    /// Notes that something is not to be had.
    pub fn lack(&mut self, file: &str, state: State, note: impl Into<String>) {
        let (file, note) = (file.to_owned(), note.into());
        self.lacks.push(Lack { file, state, note });
    }

    /// What a JSON file holds; null where it is not to be had, which is noted.
    pub fn json(&mut self, name: &str) -> Value {
        self.parse(name, |text| Ok(serde_json::from_str(text)?))
            .unwrap_or_default()
    }

    /// A JSON file of a known shape.
    pub fn shaped<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        self.parse(name, |text| Ok(serde_json::from_str(text)?))
    }

    /// A JSON object on each line.
    pub fn lines(&mut self, name: &str) -> Vec<Value> {
        let each = |text: &str| {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
        };
        self.parse(name, each).unwrap_or_default()
    }

    /// A text file; `None` where it is not to be had, which is noted.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.parse(name, |text| Ok(text.to_owned()))
    }

    /// [`Self::json`] of a file that need not be there.
    pub fn optional_json(&mut self, name: &str) -> Value {
        match self.has(name) {
            true => self.json(name),
            false => Value::Null,
        }
    }

    fn parse<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T>) -> Option<T> {
        if !self.has(name) {
            self.lack(name, State::Missing, "the file is not there");
            return None;
        }
        match read(&self.at(name)).and_then(|text| parse(&text)) {
            Ok(found) => Some(found),
            Err(error) => {
                self.lack(
                    name,
                    State::Missing,
                    format!("the file cannot be read: {error:#}"),
                );
                None
            }
        }
    }

    /// The scored rows of a gate, of `candidate` or `baseline`.
    pub fn rows(&mut self, gate: &str, who: &str) -> Option<Vec<ScoredRow>> {
        let name = format!("rows/{gate}.{who}.jsonl");
        // A name that leads out of the folder is none of a gate.
        if gate.contains(['/', '\\']) || !self.has(&name) {
            self.lack(&name, State::Missing, "the file is not there");
            return None;
        }
        match score::read(&self.at(&name)) {
            Ok(rows) => Some(rows),
            Err(error) => {
                self.lack(
                    &name,
                    State::Missing,
                    format!("the file cannot be read: {error:#}"),
                );
                None
            }
        }
    }

    /// The files of a folder in it, by name, with the number of their lines.
    pub fn files(&self, name: &str) -> Vec<(String, usize)> {
        let entries = fs::read_dir(self.at(name)).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .filter(|entry| entry.path().is_file())
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let lines = read(&entry.path()).ok()?.lines().count();
                Some((name, lines))
            })
            .collect();
        files.sort();
        files
    }
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MOST + 1).read_to_string(&mut text)?;
    ensure!(read as u64 <= MOST, "it is larger than {} MB", MOST >> 20);
    Ok(text)
}
