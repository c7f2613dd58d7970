//! Episodes on the rows of a file, each answer judged.

use super::episode::Episode;
use super::knowledge::Knowledge;
use super::play::play;
use super::protocol::Protocol;
use super::spider2::Spider2;
use super::summary::{Line, Summary};
use super::table::{self, Table, Task};
use super::tasks::{Opening, Question};
use super::tools::{self, Builtin, Server, Tools};
use crate::answering::config::Config as Answering;
use crate::answering::identity;
use crate::answering::loaded::Loaded;
use crate::data::set::sha256;
use crate::db::sqlite::Now;
use crate::eval::databases::Databases;
use crate::eval::judged::Judged;
use crate::generation::engine::Engine;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::learning::kept::{self, Identity, Kept};
use crate::learning::rows::Rows;
use crate::learning::verdicts::Scorer;
use crate::model::place::Place;
use crate::run::files::{check_writable, write_by};
use crate::run::observer::Observer;
use anyhow::{Context, Result};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is asked.
pub enum Data {
    /// Rows with their references.
    Rows(PathBuf),
    /// Spider2-lite's questions, which have none.
    Spider2(PathBuf),
}

/// Where tools come from.
pub enum Source {
    /// This program.
    Builtin,
    /// The server that these words start.
    Mcp(Vec<String>),
}

/// A run.
pub struct Job {
    pub data: Data,
    /// The episodes. Until all are judged those that were played are kept beside it.
    pub out: PathBuf,
    /// Whether to go on with an interrupted run of the same job.
    pub resume: bool,
    pub source: Source,
    /// What starts the process of a tool's call, and how long it may take.
    pub worker: Vec<PathBuf>,
    pub time: Duration,
    /// Where answers are judged.
    pub databases: Databases,
    /// The time of day that judged queries see [default: that of the run that is gone on with, else the present one].
    pub now: Option<Now>,
    /// Whether rows whose reference fails are left out.
    pub keep_going: bool,
    /// Folder of documents.
    pub knowledge: Option<PathBuf>,
    pub play: table::Config,
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
        let knowledge = self.knowledge.as_deref().map(Knowledge::new).transpose()?;
        let loaded = Loaded::load(config, place, observer)?;
        let renderer = loaded.renderer()?;
        let protocol = Protocol::of(loaded.template())?;
        let first = questions.first().context("there are no questions")?;
        let tools: Box<dyn Tools> = match &self.source {
            Source::Builtin => {
                let worker = self.worker.clone();
                Box::new(Builtin::new(home.clone(), follow_links, worker, self.time))
            }
            Source::Mcp(words) => Box::new(Server::new(
                words.clone(),
                home.clone(),
                follow_links,
                self.time,
                protocol,
                &first.db,
            )?),
        };
        let opening = Opening {
            protocol,
            home,
            turns: self.play.turns,
            tools: &tools::all(&*tools),
            knowledge: knowledge.as_ref(),
        };
        let tasks = opening.tasks(&questions, &renderer, observer)?;
        let table = Table {
            config: self.play,
            protocol,
            renderer: &renderer,
            tools: &*tools,
            observer,
        };
        let engine = |sampler: SamplerConfig, mut stop: StopConfig| {
            stop.stop.extend(config.stop.stop.iter().cloned());
            let adapters = loaded.mixed(loaded.mixture.clone());
            Engine {
                stop,
                ..loaded.engine(adapters, sampler)
            }
        };
        let all: Vec<usize> = (0..tasks.len()).collect();
        let opened = journal.map(|path| {
            let first = engine(self.sampler.clone(), StopConfig::default());
            let identity = self.identity(&first, &tasks, now)?;
            Kept::open(&path, &identity, self.resume, observer)
        });
        let (mut kept, played) = opened.transpose()?.unzip();
        let mut played: Vec<Vec<Episode>> = played.unwrap_or_default();
        if !played.is_empty() {
            observer.note(format_args!("going on after {} rows", played.len()));
        }
        let begun = Instant::now();
        let work = || -> Result<_> {
            observer.begin(tasks.len(), "rows")?;
            // Those of an interrupted run are whole parts.
            for some in all[played.len().min(all.len())..].chunks(loaded.batch) {
                let part = play(&table, &engine, &tasks, some, &self.sampler)?;
                kept.as_mut().map(|kept| kept.add(&part)).transpose()?;
                played.extend(part);
                observer.done(played.len(), String::new());
            }
            observer.end();
            let seconds = begun.elapsed().as_secs_f64();
            let judged = scorer.map(|scorer| judge(scorer, &played, observer));
            Ok((seconds, judged.transpose()?.unwrap_or_default()))
        };
        let worked = work();
        let worked = worked.map_err(|error| match kept.take() {
            Some(kept) => kept.stopped(error, all.len()),
            None => error,
        });
        let (seconds, judged) = worked?;
        let mut judged = judged.into_iter();
        let mut lines = Vec::new();
        for ((question, task), own) in questions.iter().zip(&tasks).zip(played) {
            let prompt = loaded.base.tokenizer.show(&task.prompt)?;
            for (sample, episode) in own.into_iter().enumerate() {
                let judged = judged.next();
                lines.push(Line {
                    place: question.place.clone(),
                    id: question.id.clone(),
                    db: question.db.clone(),
                    sample,
                    protocol,
                    prompt: prompt.clone(),
                    passed: judged.as_ref().map(Judged::passed),
                    failure: judged.as_ref().and_then(|judged| judged.failure.clone()),
                    error: judged.and_then(|judged| judged.error),
                    episode,
                });
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

    /// What episodes depend on that `engine` draws of `tasks`, and that are judged at the time of day `now`.
    fn identity(&self, engine: &Engine, tasks: &[Task], now: Now) -> Result<Identity> {
        let (dbs, prompts): (Vec<_>, Vec<_>) = tasks
            .iter()
            .map(|task| (task.db.as_str(), task.prompt.clone()))
            .unzip();
        let mut identity = identity::of(engine, &[], &prompts)?;
        identity.extend(kept::judged(&self.databases, now));
        let tools = match &self.source {
            Source::Builtin => json!("builtin"),
            Source::Mcp(words) => json!(words),
        };
        let own = [
            ("db of the rows", sha256(&serde_json::to_vec(&dbs)?).into()),
            ("--batch", engine.batch.into()),
            ("--tools", tools),
            ("--query-seconds", self.time.as_secs().into()),
            ("lengths", json!(self.play)),
        ];
        identity.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Ok(identity)
    }
}

/// The verdict on each episode's answer, row by row.
fn judge(
    mut scorer: Scorer,
    played: &[Vec<Episode>],
    observer: &dyn Observer,
) -> Result<Vec<Judged>> {
    let replies = played.iter().enumerate().flat_map(|(row, own)| {
        let answers = own.iter().map(Episode::answer);
        answers.map(move |answer| (row, answer))
    });
    scorer.verdicts(&replies.collect::<Vec<_>>(), observer)
}
