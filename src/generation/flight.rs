//! Rows in flight over one table of keys and values, step by step, from prompts to answers. Rows may come and go between two steps.

use super::cache::Cache;
use super::drafts;
use super::scheduler::{Limits, Request, Scheduler, Step};
use super::sequence::{Answer, Asked, Finish, Sequence};
use super::speculation::{self, Open, Speculation};
use super::tree::Key;
use super::usage::Usage;
use crate::adapters::bank::{Bank, Mixture};
use crate::adapters::ngrams::Ngrams;
use crate::model::decoder::Decoder;
use crate::model::kv::KvCache;
use crate::model::ops::Path;
use crate::model::tokenizer::Tokenizer;
use crate::model::{awake, pooled};
use anyhow::{Result, anyhow};
use std::collections::BTreeMap;
use std::time::Instant;

/// What rows are computed by.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    pub decoder: &'a Decoder,
    pub tokenizer: &'a Tokenizer,
    /// The adapters that mixtures are of.
    pub bank: Option<&'a Bank>,
    /// The tables of the bank's members to guess ahead by; `None` guesses nothing.
    pub ngrams: Option<&'a [Option<Ngrams>]>,
}

/// What a step tells.
pub enum Event<'a> {
    /// A row got another token and is not complete.
    Token {
        index: usize,
        sequence: &'a Sequence,
    },
    /// A row is done with.
    Done { index: usize, answer: Answer },
}

/// Mixtures from which on the number of one that no row uses is given to another.
const MANY: usize = 256;

/// The rows.
pub struct Flight<'a> {
    table: &'a mut KvCache,
    scheduler: Scheduler<'a>,
    /// Those that wait and those that run, by their numbers.
    sequences: BTreeMap<usize, Sequence>,
    mixtures: Vec<Mixture>,
    speculation: Speculation,
    usage: Usage,
}

impl<'a> Flight<'a> {
    /// None yet, over a cache of `decoder`.
    pub fn new(cache: &'a mut Cache, decoder: &Decoder, limits: Limits) -> Self {
        let Cache { table, tree } = cache;
        Self {
            table,
            scheduler: Scheduler::new(tree, limits),
            sequences: BTreeMap::new(),
            mixtures: Vec::new(),
            speculation: Speculation::new(speculation::cost(decoder.held)),
            usage: Usage::default(),
        }
    }

    /// The number of a mixture of adapters.
    pub fn mixture(&mut self, mixture: &Mixture) -> usize {
        let known = self.mixtures.iter().position(|known| known == mixture);
        if let Some(known) = known {
            return known;
        }
        let free = (0..self.mixtures.len())
            .find(|number| self.mixtures.len() >= MANY && !self.uses(*number));
        let number = free.unwrap_or(self.mixtures.len());
        match free {
            Some(number) => self.mixtures[number] = mixture.clone(),
            None => self.mixtures.push(mixture.clone()),
        }
        number
    }

    fn uses(&self, mixture: usize) -> bool {
        self.sequences.values().any(|s| s.asked.mixture == mixture)
    }

    /// The bank has lost a member that no row uses: those behind it have another number now.
    pub fn forget(&mut self, member: usize) {
        for Mixture(parts) in &mut self.mixtures {
            parts.retain(|(part, _)| *part != member);
            for (part, _) in parts {
                *part -= usize::from(*part > member);
            }
        }
    }

    /// How many rows run and how many wait.
    pub fn counts(&self) -> (usize, usize) {
        self.scheduler.counts()
    }

    /// The share of the table that the rows in flight hold.
    pub fn fill(&self) -> f64 {
        self.scheduler.fill()
    }

    /// Adds a prompt, which is not empty, behind those that wait. `id` is its own among all that are there. Errors where the table does not hold it with its longest answer.
    pub fn submit(
        &mut self,
        model: &Model,
        id: usize,
        prompt: Vec<u32>,
        asked: Asked,
    ) -> Result<()> {
        let key = match model.bank {
            Some(bank) => bank.identity(&self.mixtures[asked.mixture])?,
            None => Key::default(),
        };
        let request = Request {
            id,
            key,
            prompt,
            answer: asked.max_tokens,
        };
        let refused =
            |blocks| anyhow!("a row takes {blocks} blocks of keys and values, more than there are");
        self.scheduler.submit(request).map_err(refused)?;
        self.sequences.insert(id, Sequence::new(id, asked));
        Ok(())
    }

    /// Nobody wants a row's answer any more.
    pub fn cancel(&mut self, id: usize) {
        self.scheduler.end(id);
        self.sequences.remove(&id);
    }

