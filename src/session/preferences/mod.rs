//! Learning from preference pairs: answers to one prompt of which one is better, held to the adapter that the run begins with.

mod encoded;
mod settings;

use super::compared::{Begun, Opened};
use super::config::{Config, PreferenceConfig, PreferenceLoss};
use super::run::{Draw, Session};
use super::{recompute, reference};
use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::Ngrams;
use crate::data::asking::Asking;
use crate::data::pairs::{self, Judged};
use crate::data::template::Renderer;
use crate::model::load::Base;
use crate::model::place::Place;
use crate::run::observer::Observer;
use crate::run::training_run::TrainingRun;
use crate::run::usage::UsageError;
use crate::training::config::{OnLong, TrainConfig};
use crate::training::lessons::Lessons;
use crate::training::objective::Units;
use crate::training::objective::kto::Kto;
use crate::training::objective::preference::Preference;
use crate::training::pairs::Pairs;
use crate::training::sft::Example;
use anyhow::{Error, Result, ensure};
use encoded::Encoded;
use settings::Settings;

/// Makes the rows that are learned from, by the base and the adapter that the run begins with.
pub type Source<'a> =
    &'a mut dyn FnMut(&Base, &Adapter, &Renderer, &TrainingRun) -> Result<Vec<Judged>>;

/// Trains an adapter at `place` and writes its folder. The rows are those of the file where no `source` makes them.
pub fn train(
    config: &PreferenceConfig,
    source: Option<Source>,
    run: &Config,
    place: &Place,
    observer: &dyn Observer,
    draw: Draw,
) -> Result<()> {
    let sft = &config.sft;
    check(config)?;
    let opened = Opened::new(sft, run)?;
    let template = opened.template;
    let read = match source {
        Some(_) => Vec::new(),
        None => pairs::read(&sft.data, &sft.columns, labelled(config))?,
    };
    let asking = Asking::of_file(&sft.data, &sft.columns)?;
    let begun = opened.begin(sft, run, place, observer)?;
    let settings = begun.settings(sft, run, template, &Settings::of(config, run))?;
    let Begun {
        mut folder,
        mut base,
        mut adapter,
        start,
    } = begun;
    let renderer = Renderer::new(template, &base.tokenizer)?;
    let rows = match source {
        Some(source) => {
            let made = source(&base, &adapter, &renderer, &folder);
            made.map_err(|error| stopped(error, run, &mut folder, observer))?
        }
        None => read,
    };
    let rows = with_a_query_apart(rows, config, observer)?;
    let encoded = Encoded::of(rows, config, &base, &renderer, observer)?;
    let rows = &encoded.examples;
    // Rows are counted two by two.
    let pass = TrainConfig {
        batch: 2 * sft.train.batch,
        ..sft.train.clone()
    };
    base.decoder.recompute =
        recompute::decide(&base.decoder, &adapter.config, rows, &pass, observer);
    let log_p = reference::log_p(&base, &adapter, rows, pass.batch, &folder, observer);
    let log_p = log_p.map_err(|error| stopped(error, run, &mut folder, observer))?;
    let objective: Box<dyn Units> = match &config.loss {
        PreferenceLoss::Pairs(loss) => Box::new(Preference::new(loss.clone(), log_p)),
        PreferenceLoss::Kto(loss) => Box::new(Kto::new(loss.clone(), encoded.good.clone(), log_p)),
    };
    let mut lessons = Pairs::new(rows, objective, &sft.train)?;
    let tokens: usize = rows.iter().map(Example::len).sum();
    observer.note(format_args!(
        "{} {}, {tokens} tokens, {} steps",
        rows.len() / 2,
        match config.loss {
            PreferenceLoss::Pairs(_) => "pairs",
            PreferenceLoss::Kto(_) => "answers",
        },
        lessons.steps()
    ));
    let chosen = rows.iter().step_by(2).flat_map(Example::answers);
    let session = Session {
        command: "dpo",
        config: run,
        base: &base,
        renderer: &renderer,
        examples: rows,
        places: &encoded.places,
        validation: None,
        train: &sft.train,
        settings,
        rests_on: vec![start],
        repair_rows: 0,
        ngrams: run.ngrams.then(|| Ngrams::of(chosen)),
        asking,
        answers: None,
        observer,
        draw,
    };
    session.run(&mut adapter, &mut lessons, &mut folder)?;
    folder.finish()
}

/// Refuses settings that pairs cannot have.
pub fn check(config: &PreferenceConfig) -> Result<()> {
    let loss = match &config.loss {
        PreferenceLoss::Pairs(loss) => loss.check(),
        PreferenceLoss::Kto(loss) => loss.check(),
    };
    loss.map_err(UsageError::of)?;
    let refused = match config.sft.train.on_long {
        OnLong::TruncatePrompt => {
            "--on-long truncate-prompt would give a pair two prompts: use error or skip"
        }
        OnLong::Error | OnLong::Skip if config.sft.adapter.dropout > 0.0 => {
            "--dropout has no place in log-probabilities that are compared"
        }
        OnLong::Error | OnLong::Skip => return Ok(()),
    };
    Err(UsageError(refused.to_owned()).into())
}

/// `error` of what is made before the first step, and how to go on where that was only stopped.
fn stopped(error: Error, run: &Config, folder: &mut TrainingRun, observer: &dyn Observer) -> Error {
    if !observer.stops() {
        return error;
    }
    folder.keep();
    let out = run.out.display();
    error.context(format!("stopped; go on with: factory dpo --resume {out}"))
}

/// Whether the loss takes answers alone.
fn labelled(config: &PreferenceConfig) -> bool {
    matches!(config.loss, PreferenceLoss::Kto(_))
}

/// The rows that are learned from: pairs that differ in format alone are not, unless they are asked for.
fn with_a_query_apart(
    mut rows: Vec<Judged>,
    config: &PreferenceConfig,
    observer: &dyn Observer,
) -> Result<Vec<Judged>> {
    let (from, all) = (config.sft.data.display(), rows.len());
    if !config.format_pairs {
        rows.retain(|row| !matches!(row, Judged::Pair(pair) if pair.format_only));
    }
    let left_out = all - rows.len();
    ensure!(
        !rows.is_empty(),
        "{from}: the answers of all {all} pairs hold the same query and differ in format alone: that is what sft teaches (--format-pairs learns from them)"
    );
    if left_out > 0 {
        observer.note(format_args!(
            "{from}: left out {left_out} of {all} pairs whose answers hold the same query (--format-pairs takes them)"
        ));
    }
    Ok(rows)
}
