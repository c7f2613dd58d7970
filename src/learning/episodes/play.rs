//! Playing: many episodes in lockstep, a turn of all of them at a time.

use super::call::{Call, Outcome};
use super::episode::{End, Episode, Turn};
use super::observation::clean;
use super::protocol::{NoCall, Protocol};
use super::tools::Tools;
use crate::data::template::Renderer;
use crate::generation::cache::Cache;
use crate::generation::engine::Engine;
use crate::generation::flight::Event;
use crate::generation::memory::Need;
use crate::generation::sampler::SamplerConfig;
use crate::generation::sequence::{Answer, Finish};
use crate::generation::stop::StopConfig;
use crate::learning::draw::{self, Sample};
use crate::run::observer::Observer;
use crate::sql::normalize::canonical;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How episodes are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Most turns of an episode.
    pub turns: usize,
    /// Longest turn in tokens.
    pub max_tokens: usize,
    /// Longest observation in tokens.
    pub observation: usize,
    /// Bytes for the keys and values of the episodes that are played at once.
    pub kv_memory: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            turns: 6,
            max_tokens: 256,
            observation: 512,
            kv_memory: 1 << 30,
        }
    }
}

/// Tokens of an observation's own form, generously.
const FORM: usize = 64;

/// What an episode begins with.
#[derive(Debug, Clone)]
pub struct Task {
    pub db: String,
    /// Token ids; see [`Protocol::begin`].
    pub prompt: Vec<u32>,
}

/// What an episode is played with.
pub struct Table<'a> {
    pub config: Config,
    pub protocol: Protocol,
    pub renderer: &'a Renderer<'a>,
    pub tools: &'a dyn Tools,
    pub observer: &'a dyn Observer,
}

/// Plays `sampler.samples` episodes of each of the tasks `which`, whose order they are in. `engine` makes what draws a turn.
///
/// What is drawn for a task depends on the sampler's seed and its place among `tasks`, not on the others that are played. As many episodes are
/// played at once as the engine takes; their beginnings are computed once.
///
/// Errors where the observer says stop, and where a database or a server of tools is gone.
pub fn play<'e>(
    table: &Table,
    engine: &dyn Fn(SamplerConfig, StopConfig) -> Engine<'e>,
    tasks: &[Task],
    which: &[usize],
    sampler: &SamplerConfig,
) -> Result<Vec<Vec<Episode>>> {
    let samples = sampler.samples;
    let places = draw::places(which, samples);
    let mut tokens = vec![Vec::new(); tasks.len() * samples];
    for &place in &places {
        tokens[place] = tasks[place / samples].prompt.clone();
    }
    let stop = StopConfig {
        max_tokens: table.config.max_tokens,
        stop: table.protocol.stops(),
    };
    let first = engine(sampler.clone(), stop.clone());
    let mut cache = table.cache(&first, places.iter().map(|place| tokens[*place].len()))?;
    let mut played = BTreeMap::new();
    for places in places.chunks(first.batch.max(1)) {
        let mut wave = Wave {
            table,
            tasks,
            samples,
            tokens: &mut tokens,
            open: places
                .iter()
                .map(|place| (*place, Open::default()))
                .collect(),
            played: &mut played,
        };
        for turn in 0..table.config.turns {
            // Another stream for each turn, and none that another step of training has.
            let sampler = SamplerConfig {
                seed: draw::seed(sampler.seed.rotate_left(23), turn as u64),
                ..sampler.clone()
            };
            wave.turn(&engine(sampler, stop.clone()), &mut cache, turn)?;
        }
    }
    let mut episodes = places.iter().filter_map(|place| played.remove(place));
    let own = which
        .iter()
        .map(|_| episodes.by_ref().take(samples).collect());
    Ok(own.collect())
}

impl Table<'_> {
    /// A cache for episodes whose prompts have so many tokens. Errors where it does not hold one of them.
    fn cache(&self, engine: &Engine, prompts: impl Iterator<Item = usize>) -> Result<Cache> {
        let Config {
            turns,
            max_tokens,
            observation,
            kv_memory,
        } = self.config;
        let most = engine.decoder.config.max_position_embeddings;
        let grows = turns.saturating_sub(1) * (max_tokens + observation + FORM);
        let longest = prompts.map(|prompt| (prompt + grows).min(most.saturating_sub(max_tokens)));
        let longest: Vec<usize> = longest.collect();
        let need = Need::of(engine.decoder, &longest, &engine.stop, engine.batch);
        let blocks = need.map(|need| {
            let wanted = kv_memory.max(need.row);
            need.blocks(engine.batch, engine.memory, Some(wanted))
        });
        Cache::new(engine.decoder, blocks.transpose()?.unwrap_or(1))
    }
}

/// Episodes that are played at once, by their places.
struct Wave<'w, 't> {
    table: &'w Table<'t>,
    tasks: &'w [Task],
    samples: usize,
    /// Of all places.
    tokens: &'w mut Vec<Vec<u32>>,
    open: BTreeMap<usize, Open>,
    played: &'w mut BTreeMap<usize, Episode>,
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

impl Wave<'_, '_> {
    /// Draws a turn of all that go on, calls what they call, and tells them.
    fn turn(&mut self, engine: &Engine, cache: &mut Cache, turn: usize) -> Result<()> {
        let live: Vec<usize> = self.open.keys().copied().collect();
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
        let told = self.told(&asking)?;
        let left = self.table.config.turns - turn - 1;
        for (place, said) in asking.into_iter().zip(told) {
            match left {
                0 => self.end(place, End::Turns),
                left => self.tell(engine, place, &said, left)?,
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
    fn told(&mut self, places: &[usize]) -> Result<Vec<String>> {
        let last = |place: &usize| self.open.get(place).and_then(|open| open.turns.last());
        let call = |place: &usize| {
            let call = last(place)?.call.as_ref()?;
            Some((self.tasks[place / self.samples].db.as_str(), call))
        };
        let calls: Vec<(&str, &Call)> = places.iter().filter_map(call).collect();
        let mut answers = self.table.tools.answers(&calls)?.into_iter();
        let mut told = Vec::new();
        for place in places {
            let turn = self
                .open
                .get_mut(place)
                .and_then(|open| open.turns.last_mut());
            let turn = turn.context("an episode without a turn")?;
            // One that called nothing knows why already.
            told.push(match (turn.call.is_some(), turn.observed.take()) {
                (true, _) => {
                    let said = answers.next().context("a tool did not answer")?;
                    turn.outcome = said.outcome;
                    said.text
                }
                (false, why) => why.unwrap_or_default(),
            });
        }
        Ok(told)
    }

    /// Puts what an episode is told behind its last turn.
    fn tell(&mut self, engine: &Engine, place: usize, said: &str, left: usize) -> Result<()> {
        let table = self.table;
        let shown = clean(engine.tokenizer, said, table.config.observation)?;
        let (tokens, Some(open)) = (&mut self.tokens[place], self.open.get_mut(&place)) else {
            bail!("an episode that is not played was told something");
        };
        let drawn = open.written.last().cloned().unwrap_or_default();
        let hears = table.protocol.hears(&shown, left);
        let behind = table.renderer.behind(&tokens[drawn], vec![hears])?;
        tokens.extend(behind);
        if let Some(turn) = open.turns.last_mut() {
            turn.observed = Some(shown);
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
