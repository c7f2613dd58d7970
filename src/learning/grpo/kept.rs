//! Every answer that was drawn, a line each: what a run was taught by, and what a run goes on from that was stopped between two steps on the
//! same answers.

use crate::learning::draw::Sample;
use crate::learning::episodes::summary;
use crate::training::objective::policy::Advantage;
use crate::training::sft::Example;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// The file.
const FILE: &str = "rollouts.jsonl";

/// An answer with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Which drawing, from 0.
    pub turn: usize,
    /// The row's place among all.
    pub row: usize,
    /// Whether its group is learned from.
    pub learned: bool,
    pub reward: Option<f64>,
    #[serde(flatten)]
    pub drawn: One,
    /// log p of its tokens before the first step on them; where there are several steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Vec<f32>>,
}

/// What was drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum One {
    Episode(Box<Played>),
    Answer(Answer),
}

/// An episode, as `episodes run` writes them too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Played {
    /// One a turn, like its advantages.
    pub step_rewards: Vec<f64>,
    pub advantages: Vec<f64>,
    #[serde(flatten)]
    pub line: summary::Line,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// `file:line` of its row.
    pub place: String,
    pub passed: bool,
    pub failure: Option<String>,
    pub advantage: f64,
    #[serde(flatten)]
    pub sample: Sample,
}

impl One {
    /// What is learned of it, behind the row's `prompt` (token ids): what the model drew.
    pub fn example(&self, prompt: &[u32]) -> Example {
        match self {
            Self::Episode(played) => played.line.episode.example(),
            Self::Answer(answer) => Example::new(prompt, &answer.sample.tokens),
        }
    }

    /// The advantage of its labels.
    pub fn advantage(&self) -> Advantage {
        let played = match self {
            Self::Answer(answer) => return answer.advantage.into(),
            Self::Episode(played) => played,
        };
        let turns = played.line.episode.written.iter().zip(&played.advantages);
        let labels = turns.flat_map(|(run, advantage)| std::iter::repeat_n(*advantage, run.len()));
        Advantage::Labels(labels.collect())
    }

    /// What the sampler said of its labels.
    pub fn logprobs(&self) -> &[f32] {
        match self {
            Self::Episode(played) => &played.line.episode.logprobs,
            Self::Answer(answer) => &answer.sample.logprobs,
        }
    }
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

    /// Whether any of the run's answers were learned from.
    pub fn taught(&self) -> Result<bool> {
        Ok(self.turns()?.into_values().any(|learned| learned))
    }

    /// How many of the last drawings had nothing that was learned from.
    pub fn alike(&self) -> Result<usize> {
        let turns = self.turns()?.into_values().rev();
        Ok(turns.take_while(|learned| !learned).count())
    }

    /// Whether anything of a drawing was learned from.
    fn turns(&self) -> Result<BTreeMap<usize, bool>> {
        #[derive(Deserialize)]
        struct Said {
            turn: usize,
            learned: bool,
        }
        let cannot = || format!("cannot read {}", self.path.display());
        let file = File::open(&self.path).with_context(cannot)?;
        let mut turns = BTreeMap::new();
        for line in BufReader::new(file).lines() {
            let said: Said = serde_json::from_str(&line.with_context(cannot)?)?;
            *turns.entry(said.turn).or_default() |= said.learned;
        }
        Ok(turns)
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
