//! The rows of a file to a file of answered rows.

use super::choice::{self, Chosen, Select};
use super::config::Config;
use super::constraint::Kind;
use super::fields::Fields;
use super::loaded::Loaded;
use super::repair::{self, Repair};
use super::rows::{Row, Rows, TIE, counts, named, repeated};
use super::{identity, metrics, routing};
use crate::data::jsonl::{self, Line};
use crate::data::record;
use crate::data::shard::Shard;
use crate::generation::cache::Cache;
use crate::generation::engine::{Adapters, Engine};
use crate::generation::sampler::SamplerConfig;
use crate::generation::sequence::Finish;
use crate::generation::usage::Usage;
use crate::model::place::Place;
use crate::run::files::{self, check_apart, check_writable, is_device, partial, write_atomic};
use crate::run::observer::Observer;
use crate::run::usage::UsageError;
use anyhow::{Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Which rows are answered, and what is written.
#[derive(Debug, Clone)]
pub struct Job {
    /// Rows with a prompt (JSONL).
    pub data: PathBuf,
    /// The answered rows. Until all are answered they are kept beside it.
    pub out: PathBuf,
    /// What is written of each answer.
    pub fields: Fields,
    /// How it is chosen among samples.
    pub choice: choice::Config,
    /// The part of the rows that is answered and written; all where there is none.
    pub shard: Option<Shard>,
    /// Whether to go on with an interrupted run of the same job.
    pub resume: bool,
    /// What answering took is written there, as JSON.
    pub metrics_out: Option<PathBuf>,
    pub sampler: SamplerConfig,
}

/// What became of a job whose rows are written.
#[derive(Debug)]
pub struct Answered {
    rows: usize,
    /// `file:line` of rows that the model has no answer to.
    broken: Vec<String>,
}

impl Answered {
    /// Errors where rows have no answer because the model is broken there.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.broken.is_empty(),
            "{} of {} rows have no answer, the model's logits are no numbers there: {}",
            self.broken.len(),
            self.rows,
            named(&self.broken)
        );
        Ok(())
    }
}

impl Job {
    /// Refuses what is a mistake whatever is answered.
    pub fn check(&self, config: &Config) -> Result<()> {
        self.sampler.check().map_err(UsageError::of)?;
        let schemas = config.constrain.kind == Kind::Schema;
        self.choice.check(self.sampler.samples, schemas)?;
        let chooses = self.choice.select != Select::First || self.choice.repair > 0;
        if self.fields.choice && !chooses {
            let message =
                "--choice-fields needs --select executable or vote, or --repair".to_owned();
            return Err(UsageError(message).into());
        }
        self.fields.check(self.sampler.samples)
    }

