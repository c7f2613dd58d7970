//! Episodes on the rows of a file, each answer judged.

use super::protocol::Protocol;
use super::spider2::Spider2;
use super::stage::Setup;
use super::summary::Summary;
use super::tasks::Question;
use crate::answering::config::Config as Answering;
use crate::answering::loaded::Loaded;
use crate::db::sqlite::Now;
use crate::eval::databases::Databases;
use crate::generation::engine::Engine;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::learning::rows::Rows;
use crate::learning::verdicts::Scorer;
use crate::model::place::Place;
use crate::run::files::write_by;
use crate::run::observer::Observer;
use anyhow::Result;
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
    pub out: PathBuf,
    pub setup: Setup,
    /// Where answers are judged.
    pub databases: Databases,
    pub now: Now,
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
        let (home, follow_links) = (&self.databases.home, self.databases.rules.follow_links);
        let (questions, scorer) = match &self.data {
            Data::Rows(path) => {
                let mut rows = Rows::read(path, &config.columns, home.unnamed())?;
                let (now, keep_going) = (self.now, self.keep_going);
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
        let begun = Instant::now();
        let mut played = Vec::new();
        observer.begin(all.len(), "rows")?;
        for some in all.chunks(loaded.batch) {
            played.extend(stage.play(&engine, some, &self.sampler)?);
            observer.done(played.len(), String::new());
        }
        observer.end();
        let seconds = begun.elapsed().as_secs_f64();
        let judged = match scorer {
            Some(mut scorer) => stage.judge(&mut scorer, &all, &played)?,
            None => Vec::new(),
        };
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
        Ok(Summary {
            seconds,
            ..Summary::of(&lines)
        })
    }
}
