//! Played episodes as a file has them, and what can be told of them all.

use super::call::Outcome;
use super::episode::{End, Episode};
use super::protocol::Protocol;
use super::tasks::Scored;
use crate::data::jsonl;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A line of what a run writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// `file:line` of its row.
    pub place: String,
    pub id: Option<String>,
    pub db: String,
    /// Which of the row's episodes, from 0.
    pub sample: usize,
    pub protocol: Protocol,
    /// The text that it begins with, special tokens shown.
    pub opening: String,
    /// Whether its answer is right; `None` where the row has no reference.
    pub passed: Option<bool>,
    pub failure: Option<String>,
    /// Why its answer's query gave no rows.
    pub error: Option<String>,
    /// The query that it answers with, empty where it came to none: what `eval-sql` scores.
    pub predicted_sql: String,
    #[serde(flatten)]
    pub scored: Scored,
    #[serde(flatten)]
    pub episode: Episode,
}

/// What can be told of episodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    pub rows: usize,
    pub episodes: usize,
    /// Of those that were judged, how many are right.
    pub passed: usize,
    pub judged: usize,
    /// How many ended how.
    pub ends: BTreeMap<End, usize>,
    /// Turns of all episodes, and of those how many
    pub turns: usize,
    /// called what had been called before,
    pub repeated: usize,
    /// were told an error by a tool, of a table that is not there or another,
    pub errors: usize,
    pub unknown_tables: usize,
    /// had no call in them.
    pub malformed: usize,
    /// Tokens that were drawn.
    pub drawn: usize,
    /// Seconds that playing took.
    pub seconds: f64,
}

impl Line {
    /// Reads a file that a run wrote. Errors name the line.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        let lines = jsonl::read_own(path)?.into_iter();
        let lines = lines.map(|line| {
            let place = format!("{}:{}", path.display(), line.number);
            let read = serde_json::from_value(line.into_fields().into());
            read.with_context(|| format!("{place}: no episode that `episodes run` wrote"))
        });
        lines.collect()
    }
}

impl Summary {
    /// Of the episodes of a run.
    pub fn of(lines: &[Line]) -> Self {
        let rows: BTreeSet<&str> = lines.iter().map(|line| line.place.as_str()).collect();
        let mut found = Self {
            rows: rows.len(),
            episodes: lines.len(),
            ..Self::default()
        };
        for line in lines {
            let Episode {
                written,
                turns,
                end,
                ..
            } = &line.episode;
            found.judged += usize::from(line.passed.is_some());
            found.passed += usize::from(line.passed == Some(true));
            *found.ends.entry(*end).or_default() += 1;
            found.turns += turns.len();
            found.drawn += written.iter().map(ExactSizeIterator::len).sum::<usize>();
            for turn in turns {
                found.repeated += usize::from(turn.repeated);
                *match turn.outcome {
                    Outcome::Ok => continue,
                    Outcome::Error => &mut found.errors,
                    Outcome::UnknownTable => &mut found.unknown_tables,
                    Outcome::Malformed => &mut found.malformed,
                } += 1;
            }
        }
        found
    }
}
