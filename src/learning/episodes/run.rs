//! Episodes on the rows of a file, each answer judged.

use super::episode::Episode;
use super::protocol::Protocol;
use super::spider2::Spider2;
use super::stage::{Setup, Source, Stage};
use super::summary::Summary;
use super::tasks::Question;
use crate::answering::config::Config as Answering;
use crate::answering::identity;
use crate::answering::loaded::Loaded;
use crate::data::set::sha256;
use crate::db::sqlite::Now;
use crate::eval::databases::Databases;
use crate::generation::engine::Engine;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::learning::kept::{self, Identity, Kept};
use crate::learning::rows::Rows;
use crate::learning::verdicts::Scorer;
use crate::model::place::Place;
use crate::run::files::{check_writable, write_by};
use crate::run::observer::Observer;
use anyhow::Result;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// What is asked.
pub enum Data {
    /// Rows with their references.
    Rows(PathBuf),
    /// Spider2-lite's questions, which have none.
    Spider2(PathBuf),
}

/// A run.
pub struct Job {
    pub data: Data,
    /// The episodes. Until all are judged those that were played are kept beside it.
    pub out: PathBuf,
    /// Whether to go on with an interrupted run of the same job.
    pub resume: bool,
    pub setup: Setup,
    /// Where answers are judged.
    pub databases: Databases,
    /// The time of day that judged queries see [default: that of the run that is gone on with, else the present one].
    pub now: Option<Now>,
    /// Whether rows whose reference fails are left out.
    pub keep_going: bool,
    pub sampler: SamplerConfig,
}

impl Job {
    /// Plays, judges, and writes the episodes.
    pub fn run(
        &self,
        config: &Answering,
        place: &Place,
        observer: &dyn Observer,
    ) -> Result<Summary> {
        let journal = kept::beside(Some(&self.out), self.resume)?;
        journal.as_deref().map(check_writable).transpose()?;
        let now = kept::time(self.now, journal.as_deref(), self.resume)?;
        let (home, follow_links) = (&self.databases.home, self.databases.rules.follow_links);
        let (questions, scorer) = match &self.data {
            Data::Rows(path) => {
                let mut rows = Rows::read(path, &config.columns, home.unnamed())?;
                let keep_going = self.keep_going;
                let scorer = Scorer::open(&mut rows, &self.databases, now, keep_going, observer)?;
                (Question::of_rows(&rows)?, Some(scorer))
            }
            Data::Spider2(path) => {
                let Spider2 { questions, absent } = Spider2::read(path, home, follow_links)?;
                if absent > 0 {
                    observer.note(format_args!(
                        "left out {absent} of {} questions, whose database is not there",
                        absent + questions.len()
                    ));
                }
                (questions, None)
            }
        };
        // Before the base is loaded.
        self.setup.knowledge()?;
        let loaded = Loaded::load(config, place, observer)?;
        let renderer = loaded.renderer()?;
        let protocol = Protocol::of(loaded.template())?;
        let home = (home, follow_links);
        let stage = self
            .setup
            .stage(questions, home, protocol, &renderer, observer)?;
        let engine = |sampler: SamplerConfig, mut stop: StopConfig| {
            stop.stop.extend(config.stop.stop.iter().cloned());
            let adapters = loaded.mixed(loaded.mixture.clone());
            Engine {
                stop,
                ..loaded.engine(adapters, sampler)
            }
        };
        let all: Vec<usize> = (0..stage.tasks.len()).collect();
        let opened = journal.map(|path| {
            let first = engine(self.sampler.clone(), StopConfig::default());
            let identity = self.identity(&first, &stage, now)?;
            Kept::open(&path, &identity, self.resume, observer)
        });
        let (mut kept, played) = opened.transpose()?.unzip();
        let mut played: Vec<Vec<Episode>> = played.unwrap_or_default();
        if !played.is_empty() {
            observer.note(format_args!("going on after {} rows", played.len()));
        }
        let begun = Instant::now();
        let work = || -> Result<_> {
            observer.begin(all.len(), "rows")?;
            // Those of an interrupted run are whole parts.
            for some in all[played.len().min(all.len())..].chunks(loaded.batch) {
                let part = stage.play(&engine, some, &self.sampler)?;
                kept.as_mut().map(|kept| kept.add(&part)).transpose()?;
                played.extend(part);
                observer.done(played.len(), String::new());
            }
            observer.end();
            let seconds = begun.elapsed().as_secs_f64();
            let judged = match scorer {
                Some(mut scorer) => stage.judge(&mut scorer, &all, &played)?,
                None => Vec::new(),
            };
            Ok((seconds, judged))
        };
        let worked = work();
        let worked = worked.map_err(|error| match kept.take() {
            Some(kept) => kept.stopped(error, all.len()),
            None => error,
        });
        let (seconds, judged) = worked?;
        let mut judged = judged.iter();
        let mut lines = Vec::new();
        for (row, own) in played.into_iter().enumerate() {
            for (sample, episode) in own.into_iter().enumerate() {
                lines.push(stage.line(row, sample, episode, judged.next())?);
            }
        }
        write_by(&self.out, |out| {
            for line in &lines {
                serde_json::to_writer(&mut *out, line)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        kept.map(Kept::end).transpose()?;
        Ok(Summary {
            seconds,
            ..Summary::of(&lines)
        })
    }

    /// What episodes depend on that `engine` draws of the tasks of `stage`, and that are judged at the time of day `now`.
    fn identity(&self, engine: &Engine, stage: &Stage, now: Now) -> Result<Identity> {
        let (dbs, prompts): (Vec<_>, Vec<_>) = stage
            .tasks
            .iter()
            .map(|task| (task.db.as_str(), task.prompt.clone()))
            .unzip();
        let mut identity = identity::of(engine, &[], &prompts)?;
        identity.extend(kept::judged(&self.databases, now));
        let tools = match &self.setup.source {
            Source::Builtin => json!("builtin"),
            Source::Mcp(words) => json!(words),
        };
        let play = &self.setup.play;
        let own = [
            ("db of the rows", sha256(&serde_json::to_vec(&dbs)?).into()),
            ("--batch", engine.batch.into()),
            ("--tools", tools),
            ("--query-seconds", self.setup.time.as_secs().into()),
            ("--turns", play.turns.into()),
            ("--observation-tokens", play.observation.into()),
            ("--max-tokens", play.max_tokens.into()),
        ];
        identity.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Ok(identity)
    }
}
