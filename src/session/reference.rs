//! What the adapter that a run began with makes of its answers: computed once, and kept in the run's folder under what it depends on.

use crate::adapters::identity;
use crate::adapters::lora::Adapter;
use crate::model::load::Base;
use crate::run::files::json;
use crate::run::observer::Observer;
use crate::run::training_run::TrainingRun;
use crate::training::checkpoint;
use crate::training::objective::Answer;
use crate::training::sft::Example;
use crate::training::trainer::log_probabilities;
use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fs;

/// The file's name.
const FILE: &str = "reference.json";

#[derive(Serialize, Deserialize)]
struct Reference {
    /// Of base, adapter and answers.
    sha256: String,
    /// log p of each answer.
    log_p: Vec<f64>,
}

/// log p of each of `examples` under `adapter`, in passes of `batch`.
pub fn log_p(
    base: &Base,
    adapter: &Adapter,
    examples: &[Example],
    batch: usize,
    folder: &TrainingRun,
    observer: &dyn Observer,
) -> Result<Vec<f64>> {
    let said = [identity::weights(adapter)?];
    let sha256 = checkpoint::identity(&said, examples, &base.decoder)?;
    let kept = fs::read(folder.path().join(FILE)).ok();
    let kept = kept.and_then(|bytes| serde_json::from_slice::<Reference>(&bytes).ok());
    if let Some(kept) = kept.filter(|kept| kept.sha256 == sha256) {
        return Ok(kept.log_p);
    }
    observer.note(format_args!(
        "the reference reads {} answers",
        examples.len()
    ));
    observer.begin(examples.len(), "answers")?;
    let answers = log_probabilities(&base.decoder, adapter, examples, batch, |done| {
        observer.done(done, String::new());
        match observer.stops() {
            true => bail!("interrupted"),
            false => Ok(()),
        }
    });
    observer.end();
    let log_p: Vec<f64> = answers?.iter().map(Answer::sum).collect();
    ensure!(
        log_p.iter().all(|p| p.is_finite()),
        "the reference's logits are no numbers: is the base or the adapter damaged?"
    );
    let reference = Reference { sha256, log_p };
    folder.write(FILE, &json(&serde_json::json!(reference))?)?;
    Ok(reference.log_p)
}
