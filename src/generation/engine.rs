//! Continuous batching: as many sequences as there are slots decode together, and a finished one
//! makes room for the next prompt.

use super::sampler::{Sampler, SamplerConfig};
use super::sequence::{Answer, Sequence, StopConfig};
use crate::adapters::bank::{Bank, Mixture};
use crate::model::batch::Batch;
use crate::model::decoder::Decoder;
use crate::model::kv::KvCache;
use crate::model::linear::Delta;
use crate::model::pooled;
use crate::model::tokenizer::Tokenizer;
use anyhow::{Result, ensure};
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
    /// Sequences in flight.
    pub batch: usize,
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
    /// The `index`-th prompt's answer is complete.
    Done { index: usize, answer: &'a Answer },
}

impl Engine<'_> {
    /// Answers to `prompts` (token ids), in their order.
    pub fn generate(
        &self,
        prompts: &[Vec<u32>],
        mut observe: impl FnMut(Event) -> Result<()>,
    ) -> Result<Vec<Answer>> {
        let capacity = self.stop.positions(prompts, &self.decoder.config)?;
        if let Some(adapters) = &self.adapters {
            let known = (0..prompts.len()).all(|i| adapters.of(i) < adapters.mixtures.len());
            ensure!(known, "a prompt chooses a mixture that is not there");
        }
        let slots = self.batch.min(prompts.len());
        let mut cache = KvCache::new(self.decoder, slots, capacity)?;
        let mut free: Vec<usize> = (0..slots).rev().collect();
        let mut waiting: VecDeque<usize> = (0..prompts.len()).collect();
        let mut running: Vec<Sequence> = Vec::new();
        let mut answers: Vec<Option<Answer>> = prompts.iter().map(|_| None).collect();
        while !(waiting.is_empty() && running.is_empty()) {
            let decoding = running.len();
            while let (Some(&slot), Some(&index)) = (free.last(), waiting.front()) {
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
            for (sequence, logits) in running[active].iter_mut().zip(&rows) {
                let token = sequence.sampler.sample(logits)?;
                sequence.min_gap = sequence.min_gap.min(gap(logits));
                let done = sequence.push(token, self.tokenizer, &self.stop, capacity)?;
                let index = sequence.index;
                match done {
                    None => observe(Event::Token {
                        index,
                        generated: &sequence.generated,
                    })?,
                    Some(answer) => {
                        let answer = answers[index].insert(answer);
                        observe(Event::Done { index, answer })?;
                    }
                }
            }
            running.retain(|s| {
                let done = answers[s.index].is_some();
                if done {
                    free.push(s.slot);
                }
                !done
            });
        }
        Ok(answers.into_iter().flatten().collect())
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
