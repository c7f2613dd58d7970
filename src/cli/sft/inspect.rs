//! `--inspect-batch`: what the trainer would see.

use crate::cli::say;
use crate::model::tokenizer::Tokenizer;
use crate::training::batching::order;
use crate::training::config::TrainConfig;
use crate::training::sft::{Encoded, Example, pack};
use anyhow::Result;

/// Prints the first `batches` batches: every segment's rows, its tokens, and which of them the loss is on.
pub fn print(
    encoded: &Encoded,
    config: &TrainConfig,
    tokenizer: &Tokenizer,
    batches: usize,
) -> Result<()> {
    let count = encoded.examples.len();
    let mut rows = order(count, !config.no_shuffle, config.seed).take(config.total_rows(count));
    for number in 1..=batches {
        let rows: Vec<usize> = rows.by_ref().take(config.batch).collect();
        if rows.is_empty() {
            break;
        }
        let (batch, labels) = pack(rows.iter().map(|&r| &encoded.examples[r]));
        say(format_args!(
            "batch {number}: {} segments, {} tokens, {} with loss",
            batch.segments.len(),
            batch.len(),
            labels.len()
        ))?;
        for (segment, &row) in batch.segments.iter().zip(&rows) {
            let place = &encoded.places[row];
            let at = &segment.rows;
            say(format_args!("  {place}: tokens {}..{}", at.start, at.end))?;
            runs(&encoded.examples[row], tokenizer)?;
        }
    }
    Ok(())
}

/// The runs of a row: given, learned, given, …
fn runs(example: &Example, tokenizer: &Tokenizer) -> Result<()> {
    let show = |kind: &str, tokens: &[u32]| match tokens {
        [] => Ok(()),
        tokens => say(format_args!(
            "    {kind} {:?}\n          {tokens:?}",
            tokenizer.show(tokens)?
        )),
    };
    let mut done = 0;
    for range in &example.learned {
        show("given", &example.tokens[done..range.start])?;
        show("loss ", &example.tokens[range.clone()])?;
        done = range.end;
    }
    show("given", &example.tokens[done..])
}
