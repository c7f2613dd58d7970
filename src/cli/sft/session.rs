//! A run from its first step, or its next, to its folder: metrics, states to go on from, and how it may be stopped.

use super::Args;
use super::curve;
use super::selection::{Best, Selection};
use crate::adapters::lora::Adapter;
use crate::adapters::peft;
use crate::cli::interrupt;
use crate::cli::loras;
use crate::cli::note;
use crate::cli::one_line;
use crate::cli::progress::Progress;
use crate::data::template::Renderer;
use crate::model::load::Base;
use crate::run::training_run::TrainingRun;
use crate::training::checkpoint::{self, Stored};
use crate::training::config::TrainConfig;
use crate::training::optim::Optimizer;
use crate::training::sft::{Encoded, Example};
use crate::training::trainer::{self, Diverged, StepMetrics};
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// Seconds between states, unless steps are given.
const PERIOD: Duration = Duration::from_secs(60);

/// What a state says beside the trainer's own.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Notes {
    elapsed_s: f64,
    best: Best,
}

/// A line of `metrics.jsonl`.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    step: StepMetrics,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_accuracy: Option<f64>,
}

/// Settings that change no byte of the adapter: a run may go on with others.
const FREE: [&str; 4] = ["recompute", "tensorboard", "throttle", "checkpoint_every"];

/// What a run is made of.
pub struct Session<'a> {
    pub args: &'a Args,
    pub out: &'a Path,
    pub base: &'a Base,
    pub renderer: &'a Renderer<'a>,
    pub encoded: &'a Encoded,
    pub validation: Option<&'a [Example]>,
    pub train: &'a TrainConfig,
    /// The resolved settings, as the run's folder has them.
    pub settings: String,
}

