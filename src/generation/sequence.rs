//! One prompt on its way to an answer.

use super::sampler::Sampler;
use super::stop::Stops;
use crate::model::tokenizer::Tokenizer;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A prompt and what was generated so far.
pub struct Sequence {
    /// Its place among the prompts.
    pub index: usize,
    /// When its prompt was begun.
    pub begun: Instant,
    pub generated: Vec<u32>,
    pub sampler: Sampler,
    /// Smallest difference between the best and the second logit so far.
    pub min_gap: f32,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// With the end-of-sequence token.
    Stop,
    /// With a stop text, which was cut off.
    StopText,
    /// Cut at the longest answer.
    Length,
    /// Not begun: the prompt does not fit with its longest answer.
    TooLong,
    /// The model's logits were no numbers.
    Error,
}

impl Finish {
    /// As rows and summaries say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::StopText => "stop_text",
            Self::Length => "length",
            Self::TooLong => "too_long",
            Self::Error => "error",
        }
    }
}

/// What became of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// `None` where there is no answer.
    pub text: Option<String>,
    /// Without the end-of-sequence token; those of a stop text that was cut are still there.
    pub tokens: Vec<u32>,
    /// Smallest difference between the two best logits over the answer: below 1e-3, another batch
    /// size may break the tie the other way.
    pub min_gap: f32,
    pub finish: Finish,
}

impl Answer {
    /// No answer, for a reason that is not [`Finish::Stop`] and the like.
    pub fn none(finish: Finish) -> Self {
        Self {
            text: None,
            tokens: Vec::new(),
            min_gap: f32::INFINITY,
            finish,
        }
    }
}

impl Sequence {
    /// Takes the next token; the answer when it is complete.
    pub fn push(
        &mut self,
        token: u32,
        tokenizer: &Tokenizer,
        stops: &Stops,
        max_tokens: usize,
    ) -> Result<Option<Answer>> {
        let ended = tokenizer.is_eos(token);
        if !ended {
            self.generated.push(token);
        }
        // Decoding at every token is only needed to look for stop texts.
        let cut = match stops.is_empty() {
            true => None,
            false => stops.cut(&self.generated, ended.then_some(token))?,
        };
        if !(ended || cut.is_some() || self.generated.len() >= max_tokens) {
            return Ok(None);
        }
        let mut text = tokenizer.decode(&self.generated)?;
        let finish = match cut {
            // A stop text that is the end token itself cuts nothing.
            Some(cut) if !ended || cut.len() < text.len() => {
                text = cut;
                Finish::StopText
            }
            _ if ended => Finish::Stop,
            _ => {
                // Half a character at the end is not what the model said.
                text.truncate(text.trim_end_matches('\u{fffd}').len());
                Finish::Length
            }
        };
        Ok(Some(Answer {
            text: Some(text),
            tokens: std::mem::take(&mut self.generated),
            min_gap: self.min_gap,
            finish,
        }))
    }
}
