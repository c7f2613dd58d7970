//! A question to a database: put as the adapter was asked in training, answered several times, and of the answers the one that most agree with.

mod pick;
mod route;
mod schema;
mod source;

pub use pick::{Picked, Reply, shown};
pub use route::route;
pub use source::Source;

use crate::adapters::bank::Mixture;
use crate::answering::config::Config as Answering;
use crate::answering::constraint::Kind;
use crate::answering::constraint::dialect::Dialect;
use crate::answering::constraint::guidance::Guidance;
use crate::answering::loaded::Loaded;
use crate::answering::routing::Routing;
use crate::data::asking::{Asking, Notation};
use crate::data::record;
use crate::eval::databases::Databases;
use crate::eval::stop::Stop;
use crate::generation::constraint::Grammar;
use crate::generation::sampler::SamplerConfig;
use crate::model::place::Place;
use crate::router::{Decision, Router};
use crate::run::observer::Observer;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// How questions are answered.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database's name, where there are several.
    pub db: String,
    /// Tables that the prompt shows; all where there are none.
    pub tables: Vec<String>,
    /// How questions are put, where that is not to be as the adapters say.
    pub prompt: Option<String>,
    pub notation: Option<Notation>,
    /// The first is greedy where there are several.
    pub sampler: SamplerConfig,
    /// What answers are held to.
    pub constrain: Kind,
    /// An answer is not sure whose confidence is below it.
    pub sure: f64,
}

/// The default of [`Config::sure`].
pub const SURE: f64 = 0.5;
/// How many answers are drawn unless said otherwise, and how many at most.
pub const SAMPLES: usize = 8;
pub const MOST_SAMPLES: usize = 64;
/// The temperature of the drawn ones unless said otherwise.
pub const TEMPERATURE: f64 = 0.7;

/// How `samples` answers to a question are drawn: the first without chance.
pub fn sampling(samples: usize, temperature: f64, seed: u64) -> SamplerConfig {
    SamplerConfig {
        temperature: if samples == 1 { 0.0 } else { temperature },
        seed,
        samples,
        greedy_first: samples > 1,
        logprobs: Some(0),
        ..SamplerConfig::default()
    }
}

/// An answered question.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    pub question: String,
    #[serde(flatten)]
    pub picked: Picked,
    /// The adapters that answered, with their weights.
    pub adapters: Vec<(String, f64)>,
    pub route: Option<Decision>,
}

/// What answers questions to one database.
pub struct Asker {
    model: Model,
    subject: Subject,
}

/// What answers questions, whatever the database.
pub struct Model {
    config: Config,
    loaded: Loaded,
    router: Option<(Router, Routing)>,
    /// Of each adapter by its name, or of the base where there is none.
    askings: Vec<(String, Asking)>,
}

/// A database as a model is asked about it.
pub struct Subject {
    source: Source,
    /// What holds answers to the database's names.
    grammar: Option<Arc<dyn Grammar>>,
}

impl Asker {
    /// Looks at the database first, then loads what `answering` says at `place`. `databases` have it among them.
    pub fn load(
        config: Config,
        answering: &Answering,
        place: &Place,
        databases: Databases,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let source = Source::open(config.db.clone(), databases, &Stop::default())?;
        schema::named(source.tables(), &config.tables)?;
        let model = Model::load(config, answering, place, observer)?;
        let subject = model.subject(source)?;
        Ok(Self { model, subject })
    }

    /// Answers a question.
    pub fn ask(&self, question: &str, observer: &dyn Observer) -> Result<Answer> {
        self.model.ask(&self.subject, question, observer)
    }
}

impl Model {
    /// Loads what `answering` says at `place`.
    pub fn load(
        config: Config,
        answering: &Answering,
        place: &Place,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let askings = askings(&config, answering, observer)?;
        let loaded = Loaded::load(answering, place, observer)?;
        let router = loaded.router(answering)?;
        Ok(Self {
            router: router.map(|router| (router, answering.routing.clone())),
            config,
            loaded,
            askings,
        })
    }

