//! States that a run goes on from, and what they belong to.

use super::guard::Guards;
use super::selection::{Best, Selection};
use crate::adapters::lora::Adapter;
use crate::model::decoder::Decoder;
use crate::run::observer::Observer;
use crate::run::training_run::TrainingRun;
use crate::run::words::one_line;
use crate::training::checkpoint::{self, Stored};
use crate::training::config::TrainConfig;
use crate::training::optim::Optimizer;
use crate::training::sft::Example;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;

/// Settings that change no step of a run: it may go on with others.
const FREE: [&str; 6] = [
    "no_guards",
    "recompute",
    "tensorboard",
    "csv",
    "throttle",
    "checkpoint_every",
];

/// What a state says beside the trainer's own.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Notes {
    pub elapsed_s: f64,
    pub best: Best,
    #[serde(default)]
    pub guards: Guards,
}

/// The states of a run.
pub struct States<'a> {
    /// What they belong to.
    pub identity: String,
    pub train: &'a TrainConfig,
    pub decoder: &'a Decoder,
}

/// What a run's states belong to: its settings and what else it rests on. The config of `adapter` says what the settings do not where it is another's.
pub fn identity(
    (settings, rests_on): (&str, &[String]),
    adapter: &Adapter,
    selection: Option<&Selection>,
    examples: &[Example],
    decoder: &Decoder,
) -> Result<String> {
    let mut settings: toml::Table = toml::from_str(settings)?;
    settings.retain(|name, _| !FREE.contains(&name));
    let mut said = vec![
        toml::to_string(&settings)?,
        adapter
            .config
            .to_json(adapter.modules.keys().copied())
            .to_string(),
        selection.map_or(String::new(), Selection::rows),
    ];
    said.extend(rests_on.iter().cloned());
    checkpoint::identity(&said, examples, decoder)
}

impl States<'_> {
    /// Saves the one after `step`.
    pub fn save(
        &self,
        folder: &mut TrainingRun,
        step: usize,
        adapter: &Adapter,
        optimizer: &Optimizer,
        notes: &Notes,
    ) -> Result<()> {
        let notes = serde_json::to_string(notes)?;
        let state = checkpoint::to_bytes(adapter, optimizer, step, &self.identity, &notes)?;
        folder.save_state(step, &state)
    }

    /// Takes up the newest one that is whole. Where there is none, the run was stopped before its first: it begins again.
    pub fn restore(
        &self,
        folder: &mut TrainingRun,
        adapter: &mut Adapter,
        optimizer: &mut Optimizer,
        observer: &dyn Observer,
    ) -> Result<Notes> {
        let states = folder.states()?;
        if states.is_empty() {
            observer.note(format_args!(
                "the run was stopped before its first state: it begins again"
            ));
            return Ok(Notes::default());
        }
        let mut fault = None;
        for (_, path) in states {
            let place = path.display();
            let read = fs::read(&path).map_err(anyhow::Error::from);
            let restored = read.and_then(|bytes| {
                checkpoint::restore(
                    &bytes,
                    &self.identity,
                    self.train,
                    adapter,
                    optimizer,
                    self.decoder,
                )
            });
            match restored.with_context(|| place.to_string()) {
                Ok(Stored { step, notes }) => {
                    observer.note(format_args!("going on after step {step}"));
                    folder.keep_metrics(step)?;
                    return Ok(serde_json::from_str(&notes)?);
                }
                Err(error) => {
                    observer.note(format_args!("warning: {}", one_line(&error)));
                    fault = fault.or(Some(error));
                }
            }
        }
        Err(fault.context("states without a fault, none of which was taken up")?)
    }
}
