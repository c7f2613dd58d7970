//! Answers that are looked for by tools: groups of episodes, and episodes that adapters are measured by.

use super::group::{Group, Seconds};
use crate::answering::policy::Policy;
use crate::answering::trial;
use crate::data::record;
use crate::data::template::Renderer;
use crate::db::home::Home;
use crate::eval::gates::Gate;
use crate::eval::judged::Judged;
use crate::generation::engine::Engine;
use crate::generation::sampler::SamplerConfig;
use crate::generation::sequence::Finish;
use crate::generation::stop::StopConfig;
use crate::learning::draw::Sample;
use crate::learning::episodes::episode::{End, Episode};
use crate::learning::episodes::protocol::Protocol;
use crate::learning::episodes::stage::{Setup, Stage};
use crate::learning::episodes::tasks::Question;
use crate::learning::rewards::Rewards;
use crate::learning::rollouts::Drawn;
use crate::learning::rows::Rows;
use crate::learning::verdicts::Scorer;
use crate::model::load::Base;
use crate::run::observer::Observer;
use crate::session::selection::{Answers, Config};
use crate::training::objective::policy::Kind;
use anyhow::Result;
use std::time::Instant;

/// What plays and judges.
pub struct Play<'t, 's> {
    pub stage: &'t Stage<'s>,
    pub rows: &'t Rows,
    pub scorer: &'t mut Scorer,
    pub rewards: &'t mut Rewards,
    pub loss: Kind,
    pub observer: &'t dyn Observer,
}

impl Play<'_, '_> {
    /// The groups of `which` rows, in their order: as many episodes each as `sampler` has samples.
    pub fn groups<'e>(
        &mut self,
        engine: &dyn Fn(SamplerConfig, StopConfig) -> Engine<'e>,
        which: &[usize],
        sampler: &SamplerConfig,
    ) -> Result<(Vec<Group>, Seconds)> {
        let begun = Instant::now();
        let played = self.stage.play(engine, which, sampler)?;
        let generation = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let judged = self.stage.judge(self.scorer, which, &played)?;
        let mut judged = judged.into_iter();
        let mut groups = Vec::new();
        for (&row, episodes) in which.iter().zip(played) {
            let each = episodes.iter().zip(judged.by_ref());
            let drawn = each.map(|(episode, judged)| self.drawn(episode, judged));
            let drawn: Vec<Drawn> = drawn.collect();
            let rewards =
                self.rewards
                    .of(&self.rows.rows[row], &drawn, &episodes, self.observer)?;
            let by = (self.rewards.steps(), self.loss);
            groups.push(Group::of_episodes(row, drawn, episodes, &rewards, by));
        }
        let scoring = begun.elapsed().as_secs_f64();
        Ok((
            groups,
            Seconds {
                generation,
                scoring,
            },
        ))
    }

    /// An episode as the answer that it is: all that was drawn, and the query that it answers with.
    fn drawn(&self, episode: &Episode, judged: Judged) -> Drawn {
        let answer = answer(episode);
        let written = episode.written.iter().cloned().flatten();
        Drawn {
            query: answer.as_deref().and_then(|text| self.scorer.query(text)),
            sample: Sample {
                text: answer,
                finish: match episode.end {
                    End::Answered => Finish::Stop,
                    End::Turns | End::Full => Finish::Length,
                    End::Error => Finish::Error,
                },
                tokens: written.map(|at| episode.tokens[at]).collect(),
                logprobs: episode.logprobs.clone(),
            },
            judged,
        }
    }
}

/// The query that an episode answers with, which is empty where it came to none; `None` where the model's logits are no numbers.
fn answer(episode: &Episode) -> Option<String> {
    let answer = episode.answer().unwrap_or_default();
    (episode.end != End::Error).then(|| answer.to_owned())
}

/// What plays the rows that adapters are measured on: greedily, an episode each.
#[derive(Clone, Copy)]
pub struct Player<'a> {
    pub setup: &'a Setup,
    pub base: &'a Base,
    pub protocol: Protocol,
    pub renderer: &'a Renderer<'a>,
    pub observer: &'a dyn Observer,
}

impl<'a> Player<'a> {
    /// Makes the rows of `gate` ready, whose databases are where `config` says.
    pub fn answers(self, config: &Config, gate: &Gate) -> Result<Answers<'a>> {
        let Self { setup, base, .. } = self;
        let (data, lines) = (&gate.data, gate.lines());
        let asked = record::prompts(data, &lines, &config.columns)?.into_iter();
        let each = lines.iter().zip(&gate.examples).zip(asked);
        let questions = each.map(|((line, example), asked)| {
            let db = example.text("db").unwrap_or_default();
            Question::new(data, line, &example.fields, db, asked)
        });
        let home = Home::Folder(config.db.clone());
        let stage = setup.stage(
            questions.collect::<Result<_>>()?,
            (&home, config.rules.follow_links),
            self.protocol,
            self.renderer,
            self.observer,
        )?;
        let stop = StopConfig {
            max_tokens: setup.play.max_tokens,
            ..StopConfig::default()
        };
        trial::check(base, data, &lines, &stage.prompts(), &stop)?;
        Ok(Box::new(move |adapter, ngrams| {
            let policy = Policy::new(base, adapter, ngrams)?;
            let engine = |sampler, stop| in_any_memory(policy.engine(sampler, stop));
            let all: Vec<usize> = (0..stage.tasks.len()).collect();
            let played = stage.play(&engine, &all, &SamplerConfig::default())?;
            Ok(played.iter().flatten().map(answer).collect())
        }))
    }
}

/// What is free may be another amount when the run goes on.
pub fn in_any_memory(engine: Engine) -> Engine {
    Engine {
        memory: usize::MAX,
        ..engine
    }
}
