//! Every answer that was drawn, a line each: what a run was taught by, and what a run goes on from that was stopped between two steps on the
//! same answers.

use crate::learning::draw::Sample;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file.
const FILE: &str = "rollouts.jsonl";

/// An answer with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Which drawing, from 0.
    pub turn: usize,
    /// The row's place among all, and its `file:line`.
    pub row: usize,
    pub place: String,
    /// Whether its group is learned from.
    pub learned: bool,
    pub passed: bool,
    pub failure: Option<String>,
    pub reward: Option<f64>,
    pub advantage: f64,
    #[serde(flatten)]
    pub sample: Sample,
    /// log p of its tokens before the first step on them; where there are several steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Vec<f32>>,
}

/// The file of a run's folder.
pub struct Kept {
    path: PathBuf,
}

impl Kept {
    pub fn new(folder: &Path) -> Self {
        Self {
            path: folder.join(FILE),
        }
    }

    /// The lines of `turn`. Those of later turns go: they will come again.
    pub fn back_to(&self, turn: usize) -> Result<Vec<Line>> {
        let name = || self.path.display().to_string();
        let text = match fs::read_to_string(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.with_context(name)?,
        };
        let (mut kept, mut found) = (String::new(), Vec::new());
        for line in text.split_inclusive('\n') {
            // The last one may be half written.
            let Ok(read) = serde_json::from_str::<Line>(line) else {
                break;
            };
            if read.turn > turn {
                break;
            }
            kept += line;
            if read.turn == turn {
                found.push(read);
            }
        }
        crate::run::files::write_atomic(&self.path, kept.as_bytes())?;
        Ok(found)
    }

    /// Adds lines.
    pub fn add(&self, lines: &[Line]) -> Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path);
        file.and_then(|mut file| file.write_all(&bytes))
            .with_context(cannot)
    }
}