    /// Answers the rows as `config` says, at `place`.
    pub fn run(&self, config: &Config, place: &Place, observer: &dyn Observer) -> Result<Answered> {
        let (data, out) = (self.data.as_path(), self.out.as_path());
        let journal = self.journal()?;
        let metrics_out = self.metrics_out.as_deref();
        let outputs = || {
            [Some(out), journal.as_deref(), metrics_out]
                .into_iter()
                .flatten()
        };
        check_apart([data], outputs()).map_err(UsageError::of)?;
        let (mut lines, turns) = record::read_prompts(data, &config.columns)?;
        for output in outputs() {
            check_writable(output)?;
        }
        if self.choice.repair > 0 {
            repair::check(&config.loras)?;
        }
        let dbs = self.choice.databases(data, &lines)?;
        let constraints = config.constrain.read(data, &lines, &turns, observer)?;
        let loaded = Loaded::load(config, place, observer)?;
        let prompts = loaded.prompts(data, &lines, &turns, observer)?;
        let (adapters, decisions) = match loaded.router(config)? {
            None => (loaded.mixed(loaded.mixture.clone()), Vec::new()),
            Some(router) => {
                let decisions = config.routing.decide(&router, data, &lines, &turns)?;
                observer.note(format_args!("{}", routing::summary(&decisions)));
                (Some(loaded.routed(&decisions)), decisions)
            }
        };
        // A row stands there for each of its samples: the first computes its prompt, and the others take it over.
        let samples = self.sampler.samples;
        let prompts = repeated(&prompts, samples);
        let adapters = adapters.map(|all| Adapters {
            choice: repeated(&all.choice, samples),
            ..all
        });
        let mut engine = loaded.engine(adapters, self.sampler());
        let grammars = constraints.grammars(engine.tokenizer)?;
        engine.grammars = repeated(&grammars, samples);
        // A row keeps its place among all: what is drawn for it depends on that.
        let part = self
            .shard
            .map_or(0..lines.len(), |shard| shard.range(lines.len()));
        let places = part.start * samples..part.end * samples;
        let mut rows = match &journal {
            None => Rows::unkept(places),
            Some(journal) => {
                let mut identity = identity::of(&engine, &lines, &prompts)?;
                let shard = self.shard.map(|shard| shard.to_string());
                identity.insert("--shard".to_owned(), shard.into());
                if let Some(constraint) = constraints.identity() {
                    identity.insert("--constrain".to_owned(), constraint);
                }
                Rows::kept(places, journal, &identity, self.resume, observer)?
            }
        };
        let answered = loaded
            .cache(&engine, &prompts, &rows.waiting(), observer)
            .and_then(|mut cache| complete(&mut rows, &engine, &mut cache, &prompts, observer));
        let usage = match answered {
            Ok(usage) => usage,
            Err(error) => return Err(stopped(error, rows, journal.as_deref(), samples)),
        };
        for (line, decision) in lines.iter_mut().zip(&decisions) {
            routing::annotate(line, decision);
        }
        let answered: Vec<&Row> = rows.answered().map(|(_, row)| row).collect();
        let drawn: Vec<Vec<&Row>> = answered.chunks(samples).map(<[_]>::to_vec).collect();
        let dbs = dbs.get(part.clone()).unwrap_or_default();
        let repair = |chosen: &[Chosen]| match &self.choice.databases {
            Some(databases) if self.choice.repair > 0 => {
                let answers = drawn.iter().zip(chosen);
                let answers: Vec<&Row> = answers.map(|(row, one)| row[one.sample]).collect();
                let repair = Repair {
                    rounds: self.choice.repair,
                    loaded: &loaded,
                    databases,
                    sampler: self.sampler(),
                    turns: &turns[part.clone()],
                    dbs,
                    decisions: decisions.get(part.clone()).unwrap_or_default(),
                    grammars: grammars.get(part.clone()).unwrap_or_default(),
                    observer,
                };
                repair.run(&answers)
            }
            _ => Ok(BTreeMap::new()),
        };
        let chosen = self.choice.choose(dbs, &drawn, observer);
        let chosen = chosen.and_then(|chosen| Ok((repair(&chosen)?, chosen)));
        let (repaired, chosen) = match chosen {
            Ok(chosen) => chosen,
            Err(error) => return Err(stopped(error, rows, journal.as_deref(), samples)),
        };
        let mut abstained = 0;
        let own = &mut lines[part.clone()];
        for (at, (line, drawn)) in own.iter_mut().zip(&drawn).enumerate() {
            let repaired = repaired.get(&at);
            let withheld = self.fields.write(line, drawn, &chosen[at], repaired);
            abstained += usize::from(withheld);
        }
        if let Some(least) = self.fields.abstain_below {
            observer.note(format_args!(
                "abstained: {abstained} of {} rows, whose confidence is below {least}",
                drawn.len()
            ));
        }
        let own = &lines[part];
        let masks = constraints.is_on().then(|| constraints.masks());
        let metrics = || match metrics_out {
            Some(path) => write_atomic(path, &files::json(&metrics::json(&usage, masks))?),
            None => Ok(()),
        };
        let answers = || write_atomic(out, &jsonl::to_bytes(own)?);
        if let Err(error) = metrics().and_then(|()| answers()) {
            return Err(stopped(error, rows, journal.as_deref(), samples));
        }
        let broken = broken(data, &lines, &rows, samples);
        rows.end()?;
        Ok(Answered {
            rows: own.len(),
            broken,
        })
    }

