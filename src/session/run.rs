//! A run from its first step, or its next, until its folder is filled.

use super::config::Config;
use super::course::Course;
use super::files::Files;
use super::guard::Tripped;
use super::metrics::{self, CSV};
use super::selection::{self, Selection};
use super::state::{self, Notes, States};
use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::Ngrams;
use crate::data::asking::Asking;
use crate::data::template::Renderer;
use crate::model::load::Base;
use crate::run::observer::Observer;
use crate::run::training_run::{METRICS, SETTINGS, TrainingRun};
use crate::run::words::one_line;
use crate::training::config::TrainConfig;
use crate::training::lessons::{Lessons, Nothing};
use crate::training::optim::Optimizer;
use crate::training::sft::Example;
use crate::training::trainer::{self, Diverged};
use anyhow::{Context, Error, Result};
use std::path::Path;
use std::time::Instant;

/// Draws the losses out of a run's metrics, as SVG.
pub type Draw<'a> = &'a dyn Fn(&Path) -> Result<String>;

/// What a run is made of.
pub struct Session<'a> {
    /// The command that trains.
    pub command: &'static str,
    pub config: &'a Config,
    pub base: &'a Base,
    pub renderer: &'a Renderer<'a>,
    /// The rows that are known before the first step, and where each came from.
    pub examples: &'a [Example],
    pub places: &'a [String],
    pub validation: Option<&'a [Example]>,
    pub train: &'a TrainConfig,
    /// The resolved settings, as the run's folder has them.
    pub settings: String,
    /// What else its adapter follows from than settings and rows: with other such texts nothing is gone on with.
    pub rests_on: Vec<String>,
    /// How many of the rows repair, and those of the adapter to go on from.
    pub repair_rows: usize,
    /// What follows what in the answers that are taught.
    pub ngrams: Option<Ngrams>,
    /// How the rows ask, where they ask alike.
    pub asking: Option<Asking>,
    /// What answers the rows that adapters are measured on [default: the base, as it is asked].
    pub answers: Option<selection::Asking<'a>>,
    pub observer: &'a dyn Observer,
    pub draw: Draw<'a>,
}

