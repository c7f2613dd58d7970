//! Rows drawn and judged, some of them at a time, so that an interrupted run goes on behind those that it has.

use super::draw::{self, Sample};
use super::rows::Rows;
use super::verdicts::Scorer;
use crate::answering::rows::named;
use crate::eval::judged::Judged;
use crate::generation::engine::Engine;
use crate::generation::sequence::Finish;
use crate::run::observer::Observer;
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Range;

/// Answers drawn between two verdicts, in batches: enough that the last rows of a part, which are few in flight, cost little.
const BATCHES: usize = 16;

/// A sample with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    pub sample: Sample,
    pub judged: Judged,
    /// The query in it, in the one form of all ways to write it.
    pub query: Option<String>,
}

impl Drawn {
    /// Whether it is right.
    pub fn passed(&self) -> bool {
        self.judged.passed()
    }
}

/// The samples of rows, each with the number of its row, and what became of them.
pub fn drawn(
    scorer: &mut Scorer,
    samples: Vec<(usize, Sample)>,
    observer: &dyn Observer,
) -> Result<Vec<Drawn>> {
    let replies = samples.iter().map(|(row, one)| (*row, one.text.as_deref()));
    let verdicts = scorer.verdicts(&replies.collect::<Vec<_>>(), observer)?;
    let each = samples.into_iter().zip(verdicts);
    let each = each.map(|((_, sample), judged)| Drawn {
        query: sample.text.as_deref().and_then(|text| scorer.query(text)),
        judged,
        sample,
    });
    Ok(each.collect())
}

/// How many different queries there are.
pub fn distinct<'d>(drawn: impl Iterator<Item = &'d Drawn>) -> usize {
    let queries = drawn.filter_map(|one| one.query.as_deref());
    queries.collect::<BTreeSet<_>>().len()
}

/// What was drawn of a row: the greedy answer, and the samples beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub greedy: Drawn,
    pub samples: Vec<Drawn>,
}

impl Group {
    /// How many of the samples are right.
    pub fn right(&self) -> usize {
        self.samples.iter().filter(|one| one.passed()).count()
    }
}

/// What rows are drawn with.
pub struct Rollouts<'a> {
    pub rows: &'a Rows,
    /// Token ids, one prompt a row.
    pub prompts: &'a [Vec<u32>],
    /// Its first sample of each row is greedy.
    pub engine: &'a Engine<'a>,
    /// Bytes of keys and values [default: as the rows need it].
    pub kv_memory: Option<usize>,
    pub observer: &'a dyn Observer,
}

impl Rollouts<'_> {
    /// Draws the samples of all rows, and judges them. The first rows are `done` already, as an interrupted run left them; of the others
    /// `keep` gets each part of the file that is complete. The parts are the same however often the work is interrupted, and so are the samples.
    ///
    /// Errors where the observer says stop.
    pub fn run(
        &self,
        scorer: &mut Scorer,
        done: Vec<Group>,
        mut keep: impl FnMut(&[Group]) -> Result<()>,
    ) -> Result<Vec<Group>> {
        let (all, mut groups) = (self.prompts.len(), done);
        let part = BATCHES * self.engine.batch / self.engine.sampler.samples;
        let part = part.max(1);
        ensure!(
            groups.len() == all || groups.len() < all && groups.len().is_multiple_of(part),
            "{} rows were kept of another run: start again",
            groups.len()
        );
        if !groups.is_empty() {
            let done = groups.len();
            self.observer
                .note(format_args!("going on after {done} rows"));
        }
        self.observer.begin(all, "rows")?;
        let mut work = || -> Result<()> {
            while groups.len() < all {
                let rows = groups.len()..all.min(groups.len() + part);
                let new = self.part(rows, scorer)?;
                keep(&new)?;
                groups.extend(new);
            }
            Ok(())
        };
        let worked = work();
        self.observer.end();
        worked?;
        warn(self.rows, &groups, self.observer);
        Ok(groups)
    }

    /// Of some rows, drawn and judged.
    fn part(&self, rows: Range<usize>, scorer: &mut Scorer) -> Result<Vec<Group>> {
        let Self {
            prompts,
            engine,
            observer,
            ..
        } = *self;
        let (first, samples) = (rows.start, engine.sampler.samples);
        let which: Vec<usize> = rows.collect();
        // One of its own: what other parts leave there moves the last bits of what is computed, and so now and then a draw.
        let asked = draw::repeated(prompts, &which, samples);
        let mut cache = engine.cache(&asked, &draw::places(&which, samples), self.kv_memory)?;
        let mut drawn = vec![Vec::new(); which.len()];
        let mut done = first;
        draw::each(engine, &mut cache, prompts, &which, observer, |row, own| {
            drawn[row - first] = own;
            done += 1;
            observer.done(done, format!("{samples} answers each"));
            Ok(())
        })?;
        judged(scorer, first, drawn, observer)
    }
}

/// The groups of some rows, the first of which is `first`, from their samples.
fn judged(
    scorer: &mut Scorer,
    first: usize,
    drawn: Vec<Vec<Sample>>,
    observer: &dyn Observer,
) -> Result<Vec<Group>> {
    let counts: Vec<usize> = drawn.iter().map(Vec::len).collect();
    let samples = (first..).zip(drawn);
    let samples = samples.flat_map(|(row, own)| own.into_iter().map(move |one| (row, one)));
    let mut all = self::drawn(scorer, samples.collect(), observer)?.into_iter();
    let mut groups = Vec::new();
    for count in counts {
        let mut own = all.by_ref().take(count);
        if let Some(greedy) = own.next() {
            groups.push(Group {
                greedy,
                samples: own.collect(),
            });
        }
    }
    Ok(groups)
}

/// Names the rows of which an answer is missing because the model's logits were no numbers.
fn warn(rows: &Rows, groups: &[Group], observer: &dyn Observer) {
    let broken = |group: &Group| {
        let mut all = group.samples.iter().chain([&group.greedy]);
        all.any(|one| one.sample.finish == Finish::Error)
    };
    let all = groups.iter().enumerate();
    let places: Vec<String> = all
        .filter(|(_, group)| broken(group))
        .map(|(row, _)| rows.place(row))
        .collect();
    if !places.is_empty() {
        observer.note(format_args!(
            "warning: answers are missing, and so not right, for logits that are no numbers: {}",
            named(&places)
        ));
    }
}
