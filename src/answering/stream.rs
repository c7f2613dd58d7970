//! One answer, shown as it comes.

use crate::generation::cache::Cache;
use crate::generation::engine::Engine;
use crate::generation::flight::Event;
use anyhow::{Context, Result};

/// Answers `prompt` over `cache`; `show` gets the answer piece by piece.
pub fn answer(
    engine: &Engine,
    cache: &mut Cache,
    prompt: Vec<u32>,
    mut show: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut shown = String::new();
    // A stop text must not be shown in part: this much is held back.
    let held = engine.stop.stop.iter().map(String::len).max().unwrap_or(0);
    let answered = engine.answer(cache, &[prompt], &[0], |event| {
        let text = match event {
            Event::Token { sequence, .. } => {
                let text = engine.tokenizer.decode(&sequence.generated)?;
                let mut end = text.trim_end_matches('\u{fffd}').len().saturating_sub(held);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text[..end].to_string()
            }
            Event::Done { answer, .. } => {
                let text = answer.text;
                text.context("no answer: the model's logits are no numbers")?
            }
        };
        if let Some(new) = text.strip_prefix(&shown) {
            show(new)?;
            shown = text;
        }
        Ok(())
    });
    answered.map(drop)
}
