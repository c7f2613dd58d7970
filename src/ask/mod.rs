//! A question to a database: put as the adapter was asked in training, answered several times, and of the answers the one that most agree with.

mod schema;

use crate::adapters::bank::Mixture;
use crate::answering::choice::{Sample, Select, choose};
use crate::answering::config::Config as Answering;
use crate::answering::loaded::Loaded;
use crate::answering::routing::Routing;
use crate::data::asking::{Asking, Notation};
use crate::data::hints::Hints;
use crate::data::record;
use crate::eval::databases::Databases;
use crate::eval::returned::{self, Asked};
use crate::eval::table::{Shown, table};
use crate::generation::sampler::SamplerConfig;
use crate::generation::sequence::Answer as Said;
use crate::model::place::Place;
use crate::router::{Decision, Router, Row, settle};
use crate::run::observer::Observer;
use crate::sql::database::layout::Layout;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Map;
use std::path::{Path, PathBuf};

/// How questions are answered.
#[derive(Debug, Clone)]
pub struct Config {
    /// A SQLite database, or a script that makes one.
    pub db: PathBuf,
    /// Tables that the prompt shows; all where there are none.
    pub tables: Vec<String>,
    /// How questions are put, where that is not to be as the adapters say.
    pub prompt: Option<String>,
    pub notation: Option<Notation>,
    /// The first is greedy where there are several.
    pub sampler: SamplerConfig,
    /// An answer is not sure whose confidence is below it.
    pub sure: f64,
}

/// The default of [`Config::sure`].
pub const SURE: f64 = 0.5;

/// An answered question.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    pub question: String,
    /// The query, if there is one in the answer.
    pub sql: Option<String>,
    /// What the model said.
    pub answer: String,
    /// The adapters that answered, with their weights.
    pub adapters: Vec<(String, f64)>,
    pub route: Option<Decision>,
    /// The share of samples whose queries return the same; of one sample its likelihood a token.
    pub confidence: Option<f64>,
    /// Whether the confidence is enough, and the query runs.
    pub sure: bool,
    /// How the answer was chosen.
    pub by: &'static str,
    pub samples: usize,
    #[serde(serialize_with = "shown")]
    pub result: Shown,
}

fn shown<S: serde::Serializer>(result: &Shown, serializer: S) -> Result<S::Ok, S::Error> {
    match result {
        Ok(table) => table.serialize(serializer),
        Err(error) => serde_json::json!({"error": error.to_string()}).serialize(serializer),
    }
}

/// What answers questions to one database.
pub struct Asker {
    config: Config,
    loaded: Loaded,
    router: Option<(Router, Routing)>,
    databases: Databases,
    /// Of each adapter, or of the base where there is none.
    askings: Vec<Asking>,
    tables: Vec<Layout>,
    /// The database's values, where an adapter was given some in training.
    hints: Option<Hints>,
    /// The database's name in its folder.
    db: String,
}

impl Asker {
    /// Looks at the database first, then loads what `answering` says at `place`. `databases` are those of the database's folder.
    pub fn load(
        config: Config,
        answering: &Answering,
        place: &Place,
        databases: Databases,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let db = config.db.file_name().context("--db names no file")?;
        let db = db.to_string_lossy().into_owned();
        let named = std::iter::once((db.as_str(), config.db.display().to_string()));
        returned::check(&databases, named)?;
        let tables = schema::tables(&config.db, &config.tables)?;
        let askings = askings(&config, answering, observer)?;
        let hinted = askings.iter().any(|asking| asking.value_hints > 0);
        let hints = hinted.then(|| Hints::of(&config.db)).transpose()?;
        let loaded = Loaded::load(answering, place, observer)?;
        let router = loaded.router(answering)?;
        Ok(Self {
            router: router.map(|router| (router, answering.routing.clone())),
            config,
            loaded,
            databases,
            askings,
            tables,
            hints,
            db,
        })
    }

