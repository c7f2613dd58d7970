//! Continuous batching: as many sequences as there are slots decode together, and a finished one
//! makes room for the next prompt.

use super::memory::{Need, PREFILL};
use super::sampler::{Sampler, SamplerConfig};
use super::sequence::{Answer, Finish, Sequence};
use super::stop::{StopConfig, Stops};
use crate::adapters::bank::{Bank, Mixture};
use crate::model::batch::Batch;
use crate::model::decoder::Decoder;
use crate::model::kv::KvCache;
use crate::model::linear::Delta;
use crate::model::pooled;
use crate::model::tokenizer::Tokenizer;
use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use std::collections::VecDeque;
use std::ops::Range;

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
        let mut answers: Vec<Option<Answer>> = prompts.iter().map(|_| None).collect();
        let all: Vec<usize> = (0..prompts.len()).collect();
        self.answer(prompts, &all, |event| {
            if let Event::Done { index, answer } = event {
                answers[index] = Some(answer);
            }
            Ok(())
        })?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// What the rows `which` of `prompts` take, those left out that do not fit the model; `None` where no row does.
    pub fn need(&self, prompts: &[Vec<u32>], which: &[usize]) -> Option<Need> {
        let lengths = which.iter().map(|&i| prompts[i].len());
        let lengths: Vec<usize> = lengths.filter(|&length| self.fits(length)).collect();
        Need::of(self.decoder, &lengths, &self.stop)
    }

    fn fits(&self, length: usize) -> bool {
        self.stop.too_long(length, &self.decoder.config).is_none()
    }

    /// Answers the rows `which` of `prompts`, each as it would be answered among all. An error of `observe` ends it.
    pub fn answer(
        &self,
        prompts: &[Vec<u32>],
        which: &[usize],
        mut observe: impl FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        for &index in which {
            ensure!(!prompts[index].is_empty(), "a prompt has no tokens");
            if let Some(adapters) = &self.adapters {
                let known = adapters.of(index) < adapters.mixtures.len();
                ensure!(known, "a prompt chooses a mixture that is not there");
            }
        }
        let fits = |index: &usize| self.fits(prompts[*index].len());
        let (fitting, long): (Vec<usize>, Vec<usize>) = which.iter().copied().partition(fits);
        let mut waiting = VecDeque::from(fitting);
        for index in long {
            let answer = Answer::none(Finish::TooLong);
            observe(Event::Done { index, answer })?;
        }
        let Some(need) = self.need(prompts, which) else {
            return Ok(());
        };
        let slots = need.rows(self.memory)?.min(self.batch).min(waiting.len());
        let mut cache = KvCache::new(self.decoder, slots, need.positions).with_context(|| {
            format!(
                "no room for {slots} rows of {} tokens at once: lower --batch or --max-tokens",
                need.positions
            )
        })?;
        let stops = Stops::new(&self.stop.stop, self.tokenizer);
        let mut free: Vec<usize> = (0..slots).rev().collect();
        let mut running: Vec<Sequence> = Vec::new();
        while !(waiting.is_empty() && running.is_empty()) {
            let decoding = running.len();
            let mut tokens = 0;
            while let (Some(&slot), Some(&index)) = (free.last(), waiting.front()) {
                tokens += prompts[index].len();
                if tokens > PREFILL && running.len() > decoding {
                    break;
                }
                free.pop();
                waiting.pop_front();
                running.push(Sequence {
                    index,
                    slot,
                    past: 0,
                    generated: Vec::new(),
                    sampler: Sampler::new(&self.sampler, index),
                    min_gap: f32::INFINITY,
                });
            }
            // New prompts run apart from decoding ones: the step of either has one shape of work.
            let joined = running.len() > decoding;
            let active = if joined {
                decoding..running.len()
            } else {
                0..decoding
            };
            // Rows of one mixture lie together: its adapters then see one matrix.
            if let Some(adapters) = &self.adapters {
                running[active.clone()].sort_by_key(|s| (adapters.of(s.index), s.index));
            }
            let rows: Vec<Vec<f32>> = pooled(|| -> Result<_> {
                let logits = self.step(&mut running[active.clone()], prompts, &mut cache)?;
                Ok(logits.to_vec2()?)
            })?;
            let mut done = vec![false; running.len()];
            for (place, logits) in active.zip(&rows) {
                let sequence = &mut running[place];
                let index = sequence.index;
                let answer = match sequence.sampler.sample(logits)? {
                    None => Some(Answer::none(Finish::Error)),
                    Some(token) => {
                        sequence.min_gap = sequence.min_gap.min(gap(logits));
                        sequence.push(token, self.tokenizer, &stops, self.stop.max_tokens)?
                    }
                };
                match answer {
                    None => observe(Event::Token {
                        index,
                        generated: &sequence.generated,
                    })?,
                    Some(answer) => {
                        done[place] = true;
                        free.push(sequence.slot);
                        observe(Event::Done { index, answer })?;
                    }
                }
            }
            let mut done = done.into_iter();
            running.retain(|_| !done.next().unwrap_or(false));
        }
        Ok(())
    }

    /// Runs what each sequence has not run yet: its prompt, or its last token. Logits `[n, vocab]`.
    fn step(
        &self,
        sequences: &mut [Sequence],
        prompts: &[Vec<u32>],
        cache: &mut KvCache,
    ) -> Result<Tensor> {
        let mut batch = Batch::default();
        let mut last_rows = Vec::new();
        let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
        for s in sequences {
            let tokens = match s.generated.last() {
                Some(token) => std::slice::from_ref(token),
                None => prompts[s.index].as_slice(),
            };
            let start = batch.len();
            batch.push_cached(tokens, cache.start(s.slot), s.past);
            s.past += tokens.len();
            last_rows.push(batch.len() as u32 - 1);
            let mixture = self.adapters.as_ref().map_or(0, |a| a.of(s.index));
            match runs.last_mut() {
                Some((rows, same)) if *same == mixture => rows.end = batch.len(),
                _ => runs.push((start..batch.len(), mixture)),
            }
        }
        let delta = self.adapters.as_ref().map(|adapters| {
            let of_run = |(rows, mixture)| (rows, &adapters.mixtures[mixture]);
            adapters.bank.rows(runs.into_iter().map(of_run).collect())
        });
        let delta = delta.as_ref().map(|delta| delta as &dyn Delta);
        let hidden = self.decoder.forward(&batch, Some(cache), delta)?;
        let rows = Tensor::new(last_rows, &self.decoder.device)?;
        self.decoder.logits(&hidden.index_select(&rows, 0)?)
    }
}

/// Difference between the two largest values.
fn gap(logits: &[f32]) -> f32 {
    let (mut best, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for &l in logits {
        if l > best {
            (best, second) = (l, best);
        } else if l > second {
            second = l;
        }
    }
    best - second
}
