//! Episodes that are played at once, turn by turn.

use super::call::{Call, Outcome};
use super::episode::{End, Episode, Turn};
use super::observation::clean;
use super::protocol::NoCall;
use super::table::{Table, Task};
use crate::generation::cache::Cache;
use crate::generation::engine::Engine;
use crate::generation::flight::Event;
use crate::generation::sequence::{Answer, Finish};
use crate::learning::draw::Sample;
use crate::sql::normalize::canonical;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Episodes that are played at once, by their places.
pub struct Wave<'w, 't> {
    table: &'w Table<'t>,
    tasks: &'w [Task],
    samples: usize,
    /// Of all places.
    tokens: &'w mut Vec<Vec<u32>>,
    open: BTreeMap<usize, Open>,
    /// Those that ended.
    pub played: BTreeMap<usize, Episode>,
}

/// An episode that goes on.
#[derive(Default)]
struct Open {
    written: Vec<Range<usize>>,
    logprobs: Vec<f32>,
    turns: Vec<Turn>,
    /// What was called so far.
    called: BTreeSet<Call>,
}

impl<'w, 't> Wave<'w, 't> {
    /// Those at `places`, whose prompts are among `tokens`.
    pub fn new(
        table: &'w Table<'t>,
        tasks: &'w [Task],
        samples: usize,
        tokens: &'w mut Vec<Vec<u32>>,
        places: &[usize],
    ) -> Self {
        let open = places.iter().map(|place| (*place, Open::default()));
        Self {
            table,
            tasks,
            samples,
            tokens,
            open: open.collect(),
            played: BTreeMap::new(),
        }
    }

    /// Draws a turn of all that go on, calls what they call, and tells them.
    pub fn turn(&mut self, engine: &Engine, cache: &mut Cache, turn: usize) -> Result<()> {
        let most = self.table.config.most;
        let room = |place: &usize| self.tokens[*place].len() + self.table.config.max_tokens <= most;
        let (live, full): (Vec<usize>, Vec<usize>) = self.open.keys().copied().partition(room);
        for place in full {
            self.end(place, End::Full);
        }
        let observer = self.table.observer;
        let mut drawn = BTreeMap::new();
        engine.answer(cache, self.tokens, &live, |event| {
            if observer.stops() {
                bail!("interrupted");
            }
            if let Event::Done { index, answer } = event {
                drawn.insert(index, answer);
            }
            Ok(())
        })?;
        let mut asking = Vec::new();
        for (place, answer) in drawn {
            let end = match answer.finish {
                Finish::TooLong => Some(End::Full),
                Finish::Error => Some(End::Error),
                _ => self.take(engine, place, answer)?,
            };
            match end {
                Some(end) => self.end(place, end),
                None => asking.push(place),
            }
        }
        let told = self.told(engine, &asking)?;
        let left = self.table.config.turns - turn - 1;
        for (place, told) in asking.into_iter().zip(told) {
            match left {
                0 => self.end(place, End::Turns),
                left => self.tell(place, told, left)?,
            }
        }
        Ok(())
    }

    /// Takes what was drawn as a turn; says whether the episode ends with it.
    fn take(&mut self, engine: &Engine, place: usize, answer: Answer) -> Result<Option<End>> {
        let cut = answer.finish == Finish::Length;
        let shown = engine.tokenizer.show(&answer.tokens)?;
        let said = engine.tokenizer.decode(&answer.tokens)?;
        let sample = Sample::from(answer);
        let (tokens, Some(open)) = (&mut self.tokens[place], self.open.get_mut(&place)) else {
            bail!("an episode that is not played was drawn");
        };
        let start = tokens.len();
        tokens.extend(&sample.tokens);
        open.written.push(start..tokens.len());
        open.logprobs.extend(&sample.logprobs);
        let (call, outcome, observed) = match self.table.protocol.call(&shown, cut) {
            Ok(call) => (Some(call), Outcome::Ok, None),
            Err(NoCall(why)) => (None, Outcome::Malformed, Some(why)),
        };
        let repeated = call.as_ref().is_some_and(|call| {
            let mut plain = call.clone();
            if let Some(query) = call.query() {
                plain
                    .arguments
                    .0
                    .insert("query".to_owned(), canonical(query).into());
            }
            !open.called.insert(plain)
        });
        let answers = call.as_ref().is_some_and(|call| call.answered().is_some());
        open.turns.push(Turn {
            said,
            call,
            outcome,
            repeated,
            observed,
        });
        Ok(answers.then_some(End::Answered))
    }

    /// What each of the episodes is told of its last turn's call.
    fn told(&mut self, engine: &Engine, places: &[usize]) -> Result<Vec<String>> {
        let call = |place: &usize| {
            let call = self.open.get(place)?.turns.last()?.call.as_ref()?;
            Some((self.tasks[place / self.samples].db.as_str(), call))
        };
        let calls: Vec<(&str, &Call)> = places.iter().filter_map(call).collect();
        let mut answers = self.table.tools.answers(&calls)?.into_iter();
        let most = self.table.config.observation;
        let mut told = Vec::new();
        for place in places {
            let open = self.open.get_mut(place);
            let turn = open.and_then(|open| open.turns.last_mut());
            let turn = turn.context("an episode without a turn")?;
            // One that called nothing knows why already.
            told.push(match turn.observed.take() {
                Some(why) => why,
                None => {
                    let said = answers.next().context("a tool did not answer")?;
                    turn.outcome = said.outcome;
                    clean(engine.tokenizer, &said.text, most)?
                }
            });
        }
        Ok(told)
    }

    /// Puts what an episode is told behind its last turn.
    fn tell(&mut self, place: usize, told: String, left: usize) -> Result<()> {
        let (tokens, Some(open)) = (&mut self.tokens[place], self.open.get_mut(&place)) else {
            bail!("an episode that is not played was told something");
        };
        let drawn = open.written.last().cloned().unwrap_or_default();
        let hears = self.table.protocol.hears(&told, left);
        let behind = self.table.renderer.behind(&tokens[drawn], vec![hears])?;
        tokens.extend(behind);
        if let Some(turn) = open.turns.last_mut() {
            turn.observed = Some(told);
        }
        Ok(())
    }

    fn end(&mut self, place: usize, end: End) {
        let Open {
            written,
            logprobs,
            turns,
            ..
        } = self.open.remove(&place).unwrap_or_default();
        let episode = Episode {
            tokens: std::mem::take(&mut self.tokens[place]),
            written,
            logprobs,
            turns,
            end,
        };
        self.played.insert(place, episode);
    }
}
