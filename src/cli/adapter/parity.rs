//! Whether two forms of an adapter are the same: every logit of real prompts.

use crate::answering::routing::prompt_text;
use crate::data::record::{self, Columns};
use crate::model::batch::Batch;
use crate::model::linear::Delta;
use crate::model::load::Base;
use anyhow::{Result, ensure};
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// Most prompts that are compared.
const MAX_PROMPTS: usize = 16;

/// Most positions of all prompts: each has a logit for every token of the vocabulary, twice.
const MAX_POSITIONS: usize = 512;

/// Texts of the program's own, for who gives none.
const TEXTS: [&str; 4] = [
    "Write one SQLite query that answers the question.\nSchema: staff(id, name, pay)\nQuestion: Who earns most?",
    "CREATE TABLE visits (id INTEGER, day TEXT, cost REAL)\n\nHow many visits were there on each day?",
    "The capital of France is",
    "def average(values):\n    return",
];

/// The prompts of a file's rows, or a few texts.
pub fn texts(data: Option<&Path>) -> Result<Vec<String>> {
    let Some(data) = data else {
        return Ok(TEXTS.map(str::to_owned).to_vec());
    };
    let (_, asked) = record::read_prompts(data, &Columns::default())?;
    Ok(asked.iter().take(MAX_PROMPTS).map(prompt_text).collect())
}

/// The largest difference of a logit, and how large logits are.
pub struct Difference {
    largest: f32,
    logit: f32,
    positions: usize,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            largest,
            logit,
            positions,
        } = self;
        write!(
            f,
            "{largest:.1e} of logits up to {logit:.1} at {positions} positions"
        )
    }
}

impl Difference {
    /// Errors where the difference is more than `share` of the largest logit, or not a number.
    pub fn refuse_above(&self, share: f32) -> Result<()> {
        ensure!(
            self.largest <= share * self.logit.max(1.0),
            "logits differ by {self}"
        );
        Ok(())
    }
}

/// The logits of the first positions of the texts, under a change of the base made for a batch's rows.
pub fn logits<D: Delta>(
    base: &Base,
    texts: &[String],
    delta: impl Fn(Range<usize>) -> D,
) -> Result<Logits> {
    let mut logits = Logits::default();
    for text in texts {
        let mut tokens = base.tokenizer.encode(text)?;
        let left = MAX_POSITIONS - logits.positions;
        tokens.truncate(base.decoder.config.max_position_embeddings.min(left));
        if tokens.is_empty() {
            continue;
        }
        let mut batch = Batch::default();
        batch.push_sequence(&tokens);
        let delta = delta(0..tokens.len());
        let hidden = base.decoder.forward(&batch, None, Some(&delta))?;
        logits
            .values
            .push(base.decoder.logits(&hidden)?.flatten_all()?.to_vec1()?);
        logits.positions += tokens.len();
    }
    Ok(logits)
}

/// The logits of some texts.
#[derive(Default)]
pub struct Logits {
    /// `[positions · vocab]` of each text.
    values: Vec<Vec<f32>>,
    positions: usize,
}

/// Compares the logits of the same texts.
pub fn difference(one: &Logits, other: &Logits) -> Difference {
    let mut difference = Difference {
        largest: 0.0,
        logit: 0.0,
        positions: one.positions,
    };
    let pairs = one
        .values
        .iter()
        .flatten()
        .zip(other.values.iter().flatten());
    for (a, b) in pairs {
        // A NaN stays.
        let apart = (a - b).abs();
        if apart.is_nan() || apart > difference.largest {
            difference.largest = apart;
        }
        difference.logit = difference.logit.max(a.abs());
    }
    difference
}