    /// A database that was looked at.
    pub fn subject(&self, source: Source) -> Result<Subject> {
        if self
            .askings
            .iter()
            .any(|(_, asking)| asking.value_hints > 0)
        {
            source.hints()?;
        }
        let dialect = || Dialect::sqlite(&Guidance::new(&self.loaded.base.tokenizer)?);
        let grammar = match self.config.constrain {
            Kind::Off => None,
            Kind::Sql => Some(dialect()?.query(None)),
            Kind::Schema => Some(dialect()?.query(Some(source.named()))),
        };
        Ok(Subject { source, grammar })
    }

    /// Answers a question to a database.
    pub fn ask(
        &self,
        subject: &Subject,
        question: &str,
        observer: &dyn Observer,
    ) -> Result<Answer> {
        let question = question.trim();
        ensure!(!question.is_empty(), "the question is empty");
        let source = &subject.source;
        let (asking, mixture, route) = self.route(source, question)?;
        let adapters = mixture
            .0
            .iter()
            .map(|(member, weight)| (self.loaded.bank.members()[*member].name.clone(), *weight));
        let adapters = adapters.collect();
        let prompt = source.put(asking, &self.config.tables, question)?;
        let prompt = self.loaded.prompt(&record::user(prompt));
        let prompt = prompt.context("a table alone is shown by --table NAME")?;
        let sampler = self.config.sampler.clone();
        let prompts = vec![prompt; sampler.samples];
        let mut engine = self.loaded.engine(self.loaded.mixed(mixture), sampler);
        if subject.grammar.is_some() {
            engine.grammars = vec![subject.grammar.clone(); prompts.len()];
        }
        let all: Vec<usize> = (0..prompts.len()).collect();
        let mut cache = self.loaded.cache(&engine, &prompts, &all, observer)?;
        let (said, _) = engine.generate_over(&mut cache, &prompts)?;
        let replies: Option<Vec<Reply>> = said
            .iter()
            .map(|answer| Some(Reply::new(answer.text.as_deref()?, answer)))
            .collect();
        let replies = replies.context("no answer: the model's logits are no numbers")?;
        Ok(Answer {
            question: question.to_owned(),
            picked: source.pick(&replies, self.config.sure, &Stop::default())?,
            adapters,
            route,
        })
    }

    /// How the question is put and who answers it.
    fn route(
        &self,
        source: &Source,
        question: &str,
    ) -> Result<(&Asking, Mixture, Option<Decision>)> {
        let whole = self.loaded.mixture.clone();
        let Some((router, routing)) = &self.router else {
            return Ok((&self.askings[0].1, whole, None));
        };
        let (member, decision) = route(
            (router, routing),
            source,
            &self.config.tables,
            &self.askings,
            question,
        )?;
        let mixture = match member {
            Some(member) => Mixture(vec![whole.0[member]]),
            None => Mixture::default(),
        };
        let asking = &self.askings[member.unwrap_or(0)].1;
        Ok((asking, mixture, Some(decision)))
    }
}

/// How each adapter is asked; how the base is, where there is none.
fn askings(
    config: &Config,
    answering: &Answering,
    observer: &dyn Observer,
) -> Result<Vec<(String, Asking)>> {
    let own = |folder: Option<&Path>| -> Result<Asking> {
        let said = folder.map(Asking::read).transpose()?.flatten();
        if let (Some(folder), None, None) = (folder, &said, &config.prompt) {
            observer.note(format_args!(
                "{} does not say how it was asked in training: asked as this program's own sets ask (--prompt and --notation say otherwise)",
                folder.display()
            ));
        }
        let said = said.unwrap_or_default();
        Ok(Asking {
            prompt: config.prompt.clone().unwrap_or(said.prompt),
            notation: config.notation.unwrap_or(said.notation),
            value_hints: said.value_hints,
        })
    };
    match &answering.loras.0[..] {
        [] => Ok(vec![(String::new(), own(None)?)]),
        loras => {
            let each = loras.iter();
            each.map(|lora| Ok((lora.name.clone(), own(Some(&lora.folder))?)))
                .collect()
        }
    }
}