impl Session<'_> {
    /// Trains `adapter` and fills `folder`.
    pub fn run(&self, adapter: &mut Adapter, folder: &mut TrainingRun) -> Result<()> {
        interrupt::watch()?;
        let decoder = &self.base.decoder;
        let mut selection = Selection::open(self.args, self.base, self.renderer)?;
        let identity = self.identity(adapter, selection.as_ref())?;
        let mut optimizer = Optimizer::new(decoder.path, self.train.weight_decay);
        let mut notes = match &self.args.resume {
            Some(_) => self.go_on(folder, &identity, adapter, &mut optimizer)?,
            None => Notes::default(),
        };
        if self.args.tensorboard {
            folder.tensorboard()?;
        }
        let before = notes.elapsed_s;
        folder.write("config.toml", self.settings.as_bytes())?;
        let total = self.train.total_steps(self.encoded.examples.len());
        let examples = &self.encoded.examples;
        let tokens: usize = examples.iter().map(Example::len).sum();
        note(format_args!(
            "{} rows, {tokens} tokens, {total} steps",
            examples.len()
        ));
        let (mut seen, mut spared) = (0, 0);
        let progress = Progress::new(total, "steps");
        let mut saved = Instant::now();
        let observe = |m: &StepMetrics, adapter: &Adapter, optimizer: &Optimizer| {
            let mut message = format!("loss {:.4}  {:.0} tokens/s", m.loss, m.tokens_per_s);
            if let Some(loss) = m.val_loss {
                message += &format!("  val loss {loss:.4}");
            }
            progress.update(m.step, message);
            seen += m.tokens;
            spared += m.tokens - m.computed;
            notes.elapsed_s = before + m.elapsed_s;
            let last = m.step == total;
            let mut execution_accuracy = None;
            if let Some(selection) = &mut selection
                && (last || (m.step as u64).is_multiple_of(self.args.eval_every))
            {
                let found = selection.measure(adapter)?;
                if notes.best.add(m.step, found) {
                    folder.save_best(m.step, &self.files(adapter)?)?;
                }
                execution_accuracy = Some(found);
            }
            folder.metric(&Line {
                step: StepMetrics {
                    elapsed_s: notes.elapsed_s,
                    ..m.clone()
                },
                execution_accuracy,
            })?;
            if last
                || self
                    .args
                    .patience
                    .is_some_and(|most| notes.best.since >= most)
            {
                return Ok(ControlFlow::Break(()));
            }
            let saves = self.train.saves(m.step, total);
            let due = match self.args.checkpoint_every {
                Some(every) => (m.step as u64).is_multiple_of(every),
                None => saved.elapsed() >= PERIOD,
            };
            let stopped = interrupt::asked();
            if saves || due || stopped {
                let notes = serde_json::to_string(&notes)?;
                let state = checkpoint::to_bytes(adapter, optimizer, m.step, &identity, &notes)?;
                folder.save_state(m.step, &state)?;
                saved = Instant::now();
            }
            if saves {
                let name = format!("checkpoint-{}", m.step);
                folder.save(&name, &self.files(adapter)?)?;
            }
            if stopped {
                bail!("interrupted after step {} of {total}", m.step);
            }
            Ok(ControlFlow::Continue(()))
        };
        let trained = trainer::train(
            decoder,
            adapter,
            &mut optimizer,
            examples,
            self.validation,
            self.train,
            observe,
        );
        progress.finish();
        if spared > 0 {
            note(format_args!(
                "shared prefixes spared {:.0}% of the tokens",
                100.0 * spared as f64 / seen as f64
            ));
        }
        let diverged = trained.as_ref().err().and_then(|e| e.downcast_ref());
        let again = diverged.is_some();
        if let Some(Diverged { step, rows, .. }) = diverged {
            let places: Vec<&str> = rows.iter().map(|&row| &*self.encoded.places[row]).collect();
            note(format_args!(
                "the rows of step {step}: {}",
                places.join(", ")
            ));
        }
        let written = trained.and_then(|()| {
            for (name, content) in self.files(adapter)? {
                folder.write(name, &content)?;
            }
            let curve = curve::svg(&folder.path().join("metrics.jsonl"))?;
            folder.write("loss.svg", curve.as_bytes())?;
            match notes.best.found {
                Some((step, accuracy)) => {
                    note(format_args!(
                        "kept the adapter after step {step}: execution accuracy {accuracy:.3}"
                    ));
                    folder.take_best(step)
                }
                None => Ok(()),
            }
        });
        written.map_err(|e| match folder.states() {
            Ok(states) if !states.is_empty() && again => e.context(format!(
                "stopped; the last good state is {}, from which it diverges again: remove {} and start with other settings",
                states[0].1.display(),
                folder.path().display()
            )),
            Ok(states) if !states.is_empty() => e.context(format!(
                "stopped; the state after step {} is kept, go on with: factory sft --resume {}",
                states[0].0,
                self.out.display()
            )),
            _ => e,
        })
    }

    /// What the run's states belong to. The config of `adapter` says what its settings do not where it is another's.
    fn identity(&self, adapter: &Adapter, selection: Option<&Selection>) -> Result<String> {
        let mut settings: toml::Table = toml::from_str(&self.settings)?;
        settings.retain(|name, _| !FREE.contains(&name));
        let (examples, decoder) = (&self.encoded.examples, &self.base.decoder);
        let said = [
            toml::to_string(&settings)?,
            adapter
                .config
                .to_json(adapter.modules.keys().copied())
                .to_string(),
            selection.map_or(String::new(), Selection::rows),
        ];
        checkpoint::identity(&said, examples, decoder)
    }

    /// Takes up the newest state that is whole.
    fn go_on(
        &self,
        folder: &mut TrainingRun,
        identity: &str,
        adapter: &mut Adapter,
        optimizer: &mut Optimizer,
    ) -> Result<Notes> {
        let mut fault = None;
        for (_, path) in folder.states()? {
            let place = path.display();
            let read = fs::read(&path).map_err(anyhow::Error::from);
            let restored = read.and_then(|bytes| {
                checkpoint::restore(
                    &bytes,
                    identity,
                    self.train,
                    adapter,
                    optimizer,
                    &self.base.decoder,
                )
            });
            match restored.with_context(|| place.to_string()) {
                Ok(Stored { step, notes }) => {
                    note(format_args!("going on after step {step}"));
                    folder.keep_metrics(step)?;
                    return Ok(serde_json::from_str(&notes)?);
                }
                Err(error) => {
                    note(format_args!("warning: {}", one_line(&error)));
                    fault = fault.or(Some(error));
                }
            }
        }
        Err(fault.unwrap_or_else(|| {
            anyhow!(
                "{}: no state to go on from: start again",
                folder.path().display()
            )
        }))
    }

    /// The files of an adapter's folder, the run's config among them.
    fn files(&self, adapter: &Adapter) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut files = vec![("config.toml", self.settings.as_bytes().to_vec())];
        let text = self.renderer.chat_template();
        files.extend(text.map(|text| (loras::CHAT_TEMPLATE, text.as_bytes().to_vec())));
        files.extend(peft::files(adapter)?);
        Ok(files)
    }
}
