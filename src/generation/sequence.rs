//! One prompt on its way to an answer.

use super::sampler::Sampler;
use crate::model::config::Config;
use crate::model::tokenizer::Tokenizer;
use anyhow::{Result, ensure};

/// When an answer ends, beside the end-of-sequence token.
#[derive(Debug, Clone, PartialEq)]
pub struct StopConfig {
    /// Longest answer in tokens.
    pub max_tokens: usize,
    /// Texts that end an answer and are cut from it.
    pub stop: Vec<String>,
}

impl Default for StopConfig {
    fn default() -> Self {
        Self {
            max_tokens: 96,
            stop: Vec::new(),
        }
    }
}

impl StopConfig {
    /// The positions that the longest prompt takes with its answer. Errors where the model has fewer, or a prompt is empty.
    pub fn positions(&self, prompts: &[Vec<u32>], model: &Config) -> Result<usize> {
        ensure!(
            prompts.iter().all(|p| !p.is_empty()),
            "a prompt has no tokens"
        );
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let positions = longest.saturating_add(self.max_tokens);
        let most = model.max_position_embeddings;
        ensure!(
            positions <= most,
            "the longest prompt has {longest} tokens; with an answer of {} it exceeds the model's {most} positions",
            self.max_tokens
        );
        Ok(positions)
    }
}

/// A prompt, what was generated so far, and where it lives in the cache.
pub struct Sequence {
    /// Its place among the prompts.
    pub index: usize,
    pub slot: usize,
    /// Tokens in the cache.
    pub past: usize,
    pub generated: Vec<u32>,
    pub sampler: Sampler,
    /// Smallest difference between the best and the second logit so far.
    pub min_gap: f32,
}

/// A finished answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub text: String,
    /// Without the end-of-sequence token; those of a stop text that was cut are still there.
    pub tokens: Vec<u32>,
    /// Smallest difference between the two best logits over the answer: below 1e-3, another batch
    /// size may break the tie the other way.
    pub min_gap: f32,
}

impl Sequence {
    /// Takes the next token; the answer when it is complete.
    pub fn push(
        &mut self,
        token: u32,
        tokenizer: &Tokenizer,
        stop: &StopConfig,
        capacity: usize,
    ) -> Result<Option<Answer>> {
        let ended = tokenizer.is_eos(token);
        if !ended {
            self.generated.push(token);
        }
        let full = self.generated.len() >= stop.max_tokens || self.past >= capacity;
        // Decoding at every token is only needed to look for stop texts.
        let cut = match stop.stop.is_empty() {
            true => None,
            false => first_stop(&tokenizer.decode(&self.generated)?, &stop.stop),
        };
        if !(ended || full || cut.is_some()) {
            return Ok(None);
        }
        let text = match cut {
            Some(text) => text,
            None => tokenizer.decode(&self.generated)?,
        };
        Ok(Some(Answer {
            text,
            tokens: std::mem::take(&mut self.generated),
            min_gap: self.min_gap,
        }))
    }
}

/// `text` before the first stop text, if one occurs.
fn first_stop(text: &str, stops: &[String]) -> Option<String> {
    let at = stops.iter().filter_map(|s| text.find(s)).min()?;
    Some(text[..at].to_string())
}

#[cfg(test)]
mod tests {
    use super::first_stop;

    #[test]
    fn the_earliest_stop_text_cuts() {
        let stops = ["\n".to_string(), ";".to_string()];
        assert_eq!(first_stop("select 1; x\n", &stops).unwrap(), "select 1");
        assert_eq!(first_stop("select 1", &stops), None);
    }
}
