//! One answer, shown as it comes.

use crate::generation::cache::Cache;
use crate::generation::engine::Engine;
use crate::generation::flight::Event;
use crate::model::tokenizer::Tokenizer;
use anyhow::{Context, Result};

/// Answers `prompt` over `cache`; `show` gets the answer piece by piece.
pub fn answer(
    engine: &Engine,
    cache: &mut Cache,
    prompt: Vec<u32>,
    mut show: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut pieces = Pieces::new(&engine.stop.stop);
    let answered = engine.answer(cache, &[prompt], &[0], |event| match event {
        Event::Token { sequence, .. } => show(pieces.more(engine.tokenizer, &sequence.generated)?),
        Event::Done { answer, .. } => {
            let text = answer.text;
            let text = text.context("no answer: the model's logits are no numbers")?;
            show(pieces.rest(&text))
        }
    });
    answered.map(drop)
}

/// The pieces of an answer: together they are its text.
pub struct Pieces {
    shown: String,
    /// A stop text must not be shown in part: so many bytes are held back.
    held: usize,
}

impl Pieces {
    /// Nothing yet, of an answer that ends at one of `stops`.
    pub fn new(stops: &[String]) -> Self {
        Self {
            shown: String::new(),
            held: stops.iter().map(String::len).max().unwrap_or(0),
        }
    }

    /// What is new of an answer that goes on behind `generated`.
    pub fn more(&mut self, tokenizer: &Tokenizer, generated: &[u32]) -> Result<&str> {
        let text = tokenizer.decode(generated)?;
        let mut end = text.trim_end_matches('\u{fffd}').len();
        end = end.saturating_sub(self.held);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Ok(self.rest(&text[..end]))
    }

    /// What is new of `text`, which is all of an answer.
    pub fn rest(&mut self, text: &str) -> &str {
        let before = self.shown.len();
        if let Some(new) = text.strip_prefix(&self.shown) {
            self.shown.push_str(new);
        }
        &self.shown[before..]
    }
}
