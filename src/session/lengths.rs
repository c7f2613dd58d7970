//! How long rows are as supervised fine-tuning sees them, each on its own: one that it would refuse hides no other.

use super::sft::ends;
use crate::answering::trained;
use crate::data::record::{self, Record};
use crate::data::template::{Renderer, Template};
use crate::model::load::Source;
use crate::run::observer::Observer;
use crate::training::sft::{Example, examples};
use anyhow::Result;

/// What was measured.
pub struct Lengths {
    /// The examples of each row, or why it has none.
    pub rows: Vec<Result<Vec<Example>>>,
    /// The longest example that the base can take.
    pub positions: usize,
}

/// Makes each row tokens by the tokenizer of `base`; no weight is loaded.
pub fn measure(
    base: &str,
    template: Template,
    records: Vec<Record>,
    observer: &dyn Observer,
) -> Result<Lengths> {
    let mut source = Source::open(base)?;
    trained::take_template(template, None, &mut source.tokenizer, observer);
    let renderer = Renderer::new(template, &source.tokenizer)?;
    trained::remark(&renderer, observer);
    let ends = ends(&source.tokenizer)?;
    let row = |mut record: Record| {
        record::strip_ends(std::slice::from_mut(&mut record), &ends)?;
        examples(&record, &renderer)
    };
    Ok(Lengths {
        rows: records.into_iter().map(row).collect(),
        positions: source.config.max_position_embeddings,
    })
}
