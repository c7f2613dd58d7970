//! Prompts to answers, all of a file or of a trial.

use super::cache::Cache;
use super::constraint::Grammar;
use super::flight::{Event, Flight, Model};
use super::memory::{Need, step_tokens};
use super::sampler::{Sampler, SamplerConfig};
use super::scheduler::Limits;
use super::sequence::{Answer, Asked, Finish};
use super::stop::{StopConfig, Stops};
use super::usage::Usage;
use crate::adapters::bank::{Bank, Mixture};
use crate::adapters::ngrams::Ngrams;
use crate::model::allocator;
use crate::model::decoder::Decoder;
use crate::model::tokenizer::Tokenizer;
use anyhow::{Result, ensure};
use std::sync::Arc;

/// What the engine runs on.
pub struct Engine<'a> {
    pub decoder: &'a Decoder,
    pub tokenizer: &'a Tokenizer,
    /// What changes the base; none is the base alone.
    pub adapters: Option<Adapters<'a>>,
    pub sampler: SamplerConfig,
    pub stop: StopConfig,
    /// Most sequences in flight.
    pub batch: usize,
    /// Bytes that keys, values and a step's activations may take: fewer sequences are in flight where they would take more.
    pub memory: usize,
    /// Guess ahead, by the tables of the bank's adapters and by what a row has said; `None` guesses nothing. The answers are the same, in
    /// f32 but for ties.
    pub speculation: Option<&'a [Option<Ngrams>]>,
    /// What the answer to each prompt is held to; empty where none is held to anything.
    pub grammars: Vec<Option<Arc<dyn Grammar>>>,
}

/// Adapters, and which of them each prompt gets.
pub struct Adapters<'a> {
    pub bank: &'a Bank,
    pub mixtures: Vec<Mixture>,
    /// For each prompt its place in `mixtures`; empty where all get the first.
    pub choice: Vec<usize>,
}

impl Adapters<'_> {
    fn of(&self, prompt: usize) -> usize {
        self.choice.get(prompt).copied().unwrap_or(0)
    }
}

impl Engine<'_> {
    /// What became of each of `prompts` (token ids), in their order.
    pub fn generate(&self, prompts: &[Vec<u32>]) -> Result<Vec<Answer>> {
        let all: Vec<usize> = (0..prompts.len()).collect();
        let mut cache = self.cache(prompts, &all, None)?;
        Ok(self.generate_over(&mut cache, prompts)?.0)
    }

    /// [`Self::generate`] over a cache, as [`Self::answer`].
    pub fn generate_over(
        &self,
        cache: &mut Cache,
        prompts: &[Vec<u32>],
    ) -> Result<(Vec<Answer>, Usage)> {
        let mut answers: Vec<Option<Answer>> = prompts.iter().map(|_| None).collect();
        let all: Vec<usize> = (0..prompts.len()).collect();
        let usage = self.answer(cache, prompts, &all, |event| {
            if let Event::Done { index, answer } = event {
                answers[index] = Some(answer);
            }
            Ok(())
        })?;
        Ok((answers.into_iter().flatten().collect(), usage))
    }

    /// What the rows `which` of `prompts` take, those left out that do not fit the model; `None` where no row does.
    pub fn need(&self, prompts: &[Vec<u32>], which: &[usize]) -> Option<Need> {
        let lengths = which.iter().map(|&i| prompts[i].len());
        let lengths: Vec<usize> = lengths.filter(|&length| self.fits(length)).collect();
        Need::of(self.decoder, &lengths, &self.stop, self.batch)
    }

    fn fits(&self, length: usize) -> bool {
        self.stop.too_long(length, &self.decoder.config).is_none()
    }

    /// An empty cache for the rows `which` of `prompts`: of `wanted` bytes, or as these rows need it.
    pub fn cache(
        &self,
        prompts: &[Vec<u32>],
        which: &[usize],
        wanted: Option<usize>,
    ) -> Result<Cache> {
        let need = self.need(prompts, which);
        let blocks = need.map(|need| need.blocks(self.batch, self.memory, wanted));
        // Where there are no rows, none is used.
        Cache::new(self.decoder, blocks.transpose()?.unwrap_or(1))
    }

    /// Answers the rows `which` of `prompts`, each as it would be answered among all, over a cache of this decoder in which beginnings
    /// of prompts may be already, and stay. An error of `observe` ends it.
    pub fn answer(
        &self,
        cache: &mut Cache,
        prompts: &[Vec<u32>],
        which: &[usize],
        mut observe: impl FnMut(Event) -> Result<()>,
    ) -> Result<Usage> {
        for &index in which {
            ensure!(!prompts[index].is_empty(), "a prompt has no tokens");
            if let Some(adapters) = &self.adapters {
                let known = adapters.of(index) < adapters.mixtures.len();
                ensure!(known, "a prompt chooses a mixture that is not there");
            }
        }
        allocator::keep_freed_memory();
        let fits = |index: &usize| self.fits(prompts[*index].len());
        let (mut fitting, long): (Vec<usize>, Vec<usize>) = which.iter().copied().partition(fits);
        for index in long {
            let answer = Answer::none(Finish::TooLong);
            observe(Event::Done { index, answer })?;
        }
        // Rows that begin alike follow each other: a small table then holds what they share.
        fitting.sort_by_key(|&index| (self.mixture(index), &prompts[index], index));
        let evicted = cache.tree.evicted();
        let limits = Limits {
            rows: self.batch,
            tokens: step_tokens(self.decoder.path),
        };
        let model = Model {
            decoder: self.decoder,
            tokenizer: self.tokenizer,
            bank: self.adapters.as_ref().map(|all| all.bank),
            ngrams: self.speculation,
        };
        let stops = Arc::new(Stops::new(&self.stop.stop, self.tokenizer));
        let base = [Mixture::default()];
        let mixtures = self.adapters.as_ref().map(|all| &all.mixtures[..]);
        let mut flight = Flight::new(cache, self.decoder, limits);
        for &index in &fitting {
            let mixture = &mixtures.unwrap_or(&base)[self.mixture(index)];
            let asked = Asked {
                mixture: flight.mixture(mixture),
                sampler: Sampler::new(&self.sampler, index),
                stops: stops.clone(),
                max_tokens: self.stop.max_tokens,
                grammar: self.grammars.get(index).cloned().flatten(),
            };
            flight.submit(&model, index, prompts[index].clone(), asked)?;
        }
        while flight.step(&model, &mut observe)? {}
        let mut usage = flight.take_usage();
        drop(flight);
        usage.evicted = cache.tree.evicted() - evicted;
        Ok(usage)
    }

    /// Of its mixtures that of a prompt.
    fn mixture(&self, index: usize) -> usize {
        self.adapters.as_ref().map_or(0, |all| all.of(index))
    }
}
