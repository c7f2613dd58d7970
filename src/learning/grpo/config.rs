//! What learning from rewards is told; the one home of its defaults.

use crate::db::sqlite::Now;
use crate::eval::databases::Databases;
use crate::generation::sampler::SamplerConfig;
use crate::learning::episodes::stage::Setup;
use crate::learning::rewards;
use crate::run::usage::UsageError;
use crate::session::config::SftConfig;
use crate::training::objective::policy::{self, Kind};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Answers of a group, unless it is said.
pub const SAMPLES: usize = 8;
/// Steps in a row whose answers are all alike, after which nothing will come of it.
pub const ALIKE: usize = 10;

/// What is trained, and how answers are drawn and judged.
#[derive(Debug, Clone)]
pub struct Config {
    /// The rows (`data`), the start, and how it is trained. A batch is rows whose groups go through the base together.
    pub sft: SftConfig,
    pub loss: policy::Settings,
    /// How answers are drawn, and how many a row.
    pub sampler: SamplerConfig,
    /// Longest answer in tokens; of an episode, its longest turn.
    pub max_tokens: usize,
    /// How episodes are played, where answers are theirs.
    pub tools: Option<Setup>,
    /// Optimizer steps on the same answers.
    pub iterations: usize,
    /// How often rows whose answers are all worth the same are replaced by others in a step.
    pub resample: usize,
    pub rewards: rewards::Config,
    pub databases: Databases,
    /// The flags that say so, as settings have them.
    pub said: toml::Table,
    /// The time of day that all queries see.
    pub now: Now,
    /// Whether rows whose reference fails are left out.
    pub keep_going: bool,
}

/// What the run's settings have beside those of every training.
#[derive(Serialize)]
pub struct Settings<'a> {
    #[serde(flatten)]
    said: &'a toml::Table,
    loss: Kind,
    beta: f64,
    epsilon: Option<f64>,
    epsilon_high: Option<f64>,
    max_tokens: usize,
    samples: usize,
    temperature: f64,
    top_p: f64,
    iterations: usize,
    resample: usize,
    rewards: Option<&'a PathBuf>,
    no_guards: bool,
}

/// Whether a ratio is bounded below (epsilon), and above (epsilon_high). In the first step on answers all are 1; cispo lets them fall as they like,
/// and holds them to its highest in that step too.
pub fn bounded(loss: Kind, iterations: usize) -> (bool, bool) {
    let (again, cispo) = (iterations > 1, loss == Kind::Cispo);
    (again && !cispo, again || cispo)
}

impl Config {
    /// Refuses settings that no run can have.
    pub fn check(&self) -> Result<()> {
        self.faults().map_err(UsageError::of)
    }

    fn faults(&self) -> Result<()> {
        self.loss.check()?;
        self.sampler.check()?;
        ensure!(
            (2..=1024).contains(&self.sampler.samples),
            "--samples is {}, expected 2 to 1024: an answer is judged beside others of its row",
            self.sampler.samples
        );
        ensure!(
            (1..=65_536).contains(&self.max_tokens),
            "--max-tokens is {}, expected 1 to 65536",
            self.max_tokens
        );
        ensure!(
            (1..=64).contains(&self.iterations),
            "--iterations is {}, expected 1 to 64",
            self.iterations
        );
        ensure!(
            self.tools.is_some() || self.rewards.steps.parts.is_empty(),
            "{}: there are rewards of turns, and only episodes have turns: give --tools",
            self.rewards
                .path
                .as_deref()
                .unwrap_or(Path::new("rewards"))
                .display()
        );
        ensure!(
            self.sft.adapter.dropout == 0.0,
            "--dropout has no place in log-probabilities that are compared"
        );
        Ok(())
    }

    /// As the run's folder has them.
    pub fn settings(&self, guards: bool) -> Settings<'_> {
        let (below, above) = bounded(self.loss.loss, self.iterations);
        Settings {
            said: &self.said,
            loss: self.loss.loss,
            beta: self.loss.beta,
            epsilon: below.then_some(self.loss.epsilon),
            epsilon_high: above.then_some(self.loss.epsilon_high),
            max_tokens: self.max_tokens,
            samples: self.sampler.samples,
            temperature: self.sampler.temperature,
            top_p: self.sampler.top_p,
            iterations: self.iterations,
            resample: self.resample,
            rewards: self.rewards.path.as_ref(),
            no_guards: !guards,
        }
    }
}
