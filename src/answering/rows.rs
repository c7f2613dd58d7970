//! The answers to a file's rows. Each goes to a journal as it comes, so that what stops a run costs the rows in flight alone.

use crate::data::jsonl::Line;
use crate::generation::cache::Cache;
use crate::generation::engine::Engine;
use crate::generation::flight::Event;
use crate::generation::sequence::{Answer, Finish};
use crate::generation::stop::StopConfig;
use crate::generation::usage::Usage;
use crate::model::config::Config;
use crate::run::journal::Journal;
use crate::run::observer::Observer;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// Two best logits nearer than this may change places with the batch size.
pub const TIE: f32 = 1e-3;

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `None` where there is no answer.
    pub text: Option<String>,
    pub finish: Finish,
    /// How many were generated.
    pub tokens: usize,
    /// Whether two best logits were within [`TIE`].
    pub tie: bool,
    /// The mean of its tokens' log-probabilities, if they were asked for.
    pub logprob: Option<f64>,
    /// Whether rules left no token, and the answer went on without them.
    #[serde(default)]
    pub freed: bool,
}

impl From<Answer> for Row {
    fn from(answer: Answer) -> Self {
        Self {
            logprob: answer.mean_logprob(),
            text: answer.text,
            finish: answer.finish,
            tokens: answer.tokens.len(),
            tie: answer.min_gap < TIE,
            freed: answer.freed,
        }
    }
}

/// The rows of one run, some of them answered: all of a file, or a part of them.
pub struct Rows {
    part: Range<usize>,
    /// Of the whole file up to the part's end.
    rows: Vec<Option<Row>>,
    journal: Option<Journal>,
}

impl Rows {
    /// The rows at those places, none answered and none kept.
    pub fn unkept(part: Range<usize>) -> Self {
        Self {
            rows: vec![None; part.end],
            part,
            journal: None,
        }
    }

    /// The rows at those places, whose answers are kept in `journal`; with `resume` those that are there already are taken from it. Errors
    /// where they are of a run with another `identity`, or would be lost.
    pub fn kept(
        part: Range<usize>,
        journal: &Path,
        identity: &impl Serialize,
        resume: bool,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let (opened, pieces) = Journal::open::<(usize, Row)>(journal, identity, resume, observer)?;
        let mut rows = vec![None; part.end];
        for (place, row) in pieces {
            match part.contains(&place) {
                true => rows[place] = Some(row),
                false => bail!("{}: not a journal of these rows", journal.display()),
            }
        }
        let journal = Some(opened);
        Ok(Self {
            part,
            rows,
            journal,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.part.len()
    }

    /// How many are answered.
    pub fn done(&self) -> usize {
        self.rows.iter().flatten().count()
    }

    /// The places of those that are not.
    pub fn waiting(&self) -> Vec<usize> {
        let all = self.part.clone();
        all.filter(|place| self.rows[*place].is_none()).collect()
    }

    /// Answers what waits, over `cache`. `observe` is called at every token, with the row that it completes; its error ends the work.
    pub fn answer(
        &mut self,
        engine: &Engine,
        cache: &mut Cache,
        prompts: &[Vec<u32>],
        mut observe: impl FnMut(Option<&Row>) -> Result<()>,
    ) -> Result<Usage> {
        engine.answer(cache, prompts, &self.waiting(), |event| {
            let Event::Done { index, answer } = event else {
                return observe(None);
            };
            let row = Row::from(answer);
            if let Some(journal) = &mut self.journal {
                journal.add(&(index, &row))?;
            }
            observe(Some(self.rows[index].insert(row)))
        })
    }

    /// Those that are answered, with their places.
    pub fn answered(&self) -> impl Iterator<Item = (usize, &Row)> {
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(place, row)| Some((place, row.as_ref()?)))
    }

    /// Takes the journal away: the answers are written, or there are none.
    pub fn end(self) -> Result<()> {
        match self.journal {
            Some(journal) => journal.remove(),
            None => Ok(()),
        }
    }
}

/// `stop 4, stop_text 0, length 2`: how the rows ended; other kinds where there are any.
pub fn counts<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut counts: BTreeMap<Finish, usize> = BTreeMap::new();
    for finish in [Finish::Stop, Finish::Length, Finish::StopText] {
        counts.insert(finish, 0);
    }
    for row in rows {
        *counts.entry(row.finish).or_default() += 1;
    }
    let counts = counts.iter().map(|(f, n)| format!("{} {n}", f.name()));
    counts.collect::<Vec<_>>().join(", ")
}

/// Where each prompt that does not fit the model stands, and why it does not.
pub fn too_long(
    path: &Path,
    lines: &[Line],
    prompts: &[Vec<u32>],
    stop: &StopConfig,
    model: &Config,
) -> Vec<String> {
    let rows = lines.iter().zip(prompts);
    let faults = rows.filter_map(|(line, prompt)| {
        let reason = stop.too_long(prompt.len(), model)?;
        Some(format!("{}:{}: {reason}", path.display(), line.number))
    });
    faults.collect()
}

/// Each of `of` so often, one behind the other.
pub fn repeated<T: Clone>(of: &[T], times: usize) -> Vec<T> {
    let repeated = of.iter().flat_map(|one| std::iter::repeat_n(one, times));
    repeated.cloned().collect()
}

/// Most faults that one message names.
const NAMED: usize = 20;

/// The faults in one line, the first of them in words.
pub fn named(faults: &[String]) -> String {
    let text = faults[..faults.len().min(NAMED)].join("; ");
    match faults.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}