    /// Answers a question.
    pub fn ask(&self, question: &str, observer: &dyn Observer) -> Result<Answer> {
        let question = question.trim();
        ensure!(!question.is_empty(), "the question is empty");
        let (asking, mixture, route) = self.route(question)?;
        let adapters = mixture
            .0
            .iter()
            .map(|(member, weight)| (self.loaded.bank.members()[*member].name.clone(), *weight));
        let adapters = adapters.collect();
        let prompt = self.put(asking, question)?;
        let prompt = self.loaded.prompt(&record::user(prompt));
        let prompt = prompt.context("a table alone is shown by --table NAME")?;
        let prompts = vec![prompt; self.config.sampler.samples];
        let sampler = SamplerConfig {
            logprobs: Some(0),
            ..self.config.sampler.clone()
        };
        let engine = self.loaded.engine(self.loaded.mixed(mixture), sampler);
        let all: Vec<usize> = (0..prompts.len()).collect();
        let mut cache = self.loaded.cache(&engine, &prompts, &all, observer)?;
        let (said, _) = engine.generate_over(&mut cache, &prompts)?;
        let text = |answer: &Said| answer.text.clone();
        let texts: Option<Vec<String>> = said.iter().map(text).collect();
        let texts = texts.context("no answer: the model's logits are no numbers")?;
        let asked: Vec<Asked> = texts
            .iter()
            .map(|reply| Asked {
                db: &self.db,
                reply,
            })
            .collect();
        let ran = returned::returned(&self.databases, &asked, || Ok(()))?;
        let sample = |(ran, answer): (returned::Ran, &Said)| Sample {
            result: ran.map_err(|error| error.to_string()),
            logprob: answer.mean_logprob(),
        };
        let samples: Vec<Sample> = ran.into_iter().zip(&said).map(sample).collect();
        let select = match samples.len() {
            1 => Select::First,
            _ => Select::Vote,
        };
        let chosen = choose(select, true, &samples);
        let likely = samples[chosen.sample].logprob.map(f64::exp);
        let confidence = chosen.share.or(likely);
        let answer = texts[chosen.sample].clone();
        let found = self.databases.rules.extract.find(&answer);
        let sql = found.query().map(str::to_owned);
        let result = self.run(sql.as_deref().unwrap_or(&answer))?;
        Ok(Answer {
            question: question.to_owned(),
            sql,
            adapters,
            route,
            confidence,
            sure: result.is_ok() && confidence.is_some_and(|c| c >= self.config.sure),
            by: chosen.by.name(),
            samples: samples.len(),
            result,
            answer,
        })
    }

    /// What a query returns.
    pub fn run(&self, sql: &str) -> Result<Shown> {
        table(&self.databases, &self.db, sql)
    }

    fn put(&self, asking: &Asking, question: &str) -> Result<String> {
        let schema = schema::write(&self.tables, asking.notation);
        let prompt = asking.put(&schema, question)?;
        match &self.hints {
            Some(hints) if asking.value_hints > 0 => {
                Ok(hints.put(&prompt, question, asking.value_hints)?.0)
            }
            _ => Ok(prompt),
        }
    }

    /// How the question is put and who answers it. Each adapter is asked in its own way: where a router decides, the adapter answers for which
    /// the router decides when it sees the question put so, and of several the surest.
    fn route(&self, question: &str) -> Result<(&Asking, Mixture, Option<Decision>)> {
        let whole = self.loaded.mixture.clone();
        let Some((router, routing)) = &self.router else {
            return Ok((&self.askings[0], whole, None));
        };
        let mut best: Option<(usize, Decision)> = None;
        for (member, asking) in self.askings.iter().enumerate() {
            let prompt = self.put(asking, question)?;
            let row = Row {
                prompt: &prompt,
                fields: &Map::new(),
            };
            let default = routing.default_route.as_deref();
            let decision = settle(router.decide(&row), routing.min_confidence, default);
            let own = decision.route.as_deref() == Some(&self.loaded.bank.members()[member].name);
            let surer = best
                .as_ref()
                .is_none_or(|(_, b)| decision.confidence > b.confidence);
            if own && surer {
                best = Some((member, decision));
            }
        }
        Ok(match best {
            Some((member, decision)) => {
                let part = whole.0[member];
                let mixture = Mixture(vec![part]);
                (&self.askings[member], mixture, Some(decision))
            }
            None => {
                let decision = Decision {
                    route: None,
                    reason: "the router decides for no adapter, however the question is put"
                        .to_owned(),
                    confidence: 0.0,
                };
                (&self.askings[0], Default::default(), Some(decision))
            }
        })
    }
}

/// How each adapter is asked; how the base is, where there is none.
fn askings(config: &Config, answering: &Answering, observer: &dyn Observer) -> Result<Vec<Asking>> {
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
        [] => Ok(vec![own(None)?]),
        loras => loras.iter().map(|lora| own(Some(&lora.folder))).collect(),
    }
}
