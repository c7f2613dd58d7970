//! A step of rows in flight: what the scheduler planned is computed, and the next tokens are chosen.

use super::flight::Model;
use super::sampler::Choice;
use super::scheduler::{Piece, Step};
use super::sequence::Sequence;
use crate::adapters::bank::Mixture;
use crate::model::batch::Batch;
use crate::model::kv::KvCache;
use crate::model::linear::Delta;
use crate::model::ops;
use anyhow::Result;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::ops::Range;

impl Model<'_> {
    /// Computes a step; the next tokens of each sequence whose piece is its last: one, and one more behind each guess that it equals;
    /// `None` where there is none to choose.
    pub(super) fn step(
        &self,
        step: &Step,
        table: &mut KvCache,
        mixtures: &[Mixture],
        sequences: &mut [Sequence],
    ) -> Result<Vec<Vec<Option<Choice>>>> {
        table.copy(&step.copies)?;
        let of_row = |sequence: &Sequence| sequence.asked.mixture;
        let rows: Vec<usize> = sequences.iter().map(of_row).collect();
        let Some(logits) = self.logits(&step.pieces, &rows, mixtures, table)? else {
            return Ok(Vec::new());
        };
        // On the CPU they are chosen from where they lie.
        let logits = logits.to_device(&Device::Cpu)?;
        let width = logits.dim(1)?;
        let logits = ops::view(&logits)?;
        let chosen = sequences.iter_mut().zip(&step.pieces);
        let mut rest: &[f32] = &logits;
        let mut chosen: Vec<_> = chosen
            .filter(|(_, piece)| piece.last)
            .map(|(sequence, piece)| {
                let own;
                (own, rest) = rest.split_at((1 + piece.guesses) * width);
                (own, sequence, piece)
            })
            .collect();
        let choices = chosen.par_iter_mut().map(|(logits, sequence, piece)| {
            let guesses = &piece.tokens[piece.tokens.len() - piece.guesses..];
            sequence.choose(logits.chunks_exact(width), guesses, self.tokenizer)
        });
        choices.collect()
    }

    /// Runs the pieces, each with the mixture of its row; the logits of those that are their rows' last, and of their guesses `[n, vocab]`, if there are any.
    fn logits(
        &self,
        pieces: &[Piece],
        rows: &[usize],
        mixtures: &[Mixture],
        table: &mut KvCache,
    ) -> Result<Option<Tensor>> {
        let mut batch = Batch::default();
        let mut last_rows = Vec::new();
        let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
        for (piece, &mixture) in pieces.iter().zip(rows) {
            let start = batch.len();
            batch.push_cached(&piece.tokens, &piece.blocks, piece.past);
            if piece.last {
                let end = batch.len() as u32;
                last_rows.extend(end - 1 - piece.guesses as u32..end);
            }
            match runs.last_mut() {
                Some((rows, same)) if *same == mixture => rows.end = batch.len(),
                _ => runs.push((start..batch.len(), mixture)),
            }
        }
        let delta = self.bank.map(|bank| {
            let of_run = |(rows, mixture): (_, usize)| (rows, &mixtures[mixture]);
            bank.rows(runs.into_iter().map(of_run).collect())
        });
        let delta = delta.as_ref().map(|delta| delta as &dyn Delta);
        let hidden = self.decoder.forward(&batch, Some(table), delta)?;
        if last_rows.is_empty() {
            return Ok(None);
        }
        let rows = Tensor::new(last_rows, &self.decoder.device)?;
        let logits = self.decoder.logits(&hidden.index_select(&rows, 0)?)?;
        Ok(Some(logits))
    }
}
