//! Prompts that are held to a length, as rows of fine-tuning are.

use super::config::Config;
use crate::data::jsonl::Faults;
use crate::learning::rows::Rows;
use crate::learning::verdicts::Scorer;
use crate::run::observer::Observer;
use crate::training::sft::{self, Example};
use anyhow::{Context, Result, ensure};

/// The prompts (token ids, one a row) that are, with their longest answers, no longer than rows may be; some are cut to be so. Rows that are left
/// out for that go from `rows` and from the scorer too.
pub fn held(
    prompts: &[Vec<u32>],
    config: &Config,
    (rows, scorer): (&mut Rows, &mut Scorer),
    observer: &dyn Observer,
) -> Result<Vec<Vec<u32>>> {
    let (train, longest) = (&config.sft.train, vec![0; config.max_tokens]);
    let (mut held, mut kept, mut faults) = (Vec::new(), Vec::new(), Faults::default());
    for (row, prompt) in prompts.iter().enumerate() {
        let whole = Example::new(prompt, &longest);
        match sft::fit(whole, train, &rows.place(row)) {
            Ok(fitting) => {
                kept.push(fitting.is_some());
                held.extend(fitting.map(|whole| whole.tokens[..whole.learned[0].start].to_vec()));
            }
            Err(fault) => faults.add(fault),
        }
    }
    let (all, most) = (prompts.len(), train.max_seq);
    faults
        .refuse()
        .with_context(|| format!("with an answer of --max-tokens {}", longest.len()))?;
    ensure!(
        !held.is_empty(),
        "all {all} rows are longer than --max-seq {most} with an answer of --max-tokens {}",
        longest.len()
    );
    if held.len() < all {
        observer.note(format_args!(
            "left out {} of {all} rows, which are longer than --max-seq {most} with their longest answers",
            all - held.len()
        ));
        scorer.keep(rows, &kept);
    }
    Ok(held)
}
