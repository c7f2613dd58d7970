//! Questions made ready to be played: whose tools there are, and what each episode begins with.

use super::episode::Episode;
use super::knowledge::Knowledge;
use super::play::play;
use super::protocol::Protocol;
use super::summary::Line;
use super::table::{self, Table, Task};
use super::tasks::{Opening, Question};
use super::tools::{self, Builtin, Server, Tools};
use crate::data::template::Renderer;
use crate::db::home::Home;
use crate::eval::judged::Judged;
use crate::generation::engine::Engine;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::learning::verdicts::Scorer;
use crate::run::observer::Observer;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Duration;

/// Where tools come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This program.
    Builtin,
    /// The server that these words start.
    Mcp(Vec<String>),
}

/// How episodes are set up, whatever is asked in them.
#[derive(Debug, Clone)]
pub struct Setup {
    pub source: Source,
    /// What starts the process of a call of this program's tools.
    pub worker: Vec<PathBuf>,
    /// How long a call may take.
    pub time: Duration,
    /// Folder of documents.
    pub knowledge: Option<PathBuf>,
    pub play: table::Config,
}

/// Questions with their tools.
pub struct Stage<'a> {
    questions: Vec<Question>,
    /// What an episode on each begins with.
    pub tasks: Vec<Task>,
    protocol: Protocol,
    config: table::Config,
    renderer: &'a Renderer<'a>,
    tools: Box<dyn Tools>,
    observer: &'a dyn Observer,
}

impl Setup {
    /// The documents. Errors where their folder is none.
    pub fn knowledge(&self) -> Result<Option<Knowledge>> {
        self.knowledge.as_deref().map(Knowledge::new).transpose()
    }

    /// Makes `questions` ready, whose databases are at `home`. Errors where a server of tools does not come up, or a question cannot be asked.
    pub fn stage<'a>(
        &self,
        questions: Vec<Question>,
        (home, follow_links): (&Home, bool),
        protocol: Protocol,
        renderer: &'a Renderer<'a>,
        observer: &'a dyn Observer,
    ) -> Result<Stage<'a>> {
        let knowledge = self.knowledge()?;
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
        Ok(Stage {
            tasks: opening.tasks(&questions, renderer, observer)?,
            questions,
            protocol,
            config: self.play,
            renderer,
            tools,
            observer,
        })
    }
}

impl Stage<'_> {
    /// What each episode begins with, as token ids.
    pub fn prompts(&self) -> Vec<Vec<u32>> {
        self.tasks.iter().map(|task| task.prompt.clone()).collect()
    }

    /// Plays episodes of the tasks `which`; see [`play`].
    pub fn play<'e>(
        &self,
        engine: &dyn Fn(SamplerConfig, StopConfig) -> Engine<'e>,
        which: &[usize],
        sampler: &SamplerConfig,
    ) -> Result<Vec<Vec<Episode>>> {
        let table = Table {
            config: self.config,
            protocol: self.protocol,
            renderer: self.renderer,
            tools: &*self.tools,
            observer: self.observer,
        };
        play(&table, engine, &self.tasks, which, sampler)
    }

    /// The verdict on each episode's answer, as they were played of the tasks `which`, one behind the other.
    pub fn judge(
        &self,
        scorer: &mut Scorer,
        which: &[usize],
        played: &[Vec<Episode>],
    ) -> Result<Vec<Judged>> {
        let replies = which.iter().zip(played).flat_map(|(row, own)| {
            let answers = own.iter().map(Episode::answer);
            answers.map(|answer| (*row, answer))
        });
        scorer.verdicts(&replies.collect::<Vec<_>>(), self.observer)
    }

    /// Episode `sample` of task `row` as files have it, with the verdict on its answer where there is one.
    pub fn line(
        &self,
        row: usize,
        sample: usize,
        episode: Episode,
        judged: Option<&Judged>,
    ) -> Result<Line> {
        let question = &self.questions[row];
        Ok(Line {
            place: question.place.clone(),
            id: question.id.clone(),
            db: question.db.clone(),
            sample,
            protocol: self.protocol,
            opening: self.renderer.tokenizer().show(&self.tasks[row].prompt)?,
            passed: judged.map(Judged::passed),
            failure: judged.and_then(|judged| judged.failure.clone()),
            error: judged.and_then(|judged| judged.error.clone()),
            predicted_sql: episode.answer().unwrap_or_default().to_owned(),
            scored: question.scored.clone(),
            episode,
        })
    }
}
