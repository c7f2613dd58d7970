//! One prompt on its way to an answer.

use super::constraint::{Constraint, Grammar};
use super::sampler::{Choice, Logprob, Sampler};
use super::stop::Stops;
use crate::model::tokenizer::Tokenizer;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// How a prompt is to be answered.
pub struct Asked {
    /// The number of its mixture of adapters.
    pub mixture: usize,
    pub sampler: Sampler,
    pub stops: Arc<Stops>,
    /// Longest answer in tokens.
    pub max_tokens: usize,
    /// What its answer is held to.
    pub grammar: Option<Arc<dyn Grammar>>,
}

/// What was generated for a prompt so far.
pub struct Sequence {
    /// Its number among the prompts.
    pub index: usize,
    pub asked: Asked,
    /// When its prompt was begun.
    pub begun: Option<Instant>,
    pub generated: Vec<u32>,
    /// Smallest difference between the best and the second logit so far.
    pub min_gap: f32,
    /// Of each token, the one that ends the answer among them; none where none are asked for.
    pub logprobs: Vec<Logprob>,
    /// The answer is held to it from here on.
    constraint: Option<Box<dyn Constraint>>,
    /// Whether rules left no token, and the answer is no longer held to them.
    freed: bool,
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
    /// The end-of-sequence token, where one ended it.
    pub end: Option<u32>,
    /// Smallest difference between the two best logits over the answer: below 1e-3, another batch
    /// size may break the tie the other way.
    pub min_gap: f32,
    /// Of each token, the one that ends the answer among them; none where none were asked for.
    pub logprobs: Vec<Logprob>,
    /// Whether rules that it was held to left no token: from there on it is not held to them.
    pub freed: bool,
    pub finish: Finish,
}

impl Answer {
    /// No answer, for a reason that is not [`Finish::Stop`] and the like.
    pub fn none(finish: Finish) -> Self {
        Self {
            text: None,
            tokens: Vec::new(),
            end: None,
            min_gap: f32::INFINITY,
            logprobs: Vec::new(),
            freed: false,
            finish,
        }
    }

    /// The mean of its tokens' log-probabilities, the end among them; `None` where they were not asked for or there are none.
    pub fn mean_logprob(&self) -> Option<f64> {
        let sum: f64 = self.logprobs.iter().map(|l| f64::from(l.own)).sum();
        (!self.logprobs.is_empty()).then(|| sum / self.logprobs.len() as f64)
    }
}

impl Sequence {
    /// Nothing yet.
    pub fn new(index: usize, asked: Asked) -> Self {
        Self {
            index,
            asked,
            begun: None,
            generated: Vec::new(),
            min_gap: f32::INFINITY,
            logprobs: Vec::new(),
            constraint: None,
            freed: false,
        }
    }

    /// Chooses from the logits of the next token, and of those that follow where it is the guessed one: `None` stands where logits are
    /// no numbers, and last. Errors where there are no rules to hold the answer to.
    pub fn choose<'l>(
        &mut self,
        logits: impl Iterator<Item = &'l [f32]>,
        guesses: &[u32],
        tokenizer: &Tokenizer,
    ) -> Result<Vec<Option<Choice>>> {
        if let (Some(grammar), true) = (&self.asked.grammar, self.generated.is_empty()) {
            self.constraint = Some(grammar.begin()?);
        }
        let mut choices = Vec::new();
        for (i, logits) in logits.enumerate() {
            let held = self.constraint.is_some();
            let choice = self.asked.sampler.sample(logits, &mut self.constraint);
            self.freed |= held && self.constraint.is_none();
            let token = choice.as_ref().map(|choice| choice.token);
            choices.push(choice);
            if let (Some(token), Some(constraint)) = (token, &mut self.constraint)
                && !tokenizer.is_eos(token)
            {
                constraint.accept(token);
            }
            if token.is_none() || guesses.get(i).copied() != token {
                break;
            }
        }
        Ok(choices)
    }

    /// Takes the next token; the answer when it is complete.
    pub fn push(&mut self, choice: Choice, tokenizer: &Tokenizer) -> Result<Option<Answer>> {
        let Choice {
            token,
            gap,
            logprob,
        } = choice;
        self.min_gap = self.min_gap.min(gap);
        self.logprobs.extend(logprob);
        let ended = tokenizer.is_eos(token);
        if !ended {
            self.generated.push(token);
        }
        // Decoding at every token is only needed to look for stop texts.
        let stops = &self.asked.stops;
        let cut = match stops.is_empty() {
            true => None,
            false => stops.cut(tokenizer, &self.generated, ended.then_some(token))?,
        };
        if !(ended || cut.is_some() || self.generated.len() >= self.asked.max_tokens) {
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
            end: ended.then_some(token),
            min_gap: self.min_gap,
            logprobs: std::mem::take(&mut self.logprobs),
            freed: self.freed,
            finish,
        }))
    }
}
