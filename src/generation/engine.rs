//! Rows in flight over one table of keys and values, step by step, from prompts to answers.

use super::cache::Cache;
use super::drafts;
use super::memory::{Need, step_tokens};
use super::sampler::{Choice, Sampler, SamplerConfig};
use super::scheduler::{Limits, Request, Scheduler, Step};
use super::sequence::{Answer, Finish, Sequence};
use super::speculation::{self, Open, Speculation};
use super::stop::{StopConfig, Stops};
use super::tree::Key;
use super::usage::Usage;
use crate::adapters::bank::{Bank, Mixture};
use crate::adapters::ngrams::Ngrams;
use crate::model::decoder::Decoder;
use crate::model::ops::Path;
use crate::model::tokenizer::Tokenizer;
use crate::model::{allocator, awake, pooled};
use anyhow::{Result, anyhow, ensure};
use std::collections::BTreeMap;
use std::time::Instant;

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

/// What the engine tells while it works.
pub enum Event<'a> {
    /// The `index`-th prompt got another token and is not complete.
    Token { index: usize, generated: &'a [u32] },
    /// The `index`-th prompt is done with.
    Done { index: usize, answer: Answer },
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
        let keys = self.keys()?;
        let evicted = cache.tree.evicted();
        let Cache { table, tree } = cache;
        let limits = Limits {
            rows: self.batch,
            tokens: step_tokens(self.decoder.path),
        };
        let mut scheduler = Scheduler::new(tree, limits);
        for &index in &fitting {
            let request = Request {
                id: index,
                key: keys[self.mixture(index)],
                prompt: prompts[index].clone(),
                answer: self.stop.max_tokens,
            };
            let refused = |blocks| {
                anyhow!("a row takes {blocks} blocks of keys and values, more than there are")
            };
            scheduler.submit(request).map_err(refused)?;
        }
        let stops = Stops::new(&self.stop.stop, self.tokenizer);
        let ends = |token| self.tokenizer.is_eos(token);
        let mut speculation = self.speculation(&ends);
        let mut running: BTreeMap<usize, Sequence> = BTreeMap::new();
        let mut usage = Usage::default();
        loop {
            let begun = Instant::now();
            let mut step = scheduler.plan();
            if step.pieces.is_empty() {
                break;
            }
            let guesses = match &mut speculation {
                Some(speculation) => speculation.guess(self.open(&step, &scheduler)),
                None => BTreeMap::new(),
            };
            for (&id, guesses) in &guesses {
                scheduler.guess(&mut step, id, &drafts::tokens(guesses));
            }
            // Rows of one mixture lie together: its adapters then see one matrix.
            step.pieces
                .sort_by_key(|piece| (self.mixture(piece.id), piece.id));
            let mut sequences: Vec<Sequence> = Vec::new();
            for piece in &step.pieces {
                let known = running.remove(&piece.id);
                let new = || Sequence {
                    index: piece.id,
                    begun,
                    generated: Vec::new(),
                    sampler: Sampler::new(&self.sampler, piece.id),
                    min_gap: f32::INFINITY,
                };
                sequences.push(known.unwrap_or_else(new));
            }
            let mut compute = || self.step(&step, table, &mut sequences);
            let choices = pooled(|| match self.decoder.path {
                Path::Fused => awake(&mut compute),
                Path::Portable => compute(),
            })?;
            scheduler.advance();
            let time = begun.elapsed();
            usage.reused += step.reused;
            let (mut prefill, mut decode) = (0, 0);
            let mut choices = choices.into_iter();
            for (piece, mut sequence) in step.pieces.iter().zip(sequences) {
                let index = piece.id;
                if piece.prompt {
                    prefill += piece.tokens.len();
                }
                if !piece.last {
                    running.insert(index, sequence);
                    continue;
                }
                if piece.prompt {
                    usage.first_token(sequence.begun.elapsed());
                }
                let mut said = Vec::new();
                let mut complete = None;
                for choice in choices.next().into_iter().flatten() {
                    complete = match choice {
                        None => Some(Answer::none(Finish::Error)),
                        Some(Choice { token, gap }) => {
                            said.push(token);
                            sequence.min_gap = sequence.min_gap.min(gap);
                            scheduler.push(index, token);
                            sequence.push(token, self.tokenizer, &stops, self.stop.max_tokens)?
                        }
                    };
                    if complete.is_some() {
                        break;
                    }
                    let generated = &sequence.generated;
                    observe(Event::Token { index, generated })?;
                }
                if !piece.prompt {
                    decode += said.len();
                }
                if let (Some(speculation), Some(guesses)) = (&mut speculation, guesses.get(&index))
                {
                    let guesses = &guesses[..piece.guesses];
                    let right = drafts::right(guesses, &said);
                    usage.guessed += guesses.len();
                    usage.right += right;
                    speculation.learn(self.mixture(index), guesses, right);
                }
                match complete {
                    None => {
                        running.insert(index, sequence);
                    }
                    Some(answer) => {
                        scheduler.end(index);
                        observe(Event::Done { index, answer })?;
                    }
                }
            }
            usage.step(prefill, decode, time);
        }
        drop(scheduler);
        usage.evicted = cache.tree.evicted() - evicted;
        Ok(usage)
    }

    /// Of its mixtures that of a prompt.
    pub(super) fn mixture(&self, index: usize) -> usize {
        self.adapters.as_ref().map_or(0, |all| all.of(index))
    }

    /// What guesses ahead; on other devices nothing does, for what a further row costs there is not known.
    fn speculation<'a>(&'a self, ends: &'a dyn Fn(u32) -> bool) -> Option<Speculation<'a>> {
        let ngrams = self
            .speculation
            .filter(|_| self.decoder.path == Path::Fused)?;
        let base = [Mixture::default()];
        let mixtures = self.adapters.as_ref().map(|all| &all.mixtures[..]);
        let cost = speculation::cost(self.decoder.held);
        Some(Speculation::new(
            mixtures.unwrap_or(&base),
            ngrams,
            cost,
            ends,
        ))
    }

    /// The rows of a step that may guess, by their numbers: all, where all decode and there is room for guesses.
    fn open(&self, step: &Step, scheduler: &Scheduler) -> BTreeMap<usize, Open> {
        let pieces = &step.pieces;
        if pieces.len() >= speculation::ROWS || pieces.iter().any(|piece| piece.prompt) {
            return BTreeMap::new();
        }
        let open = pieces.iter().filter_map(|piece| {
            let (tokens, prompt, room) = scheduler.said(piece.id)?;
            let open = Open {
                mixture: self.mixture(piece.id),
                tokens: tokens.to_vec(),
                prompt,
                room,
            };
            Some((piece.id, open))
        });
        open.collect()
    }

    /// What keys depend on, of each mixture.
    fn keys(&self) -> Result<Vec<Key>> {
        match &self.adapters {
            None => Ok(vec![Key::default()]),
            Some(adapters) => {
                let mixtures = adapters.mixtures.iter();
                mixtures.map(|m| adapters.bank.identity(m)).collect()
            }
        }
    }
}
