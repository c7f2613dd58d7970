//! One round: samples, rows, training, a measurement. Each loads the base and lets it go, so that no two are in memory.

use super::run::Run;
use super::set::Choice;
use super::summary::Round;
use crate::adapters::ngrams::Ngrams;
use crate::adapters::{peft, stored};
use crate::answering::config::Config as Answering;
use crate::answering::loaded::Loaded;
use crate::answering::loras::{Lora, Loras};
use crate::answering::trained;
use crate::data::template::Renderer;
use crate::generation::sampler::SamplerConfig;
use crate::learning::draw::seed;
use crate::learning::rollouts::{Group, Rollouts};
use crate::learning::standing::Standing;
use crate::model::load::Base;
use crate::model::place::Place;
use crate::run::training_run;
use crate::session::config::{Config as Session, SftConfig};
use crate::session::selection::Selection;
use crate::session::sft;
use anyhow::Result;
use std::path::Path;

impl Run<'_> {
    /// Draws the samples of a round and writes what is learned of them.
    pub fn drawn(&mut self, number: usize) -> Result<Round> {
        let (config, observer) = (self.config, self.observer);
        let from = self.summary.best();
        let current = self.adapter(from);
        observer.note(format_args!(
            "round {number}: drawing from {}",
            current.display()
        ));
        let loaded = Loaded::load(&self.answering(&current)?, &self.places.draw, observer)?;
        let (lines, turns) = self.rows.asked();
        let prompts = loaded.prompts(&config.data, &lines, &turns, observer)?;
        let sampler = SamplerConfig {
            seed: seed(config.sampler.seed, number as u64 - 1),
            ..config.sampler.clone()
        };
        let engine = loaded.engine(loaded.mixed(loaded.mixture.clone()), sampler);
        let (mut journal, done) = self.folder.journal(number)?;
        let rollouts = Rollouts {
            rows: &self.rows,
            prompts: &prompts,
            engine: &engine,
            kv_memory: None,
            observer,
        };
        let (folder, summary) = (&mut self.folder, &self.summary);
        let groups = rollouts.run(&mut self.scorer, done, |part| {
            journal.add(&part)?;
            // From here on there is something to lose.
            folder.keep(summary)
        })?;
        let choice = Choice {
            keep: config.keep,
            replay: config.replay,
            columns: &config.columns,
            train: &config.sft.train,
            renderer: &loaded.renderer()?,
            round: number,
        };
        let (set, learned) = choice.of(&self.rows, &groups)?;
        self.folder.write(number, &self.rows, &groups, &set)?;
        let all: Vec<&Group> = groups.iter().collect();
        Ok(Round {
            round: number,
            drawn_from: from,
            drawn: Standing::of(&all),
            learned,
            trained_from: None,
            accuracy: None,
        })
    }

    fn answering(&self, adapter: &Path) -> Result<Answering> {
        let config = self.config;
        let template = self.sft(adapter).template()?;
        // An adapter that says its template brings the base's own with it.
        let said = trained::template(adapter)? == Some(template);
        Ok(Answering {
            loras: Loras(vec![Lora {
                name: "adapter".to_owned(),
                folder: adapter.to_owned(),
                weight: 1.0,
            }]),
            base: Some(config.sft.base()?),
            template: (!said).then_some(template),
            columns: config.columns.clone(),
            stop: config.stop.clone(),
            batch: config.batch,
            ..Answering::default()
        })
    }

    /// What a round trains that goes on from `adapter`.
    fn sft(&self, adapter: &Path) -> SftConfig {
        SftConfig {
            init: Some(adapter.to_owned()),
            ..self.config.sft.clone()
        }
    }

    /// Trains a round's adapter, unless it is there; the round that it was trained on from.
    pub fn train(&mut self, number: usize) -> Result<usize> {
        let from = match self.config.from_last {
            true => self.summary.best(),
            false => 0,
        };
        let out = self.folder.adapter(number);
        if !out.exists() {
            let sft = SftConfig {
                data: self.folder.set(number),
                ..self.sft(&self.adapter(from))
            };
            let session = Session {
                resume: training_run::has_state(&out),
                out: out.clone(),
                ..self.config.session.clone()
            };
            sft::train(&sft, &session, &self.places.train, self.observer, self.draw)?;
        }
        self.folder.settle(&out)?;
        Ok(from)
    }

    /// The execution accuracy of an adapter on the rows that adapters are measured on; `None` where there are none.
    pub fn measure(&self, adapter: &Path) -> Result<Option<f64>> {
        let Some(config) = &self.config.session.selection else {
            return Ok(None);
        };
        let sft = self.sft(adapter);
        let template = sft.template()?;
        let mut base = self.base(&self.places.train)?;
        let chat = trained::chat_template(adapter)?;
        trained::take_template(template, chat, &mut base.tokenizer, self.observer);
        let renderer = Renderer::new(template, &base.tokenizer)?;
        let mut selection = Selection::open(config, &base, &renderer, self.observer)?;
        let loaded = stored::load(adapter, &base.decoder)?;
        let ngrams = Ngrams::read(adapter, &loaded, &base.decoder)?;
        let measured = selection.measure(&loaded, ngrams.as_ref())?;
        Ok(Some(measured.accuracy()))
    }

    fn base(&self, place: &Place) -> Result<Base> {
        place.load(&self.config.sft.base()?)
    }

    /// Writes the start as the run's adapter, whatever program wrote it.
    pub fn take_start(&self) -> Result<()> {
        let (base, init) = (self.base(&self.places.train)?, &self.config.init);
        let adapter = stored::load(init, &base.decoder)?;
        self.folder.take_beside(init)?;
        for (name, content) in peft::files(&adapter)? {
            self.folder.put(name, &content)?;
        }
        Ok(())
    }
}
