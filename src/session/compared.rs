//! What a run begins with that compares log-probabilities with those of its start: folder, base and adapter.

use super::config::{Config, SftConfig};
use super::settings;
use super::sft::begin_adapter;
use crate::adapters::identity;
use crate::adapters::lora::Adapter;
use crate::answering::trained;
use crate::data::template::Template;
use crate::model::allocator;
use crate::model::load::Base;
use crate::model::place::Place;
use crate::run::observer::Observer;
use crate::run::training_run::{SETTINGS, TrainingRun};
use anyhow::{Result, ensure};
use serde::Serialize;

/// What is known before a row is read or a weight is loaded.
pub struct Opened {
    resumed: Option<TrainingRun>,
    name: String,
    pub template: Template,
    /// The chat template that the adapter to go on from was trained with.
    chat: Option<String>,
}

/// The same, loaded.
pub struct Begun {
    pub folder: TrainingRun,
    pub base: Base,
    pub adapter: Adapter,
    /// What tells the adapter's numbers, as the run begins with them, from others.
    pub start: String,
}

impl Begun {
    /// The run's settings, with what its objective has beside those of every training. They are written at once, so that a run that is stopped before
    /// its first step is gone on with by them; whether one that is gone on with may have others is seen where its state is taken up.
    pub fn settings(
        &self,
        sft: &SftConfig,
        run: &Config,
        template: Template,
        more: &impl Serialize,
    ) -> Result<String> {
        let (adapter, decoder) = (&self.adapter.config, &self.base.decoder);
        let settings = settings::of(sft, run, template, adapter, decoder, more)?;
        if !run.resume {
            self.folder.write(SETTINGS, settings.as_bytes())?;
        }
        Ok(settings)
    }
}

impl Opened {
    /// Errors where there is no run to go on with, or none of its adapter's base is known.
    pub fn new(sft: &SftConfig, run: &Config) -> Result<Self> {
        let resumed = run.resume.then(|| TrainingRun::resume(&run.out));
        let chat = sft.init.as_deref().map(trained::chat_template);
        Ok(Self {
            resumed: resumed.transpose()?,
            name: sft.base()?,
            template: sft.template()?,
            chat: chat.transpose()?.flatten(),
        })
    }

    /// Begins the folder and loads base and adapter.
    pub fn begin(
        self,
        sft: &SftConfig,
        run: &Config,
        place: &Place,
        observer: &dyn Observer,
    ) -> Result<Begun> {
        // Before the base is loaded: a folder that cannot be made is known at once.
        let folder = match self.resumed {
            Some(folder) => folder,
            None => TrainingRun::begin(&run.out)?,
        };
        allocator::keep_freed_memory();
        let mut base = place.load(&self.name)?;
        // What is compared must be computed in one way: the start's log-probabilities, the sampler's and those of training.
        base.decoder.as_answered = true;
        trained::take_template(self.template, self.chat, &mut base.tokenizer, observer);
        let adapter = begin_adapter(sft, &base, self.name, observer)?;
        ensure!(
            adapter.config.dropout == 0.0,
            "the adapter's dropout is {}: log-probabilities that are compared cannot have any; set it to 0 in its adapter_config.json",
            adapter.config.dropout
        );
        Ok(Begun {
            folder,
            base,
            start: identity::weights(&adapter)?,
            adapter,
        })
    }
}
