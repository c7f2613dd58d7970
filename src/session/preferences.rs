//! Learning from preference pairs: answers to one prompt of which one is better, held to the adapter that the run begins with.

use super::config::{Config, PreferenceConfig};
use super::run::{Draw, Session};
use super::sft::{begin_adapter, strip_ends};
use super::{recompute, reference, settings};
use crate::adapters::ngrams::Ngrams;
use crate::answering::trained;
use crate::data::asking::Asking;
use crate::data::jsonl::Faults;
use crate::data::pairs::{self, Pair};
use crate::data::record::Record;
use crate::data::template::Renderer;
use crate::model::allocator;
use crate::model::load::Base;
use crate::model::place::Place;
use crate::run::observer::Observer;
use crate::run::training_run::TrainingRun;
use crate::run::usage::UsageError;
use crate::training::config::{OnLong, TrainConfig};
use crate::training::lessons::Lessons;
use crate::training::pairs::Pairs;
use crate::training::sft::{Example, examples};
use anyhow::{Context, Result, bail, ensure};

/// Trains an adapter at `place` and writes its folder.
pub fn train(
    config: &PreferenceConfig,
    run: &Config,
    place: &Place,
    observer: &dyn Observer,
    draw: Draw,
) -> Result<()> {
    let sft = &config.sft;
    check(config)?;
    let resumed = run.resume.then(|| TrainingRun::resume(&run.out));
    let resumed = resumed.transpose()?;
    let (name, template) = (sft.base()?, sft.template()?);
    let chat = sft.init.as_deref().map(trained::chat_template);
    let chat = chat.transpose()?.flatten();
    let pairs = read(config, observer)?;
    let asking = Asking::of_file(&sft.data, &sft.columns)?;
    // Before the base is loaded: a folder that cannot be made is known at once.
    let mut folder = match resumed {
        Some(folder) => folder,
        None => TrainingRun::begin(&run.out)?,
    };
    allocator::keep_freed_memory();
    let mut base = place.load(&name)?;
    trained::take_template(template, chat, &mut base.tokenizer, observer);
    let mut adapter = begin_adapter(sft, &base, name, observer)?;
    ensure!(
        adapter.config.dropout == 0.0,
        "the adapter's dropout is {}: log-probabilities that are compared cannot have any; set it to 0 in its adapter_config.json",
        adapter.config.dropout
    );
    let encoded = Encoded::of(pairs, config, &base, observer)?;
    let rows = &encoded.examples;
    let width = encoded.width;
    let pass = TrainConfig {
        batch: sft.train.batch * width,
        ..sft.train.clone()
    };
    base.decoder.recompute =
        recompute::decide(&base.decoder, &adapter.config, rows, &pass, observer);
    let log_p = reference::log_p(&base, &adapter, rows, pass.batch, &folder, observer)?;
    let mut lessons = Pairs::new(rows, log_p, config.loss.clone(), &sft.train)?;
    let tokens: usize = rows.iter().map(Example::len).sum();
    observer.note(format_args!(
        "{} pairs, {tokens} tokens, {} steps",
        rows.len() / width,
        lessons.steps()
    ));
    let chosen = rows.iter().step_by(width).flat_map(Example::answers);
    let decoder = &base.decoder;
    let session = Session {
        command: "dpo",
        config: run,
        base: &base,
        renderer: &Renderer::new(template, &base.tokenizer)?,
        examples: rows,
        places: &encoded.places,
        validation: None,
        train: &sft.train,
        settings: settings::of(sft, Some(config), run, template, &adapter.config, decoder)?,
        repair_rows: 0,
        ngrams: run.ngrams.then(|| Ngrams::of(chosen)),
        asking,
        observer,
        draw,
    };
    session.run(&mut adapter, &mut lessons, &mut folder)?;
    folder.finish()
}