    /// With the log-probabilities that somebody asks for.
    fn sampler(&self) -> SamplerConfig {
        let asked = self.fields.confident() || self.choice.select == Select::Vote;
        SamplerConfig {
            logprobs: asked.then_some(0),
            ..self.sampler.clone()
        }
    }

    /// The file that grows beside `out`; none beside a device.
    fn journal(&self) -> Result<Option<PathBuf>> {
        match (is_device(&self.out), self.resume) {
            (false, _) => Ok(Some(partial(&self.out))),
            (true, false) => Ok(None),
            (true, true) => {
                let out = self.out.display();
                let message = format!("--resume needs an --out that is a file, not {out}");
                Err(UsageError(message).into())
            }
        }
    }
}

/// Answers what waits, and says how it went.
fn complete(
    rows: &mut Rows,
    engine: &Engine,
    cache: &mut Cache,
    prompts: &[Vec<u32>],
    observer: &dyn Observer,
) -> Result<Usage> {
    let before = rows.done();
    if before > 0 {
        let what = what(engine.sampler.samples);
        observer.note(format_args!("going on after {before} {what}"));
    }
    let samples = engine.sampler.samples;
    observer.begin(rows.count(), what(samples))?;
    let start = Instant::now();
    let (mut done, mut generated) = (before, 0);
    let answered = rows.answer(engine, cache, prompts, |row| {
        if let Some(row) = row {
            done += 1;
            generated += row.tokens;
            let rate = generated as f64 / start.elapsed().as_secs_f64();
            observer.done(done, format!("{rate:.0} tokens/s"));
        }
        match observer.stops() {
            true => bail!("interrupted"),
            false => Ok(()),
        }
    });
    observer.end();
    let usage = answered?;
    let seconds = start.elapsed().as_secs_f64();
    let what = what(samples);
    let all = || rows.answered().map(|(_, row)| row);
    observer.note(format_args!(
        "{done} {what} ({}), {} tokens, {:.1} {what}/s, {:.0} tokens/s; {} {what} had a tie (two best logits within {TIE})",
        counts(all()),
        all().map(|row| row.tokens).sum::<usize>(),
        (done - before) as f64 / seconds,
        generated as f64 / seconds,
        all().filter(|row| row.tie).count()
    ));
    observer.note(format_args!("{}", metrics::line(&usage)));
    if !engine.grammars.is_empty() {
        let freed = all().filter(|row| row.freed).count();
        observer.note(format_args!("constraint: {freed} {what} left without it"));
    }
    let without = |row: &&Row| row.finish == Finish::TooLong;
    match all().filter(without).count() {
        0 => {}
        skipped => observer.note(format_args!(
            "skipped as too long, without an answer (null): {}",
            skipped / samples
        )),
    }
    Ok(usage)
}

/// What is counted.
fn what(samples: usize) -> &'static str {
    match samples {
        1 => "rows",
        _ => "answers",
    }
}

/// `file:line` of the rows of which an answer is missing because the model's logits were no numbers.
fn broken(data: &Path, lines: &[Line], rows: &Rows, samples: usize) -> Vec<String> {
    let ended = rows
        .answered()
        .filter(|(_, row)| row.finish == Finish::Error);
    let mut places: Vec<usize> = ended.map(|(at, _)| at / samples).collect();
    places.dedup();
    let place = |at: usize| format!("{}:{}", data.display(), lines[at].number);
    places.into_iter().map(place).collect()
}

/// `error`, and how to go on where rows are kept.
fn stopped(
    error: anyhow::Error,
    rows: Rows,
    journal: Option<&Path>,
    samples: usize,
) -> anyhow::Error {
    let done = rows.done();
    match journal {
        Some(journal) if done > 0 => error.context(format!(
            "stopped; {done} of {} {} are kept in {}, go on with the same command and --resume",
            done + rows.waiting().len(),
            what(samples),
            journal.display()
        )),
        _ => {
            // Nothing is in it, and the first error is the one to report.
            let _ = rows.end();
            error
        }
    }
}
