//! Supervised fine-tuning: rows become tokens and labels; the loss is the mean negative
//! log-probability of the answers' tokens.

use super::config::{OnLong, TrainConfig};
use crate::data::record::{Record, plain};
use crate::model::batch::Batch;
use crate::model::head::Label;
use crate::model::tokenizer::Tokenizer;
use anyhow::{Result, bail, ensure};

/// A tokenized row: what is given and what is to be said, its end marker included.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    pub prompt: Vec<u32>,
    pub answer: Vec<u32>,
}

impl Example {
    /// Tokens of the row.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.answer.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Tokenizes records as the `plain` template joins them: prompt, newline, answer, eos. Rows that
/// `on_long` leaves out are counted.
pub fn encode(
    records: &[Record],
    tokenizer: &Tokenizer,
    config: &TrainConfig,
) -> Result<(Vec<Example>, usize)> {
    let (mut examples, mut skipped) = (Vec::new(), 0);
    for record in records {
        let mut prompt = tokenizer.encode(&plain(&record.prompt))?;
        let mut answer = tokenizer.encode(&record.answer)?;
        answer.push(tokenizer.eos());
        ensure!(
            !prompt.is_empty(),
            "{}: the prompt has no tokens",
            record.place
        );
        let length = prompt.len() + answer.len();
        if length > config.max_seq {
            let (place, most) = (&record.place, config.max_seq);
            match config.on_long {
                OnLong::Error => bail!(
                    "{place}: the row has {length} tokens, more than --max-seq {most}; raise it, or use --on-long skip or truncate-prompt"
                ),
                OnLong::Skip => {
                    skipped += 1;
                    continue;
                }
                OnLong::TruncatePrompt => {
                    ensure!(
                        answer.len() < most,
                        "{place}: the answer alone has {} tokens, --max-seq is {most}; an answer is never cut",
                        answer.len()
                    );
                    prompt.drain(..length - most);
                }
            }
        }
        examples.push(Example { prompt, answer });
    }
    ensure!(
        !examples.is_empty(),
        "all {skipped} rows are longer than --max-seq {}",
        config.max_seq
    );
    Ok((examples, skipped))
}

/// Packs examples into one batch; a label stands at the row before each answer token.
pub fn pack<'a>(examples: impl IntoIterator<Item = &'a Example>) -> (Batch, Vec<Label>) {
    let (mut batch, mut labels) = (Batch::default(), Vec::new());
    for (sequence, e) in examples.into_iter().enumerate() {
        let first = batch.len() + e.prompt.len();
        batch.push_sequence(&[e.prompt.as_slice(), &e.answer].concat());
        labels.extend(e.answer.iter().enumerate().map(|(i, &target)| Label {
            row: (first + i - 1) as u32,
            target,
            sequence: sequence as u32,
        }));
    }
    (batch, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_before_what_they_predict() {
        let e = |p: &[u32], a: &[u32]| Example {
            prompt: p.to_vec(),
            answer: a.to_vec(),
        };
        let (batch, labels) = pack(&[e(&[1, 2], &[3, 9]), e(&[4], &[5, 9])]);
        assert_eq!(batch.tokens, [1, 2, 3, 9, 4, 5, 9]);
        let seen: Vec<_> = labels
            .iter()
            .map(|l| (l.row, l.target, l.sequence))
            .collect();
        assert_eq!(seen, [(1, 3, 0), (2, 9, 0), (4, 5, 1), (5, 9, 1)]);
    }
}