impl Session<'_> {
    /// Trains `adapter` by `lessons` and fills `folder`.
    pub fn run(
        &self,
        adapter: &mut Adapter,
        lessons: &mut dyn Lessons,
        folder: &mut TrainingRun,
    ) -> Result<()> {
        let (decoder, examples) = (&self.base.decoder, self.examples);
        let selection = self.config.selection.as_ref().map(|config| {
            let (renderer, observer) = (self.renderer, self.observer);
            match self.answers {
                Some(asking) => Selection::by(config, observer, asking),
                None => Selection::open(config, self.base, renderer, observer),
            }
        });
        let selection = selection.transpose()?;
        let identity = state::identity(
            (&self.settings, &self.rests_on),
            adapter,
            selection.as_ref(),
            examples,
            decoder,
        );
        let states = States {
            identity: identity?,
            train: self.train,
            decoder,
        };
        let mut optimizer = Optimizer::new(decoder.path, self.train.weight_decay);
        let notes = match self.config.resume {
            true => states.restore(folder, adapter, &mut optimizer, self.observer)?,
            false => Notes::default(),
        };
        if self.config.tensorboard {
            folder.tensorboard()?;
        }
        folder.write(SETTINGS, self.settings.as_bytes())?;
        let total = lessons.steps();
        self.observer.begin(total, "steps")?;
        let files = Files {
            ngrams: self.ngrams.as_ref(),
            repair_rows: self.repair_rows,
            asking: self.asking.as_ref(),
            decoder,
            settings: &self.settings,
            chat_template: self.renderer.chat_template(),
        };
        let mut course = Course {
            config: self.config,
            train: self.train,
            files: &files,
            states: &states,
            selection,
            folder,
            observer: self.observer,
            total,
            before: notes.elapsed_s,
            saved: Instant::now(),
            notes,
            seen: 0,
            spared: 0,
            done: optimizer.steps(),
            measured: None,
            start: None,
        };
        course.before(adapter)?;
        let trained = trainer::train(
            decoder,
            adapter,
            &mut optimizer,
            lessons,
            self.validation,
            self.train,
            |m, adapter, optimizer| course.after(m, adapter, optimizer),
        );
        let trained = trained.and_then(|()| course.ended(optimizer.steps(), adapter));
        self.observer.end();
        let ended = |error: &Error| {
            error.is::<Tripped>() || error.is::<Diverged>() || error.is::<Nothing>()
        };
        let lost = trained.as_ref().is_err_and(|error| !ended(error));
        // The error that ended the run is the one to report.
        if lost && let Err(error) = course.stopped(adapter, &optimizer) {
            self.observer
                .note(format_args!("warning: no state: {}", one_line(&error)));
        }
        let notes = std::mem::take(&mut course.notes);
        let (seen, spared) = (course.seen, course.spared);
        // The folder is the run's again.
        drop(course);
        if spared > 0 {
            self.observer.note(format_args!(
                "shared prefixes spared {:.0}% of the tokens",
                100.0 * spared as f64 / seen as f64
            ));
        }
        let diverged = trained.as_ref().err().and_then(|e| e.downcast_ref());
        if let Some(diverged) = diverged {
            self.note_rows(diverged);
        }
        let again = diverged.is_some();
        let tripped = trained.as_ref().err().and_then(|e| e.downcast_ref());
        let trained = match (tripped, notes.best.found) {
            // What was better than the start before that is worth having.
            (Some(Tripped { .. }), Some((1.., _))) => {
                let tripped = trained.err().map(|error| one_line(&error));
                self.observer.note(format_args!(
                    "warning: ended by a guard: {}",
                    tripped.unwrap_or_default()
                ));
                Ok(())
            }
            (Some(Tripped { .. }), _) => {
                folder.keep();
                trained.with_context(|| {
                    format!(
                        "ended by a guard, the adapter it began with is as it was, the metrics are in {}",
                        folder.path().display()
                    )
                })
            }
            (None, _) => trained,
        };
        trained
            .and_then(|()| self.fill(folder, &files, adapter, &notes))
            .map_err(|error| self.stopped(error, folder, again))
    }

    /// Says which rows a run diverged on.
    fn note_rows(&self, Diverged { step, rows, .. }: &Diverged) {
        // Those of a rollout stand in no file.
        let places = rows.iter().filter_map(|&row| self.places.get(row));
        let mut places: Vec<&str> = places.map(String::as_str).collect();
        places.dedup();
        if !places.is_empty() {
            let places = places.join(", ");
            self.observer
                .note(format_args!("the rows of step {step}: {places}"));
        }
    }

    /// Writes what a run leaves that came to its end: the last adapter or the best, and the curve of its losses.
    fn fill(
        &self,
        folder: &mut TrainingRun,
        files: &Files,
        adapter: &Adapter,
        notes: &Notes,
    ) -> Result<()> {
        for (name, content) in files.of(adapter)? {
            folder.write(name, &content)?;
        }
        if self.config.csv {
            folder.write(CSV, &metrics::csv(&folder.path().join(METRICS))?)?;
        }
        let curve = (self.draw)(&folder.path().join(METRICS))?;
        folder.write("loss.svg", curve.as_bytes())?;
        match notes.best.found {
            Some((0, accuracy)) => {
                self.observer.note(format_args!(
                    "warning: no step made the adapter better: the one it began with is kept, execution accuracy {accuracy:.3}"
                ));
                folder.take_best(0)
            }
            Some((step, accuracy)) => {
                self.observer.note(format_args!(
                    "kept the adapter after step {step}: execution accuracy {accuracy:.3}"
                ));
                folder.take_best(step)
            }
            None => Ok(()),
        }
    }

    /// `error`, and how to go on where states are kept; `again` where the run would come to the same error.
    fn stopped(&self, error: Error, folder: &TrainingRun, again: bool) -> Error {
        match folder.states() {
            _ if error.is::<Tripped>() || error.is::<Nothing>() => error,
            Ok(states) if !states.is_empty() && again => error.context(format!(
                "stopped; the last good state is {}, from which it diverges again: remove {} and start with other settings",
                states[0].1.display(),
                folder.path().display()
            )),
            Ok(states) if !states.is_empty() => error.context(format!(
                "stopped; the state after step {} is kept, go on with: factory {} --resume {}",
                states[0].0,
                self.command,
                self.config.out.display()
            )),
            _ => error,
        }
    }
}