    /// What it took since this was asked before.
    pub fn take_usage(&mut self) -> Usage {
        std::mem::take(&mut self.usage)
    }

    /// Computes the next step. Says `false` where there is nothing to compute. An error, also one of `observe`, ends all rows.
    pub fn step(
        &mut self,
        model: &Model,
        mut observe: impl FnMut(Event) -> Result<()>,
    ) -> Result<bool> {
        let begun = Instant::now();
        let mut step = self.scheduler.plan();
        if step.pieces.is_empty() {
            return Ok(false);
        }
        let guesses = self.guesses(model, &step);
        for (&id, guesses) in &guesses {
            self.scheduler
                .guess(&mut step, id, &drafts::tokens(guesses));
        }
        let taken = step.pieces.iter().map(|piece| piece.id);
        let taken = taken.filter_map(|id| Some((id, self.sequences.remove(&id)?)));
        let mut taken: BTreeMap<usize, Sequence> = taken.collect();
        // Rows of one mixture lie together: its adapters then see one matrix.
        step.pieces
            .sort_by_key(|piece| (taken.get(&piece.id).map(|s| s.asked.mixture), piece.id));
        let pieces = step.pieces.iter();
        let mut sequences: Vec<Sequence> =
            pieces.filter_map(|piece| taken.remove(&piece.id)).collect();
        for sequence in &mut sequences {
            sequence.begun.get_or_insert(begun);
        }
        let (table, mixtures) = (&mut *self.table, &self.mixtures);
        let mut compute = || model.step(&step, table, mixtures, &mut sequences);
        let choices = pooled(|| match model.decoder.path {
            Path::Fused => awake(&mut compute),
            Path::Portable => compute(),
        })?;
        self.scheduler.advance();
        let time = begun.elapsed();
        self.usage.reused += step.reused;
        let (mut prefill, mut decode) = (0, 0);
        let mut choices = choices.into_iter();
        for (piece, mut sequence) in step.pieces.iter().zip(sequences) {
            let index = piece.id;
            if piece.prompt {
                prefill += piece.tokens.len();
            }
            if !piece.last {
                self.sequences.insert(index, sequence);
                continue;
            }
            if piece.prompt {
                let since = sequence.begun.unwrap_or(begun);
                self.usage.first_token(since.elapsed());
            }
            let mut said = Vec::new();
            let mut complete = None;
            for choice in choices.next().into_iter().flatten() {
                complete = match choice {
                    None => Some(Answer::none(Finish::Error)),
                    Some(choice) => {
                        said.push(choice.token);
                        self.scheduler.push(index, choice.token);
                        sequence.push(choice, model.tokenizer)?
                    }
                };
                if complete.is_some() {
                    break;
                }
                let sequence = &sequence;
                observe(Event::Token { index, sequence })?;
            }
            if !piece.prompt {
                decode += said.len();
            }
            if let Some(guesses) = guesses.get(&index) {
                let guesses = &guesses[..piece.guesses];
                let right = drafts::right(guesses, &said);
                self.usage.guessed += guesses.len();
                self.usage.right += right;
                let mixture = sequence.asked.mixture;
                self.speculation.learn(mixture, guesses, right);
            }
            match complete {
                None => {
                    self.sequences.insert(index, sequence);
                }
                Some(answer) => {
                    self.scheduler.end(index);
                    observe(Event::Done { index, answer })?;
                }
            }
        }
        self.usage.step(prefill, decode, time);
        Ok(true)
    }

    /// Guesses at the next tokens of the rows of a step that may guess: all, where all decode and there is room for guesses.
    fn guesses(&mut self, model: &Model, step: &Step) -> BTreeMap<usize, Vec<drafts::Guess>> {
        // On other devices nothing guesses: what a further row costs there is not known.
        let Some(ngrams) = model.ngrams.filter(|_| model.decoder.path == Path::Fused) else {
            return BTreeMap::new();
        };
        let pieces = &step.pieces;
        if pieces.len() >= speculation::ROWS || pieces.iter().any(|piece| piece.prompt) {
            return BTreeMap::new();
        }
        let open = pieces.iter().filter_map(|piece| {
            let (tokens, prompt, room) = self.scheduler.said(piece.id)?;
            let open = Open {
                mixture: self.sequences.get(&piece.id)?.asked.mixture,
                tokens: tokens.to_vec(),
                prompt,
                room,
            };
            Some((piece.id, open))
        });
        let drafters = drafts::drafters(&self.mixtures, ngrams);
        let ends = |token| model.tokenizer.is_eos(token);
        self.speculation.guess(&drafters, open.collect(), &ends)
    }
}
