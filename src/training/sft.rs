//! log-probability of the tokens that are learned.

use super::config::{OnLong, TrainConfig};
use crate::data::jsonl::Faults;
use crate::data::record::Record;
use crate::data::template::{Piece, Renderer};
use anyhow::{Result, bail, ensure};
use std::ops::Range;

/// A tokenized row.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    pub tokens: Vec<u32>,
    /// What is learned: runs of `tokens`, in their order. None begins at 0, for nothing predicts the first token.
    pub learned: Vec<Range<usize>>,
}

impl Example {
    /// A prompt and its answer, end marker included.
    pub fn new(prompt: &[u32], answer: &[u32]) -> Self {
        let tokens = [prompt, answer].concat();
        let answer = prompt.len()..tokens.len();
        Self {
            tokens,
            learned: Vec::from([answer]),
        }
    }

    /// Tokens of the row.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// What is learned, answer by answer.
    pub fn answers(&self) -> impl Iterator<Item = &[u32]> + Clone {
        self.learned.iter().map(|run| &self.tokens[run.clone()])
    }

    /// Tokens that are learned.
    pub fn labels(&self) -> usize {
        self.learned.iter().map(Range::len).sum()
    }

    /// Whether it can be held to `most` tokens by cutting what stands before the first answer. One token must stay there, for
    /// the first learned one to be predicted from.
    pub fn can_be_cut(&self, most: usize) -> bool {
        self.len().saturating_sub(most) < self.learned[0].start
    }
}

/// Rows ready for training, and where each came from.
pub struct Encoded {
    pub examples: Vec<Example>,
    /// `file:line` of each example.
    pub places: Vec<String>,
    /// Rows that `on_long` left out.
    pub skipped: usize,
    /// Rows that are more than one example.
    pub split: usize,
}

/// Tokenizes records by `renderer`'s template and holds them to `config.max_seq`.
pub fn encode(records: &[Record], renderer: &Renderer, config: &TrainConfig) -> Result<Encoded> {
    let mut encoded = Encoded {
        examples: Vec::new(),
        places: Vec::new(),
        skipped: 0,
        split: 0,
    };
    let mut faults = Faults::default();
    for record in records {
        if let Err(fault) = encoded.add(record, renderer, config) {
            faults.add(fault);
        }
    }
    faults.refuse()?;
    ensure!(
        !encoded.examples.is_empty(),
        "all {} rows are longer than --max-seq {}",
        encoded.skipped,
        config.max_seq
    );
    Ok(encoded)
}

impl Encoded {
    fn add(&mut self, record: &Record, renderer: &Renderer, config: &TrainConfig) -> Result<()> {
        let examples = examples(record, renderer)?;
        self.split += usize::from(examples.len() > 1);
        for example in examples {
            match fit(example, config, &record.place)? {
                Some(example) => {
                    self.examples.push(example);
                    self.places.push(record.place.clone());
                }
                None => self.skipped += 1,
            }
        }
        Ok(())
    }
}

/// The examples of a row: one, but where its template shows a conversation's earlier turns otherwise.
pub fn examples(record: &Record, renderer: &Renderer) -> Result<Vec<Example>> {
    let place = &record.place;
    let examples = renderer.examples(&record.content);
    let examples = examples.map_err(|e| e.context(place.clone()))?;
    let examples: Vec<Example> = examples.into_iter().filter_map(example).collect();
    ensure!(
        !examples.is_empty(),
        "{place}: the row has no token to learn"
    );
    Ok(examples)
}

/// `None` without a token to learn.
fn example(pieces: Vec<Piece>) -> Option<Example> {
    let (mut tokens, mut learned) = (Vec::new(), Vec::new());
    for piece in pieces {
        let start = tokens.len().max(1);
        tokens.extend(piece.tokens);
        if piece.learned && start < tokens.len() {
            learned.push(start..tokens.len());
        }
    }
    (!learned.is_empty()).then_some(Example { tokens, learned })
}

/// Holds a row to `max_seq`; `None` leaves it out. Errors name the row's `place`.
pub fn fit(mut e: Example, config: &TrainConfig, place: &str) -> Result<Option<Example>> {
    let (length, most) = (e.len(), config.max_seq);
    if length <= most {
        return Ok(Some(e));
    }
    match config.on_long {
        OnLong::Error => bail!(
            "{place}: the row has {length} tokens, more than --max-seq {most}; raise it, or use --on-long skip or truncate-prompt"
        ),
        OnLong::Skip => Ok(None),
        OnLong::TruncatePrompt => {
            let (cut, given) = (length - most, e.learned[0].start);
            ensure!(
                e.can_be_cut(most),
                "{place}: {} of the row's {length} tokens are the answer or follow its start, --max-seq is {most}; an answer is never cut",
                length - given
            );
            e.tokens.drain(..cut);
            for range in &mut e.learned {
                *range = range.start - cut..range.end - cut;
            }
            Ok(Some(e))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_before_the_first_answer_is_cut() {
        let row = || Example {
            tokens: (0..10).collect(),
            learned: vec![4..6, 8..10],
        };
        let config = |max_seq| TrainConfig {
            max_seq,
            on_long: OnLong::TruncatePrompt,
            ..TrainConfig::default()
        };
        let cut = fit(row(), &config(7), "f:1").unwrap().unwrap();
        assert_eq!(cut.tokens, [3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(cut.learned, [1..3, 5..7]);
        let error = fit(row(), &config(6), "f:1").unwrap_err().to_string();
        assert!(error.contains("never cut"), "{error}");
    }
}