/// Refuses settings that pairs cannot have.
pub fn check(config: &PreferenceConfig) -> Result<()> {
    config.loss.check().map_err(UsageError::of)?;
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

/// The pairs that are learned from.
fn read(config: &PreferenceConfig, observer: &dyn Observer) -> Result<Vec<Pair>> {
    let from = config.sft.data.display();
    let mut pairs = pairs::read(&config.sft.data, &config.sft.columns)?;
    let all = pairs.len();
    if !config.format_pairs {
        pairs.retain(|pair| !pair.format_only);
    }
    let left_out = all - pairs.len();
    ensure!(
        !pairs.is_empty(),
        "{from}: the answers of all {all} pairs hold the same query and differ in format alone: that is what sft teaches (--format-pairs learns from them)"
    );
    if left_out > 0 {
        observer.note(format_args!(
            "{from}: left out {left_out} of {all} pairs whose answers hold the same query (--format-pairs takes them)"
        ));
    }
    Ok(pairs)
}

/// Pairs as tokens.
struct Encoded {
    /// Pair by pair: the chosen answer, the other and, where the loss measures a divergence, another prompt's answer to each.
    examples: Vec<Example>,
    /// Of each example the pair's `file:line`.
    places: Vec<String>,
    /// Examples of a pair.
    width: usize,
}

impl Encoded {
    fn of(
        pairs: Vec<Pair>,
        config: &PreferenceConfig,
        base: &Base,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let template = config.sft.template()?;
        let renderer = Renderer::new(template, &base.tokenizer)?;
        trained::remark(&renderer, observer);
        let (chosen, rejected): (Vec<Record>, Vec<Record>) = pairs
            .into_iter()
            .map(|pair| (pair.chosen, pair.rejected))
            .unzip();
        let mut sides = [chosen, rejected];
        for side in &mut sides {
            strip_ends(side, &base.tokenizer, observer)?;
        }
        let (mut rows, mut places, mut skipped) = (Vec::new(), Vec::new(), 0);
        let mut faults = Faults::default();
        let train = &config.sft.train;
        let most = train
            .max_seq
            .min(base.decoder.config.max_position_embeddings);
        for (chosen, rejected) in sides[0].iter().zip(&sides[1]) {
            match pair(chosen, rejected, &renderer, most, train.on_long) {
                Ok(Some(pair)) => {
                    rows.push(pair);
                    places.push(chosen.place.clone());
                }
                Ok(None) => skipped += 1,
                Err(fault) => faults.add(fault),
            }
        }
        faults.refuse()?;
        let from = config.sft.data.display();
        ensure!(
            !rows.is_empty(),
            "{from}: all {skipped} pairs are longer than {most} tokens"
        );
        if skipped > 0 {
            observer.note(format_args!(
                "{from}: left out {skipped} pairs longer than {most} tokens"
            ));
        }
        let mismatches = config.loss.loss.mismatches();
        let width = if mismatches { 4 } else { 2 };
        let mut examples = Vec::with_capacity(rows.len() * width);
        for (i, [chosen, rejected]) in rows.iter().enumerate() {
            examples.extend([chosen.clone(), rejected.clone()]);
            if mismatches {
                // As TRL pairs them: the answer before, of the pair itself for the other one.
                let before = &rows[(i + rows.len() - 1) % rows.len()][1];
                examples.extend([with_answer(chosen, before), with_answer(rejected, chosen)]);
            }
        }
        let places = places.into_iter().flat_map(|place| vec![place; width]);
        Ok(Self {
            places: places.collect(),
            examples,
            width,
        })
    }
}

/// The prompt of one example with the answer of another.
fn with_answer(asked: &Example, answered: &Example) -> Example {
    let prompt = &asked.tokens[..asked.learned[0].start];
    let answer = &answered.tokens[answered.learned[0].start..];
    Example::new(prompt, answer)
}

/// Both sides of a pair; `None` leaves it out.
fn pair(
    chosen: &Record,
    rejected: &Record,
    renderer: &Renderer,
    most: usize,
    on_long: OnLong,
) -> Result<Option<[Example; 2]>> {
    let place = &chosen.place;
    let side = |record: &Record| -> Result<Example> {
        let last = examples(record, renderer)?.pop();
        last.with_context(|| format!("{place}: an answer has no token"))
    };
    let (chosen, rejected) = (side(chosen)?, side(rejected)?);
    ensure!(
        chosen.tokens != rejected.tokens,
        "{place}: chosen and rejected are the same tokens: there is nothing to prefer"
    );
    let prompt = |example: &Example| example.tokens[..example.learned[0].start].to_vec();
    ensure!(
        prompt(&chosen) == prompt(&rejected),
        "{place}: the template gives both answers different prompts"
    );
    let length = chosen.len().max(rejected.len());
    match (length <= most, on_long) {
        (true, _) => Ok(Some([chosen, rejected])),
        (false, OnLong::Skip) => Ok(None),
        (false, _) => bail!(
            "{place}: the pair's longer answer makes {length} tokens, more than {most}; raise --max-seq, or use --on-long skip"
        ),
    }
}
