//! `--inspect-batch`: what the trainer would see.

use crate::cli::say;
use crate::model::tokenizer::Tokenizer;
use crate::session::sft::Seen;
use crate::training::batching::steps;
use crate::training::config::TrainConfig;
use crate::training::packing::pack;
use crate::training::sft::Example;
use anyhow::Result;

/// Prints the first `batches` batches: every segment's rows, its tokens, and which of them the loss is on.
pub fn print(seen: &Seen, config: &TrainConfig, batches: usize) -> Result<()> {
    let Seen {
        encoded,
        adapter,
        tokenizer,
    } = seen;
    let steps = steps(&encoded.examples.iter().collect::<Vec<_>>(), config);
    let all = steps.flat_map(|rows| {
        let batches = rows.chunks(config.batch).map(<[usize]>::to_vec);
        batches.collect::<Vec<_>>()
    });
    for (number, rows) in (1..).zip(all.take(batches)) {
        let examples = rows.iter().map(|&r| &encoded.examples[r]);
        let packed = pack(examples, config.shares_prefix(adapter));
        let batch = &packed.batch;
        say(format_args!(
            "batch {number}: {} segments, {} tokens, {} with loss",
            batch.segments.len(),
            batch.len(),
            packed.labels.len()
        ))?;
        for (segment, end) in batch.segments.iter().zip(&packed.ends) {
            let at = &segment.rows;
            let Some(end) = end else {
                let text = tokenizer.show(&batch.tokens[at.clone()])?;
                say(format_args!(
                    "  shared: tokens {}..{} {text:?}",
                    at.start, at.end
                ))?;
                continue;
            };
            let row = rows[*end];
            let place = &encoded.places[row];
            let behind = match segment.past() {
                0 => String::new(),
                shared => format!(" behind the {shared} shared"),
            };
            say(format_args!(
                "  {place}: tokens {}..{}{behind}",
                at.start, at.end
            ))?;
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
