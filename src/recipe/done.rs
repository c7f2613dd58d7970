//! What a stage leaves when it is done: its `stage.json`.

use crate::run::files::{folder_of, json, write_atomic};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The file's name. It is written last: where it is, the stage is done.
pub const FILE: &str = "stage.json";

/// A stage that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// Its name in the recipe, with the matrix values it stands for: `train[rank=4]`.
    pub stage: String,
    /// What the outputs depend on, as one hash.
    pub key: String,
    /// As a person could type it.
    pub command: Vec<String>,
    /// The program's version.
    pub version: String,
    pub program_sha256: String,
    pub inputs: Vec<Input>,
    /// `main`, and others by the names of their flags.
    pub outputs: BTreeMap<String, PathBuf>,
    /// The hashes of the outputs when the stage was done, by the same names.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
    pub seconds: f64,
    /// Most memory that its process had, where the system says it.
    pub peak_rss_mb: Option<f64>,
    /// RFC 3339.
    pub finished: String,
}

/// A file or folder that a stage read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub path: PathBuf,
    /// Of a file's bytes; of a folder's files by their names.
    pub sha256: String,
    /// Lines of a JSONL file that are not empty.
    pub rows: Option<usize>,
}

impl Done {
    /// The one in a stage's folder; none where there is none that can be read.
    pub fn read(folder: &Path) -> Option<Self> {
        let bytes = fs::read(folder.join(FILE)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Writes it into a stage's folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_atomic(&folder.join(FILE), &json(self)?)
    }

    /// Every one under `stages`, the oldest first.
    pub fn all(stages: &Path) -> Result<Vec<Self>> {
        let cannot = || format!("cannot read {}", stages.display());
        let mut all = Vec::new();
        if !stages.exists() {
            return Ok(all);
        }
        for entry in fs::read_dir(stages).with_context(cannot)? {
            all.extend(Self::read(&entry.with_context(cannot)?.path()));
        }
        all.sort_by(|a, b| (&a.finished, &a.key).cmp(&(&b.finished, &b.key)));
        Ok(all)
    }

    /// The folder that the stage worked in: it holds the outputs, and `log`.
    pub fn folder(&self) -> Result<&Path> {
        Ok(folder_of(self.main()?))
    }

    /// The main output.
    pub fn main(&self) -> Result<&Path> {
        let main = self.outputs.get("main").map(PathBuf::as_path);
        main.with_context(|| format!("stage {}: it has no output \"main\"", self.stage))
    }

    /// What it said, if that is still there.
    pub fn log(&self) -> Option<String> {
        let bytes = fs::read(self.folder().ok()?.join("log")).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The values that the command gives a flag, in their order.
    pub fn values(&self, flag: &str) -> Vec<String> {
        let own = flags(&self.command)
            .into_iter()
            .filter(|(name, _)| *name == flag);
        own.filter_map(|(_, value)| value.map(str::to_owned))
            .collect()
    }

    /// The command's own name: `sft`, `route fit`.
    pub fn name(&self) -> String {
        let words: Vec<&str> = self.command.iter().skip(1).map(String::as_str).collect();
        match words[..] {
            [
                group @ ("adapter" | "data" | "model" | "route"),
                command,
                ..,
            ] if !command.starts_with('-') => {
                format!("{group} {command}")
            }
            [command, ..] => command.to_owned(),
            [] => String::new(),
        }
    }
}

/// The flags of a command in their order, each with its value; a switch has none.
pub fn flags(command: &[String]) -> Vec<(&str, Option<&str>)> {
    let mut flags = Vec::new();
    let mut words = command.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            _ if !word.starts_with("--") => {}
            Some((flag, value)) => flags.push((flag, Some(value))),
            None => flags.push((word, words.next_if(|next| !next.starts_with("--")))),
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_a_command_are_found() {
        let done = Done {
            stage: "s".to_owned(),
            key: "k".to_owned(),
            command: [
                "factory",
                "route",
                "fit",
                "--adapter",
                "a=x y",
                "--adapter=b=z",
                "--out",
                "o",
            ]
            .map(str::to_owned)
            .to_vec(),
            version: String::new(),
            program_sha256: String::new(),
            inputs: Vec::new(),
            outputs: [(
                "main".to_owned(),
                PathBuf::from("runs/stages/s-k/router.json"),
            )]
            .into(),
            sha256: BTreeMap::new(),
            seconds: 0.0,
            peak_rss_mb: None,
            finished: String::new(),
        };
        assert_eq!(done.values("--adapter"), ["a=x y", "b=z"]);
        assert_eq!(done.name(), "route fit");
        assert_eq!(done.folder().unwrap(), Path::new("runs/stages/s-k"));
    }
}
