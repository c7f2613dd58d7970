//! The flags of `factory grpo` and the configs they stand for.

use crate::cli::episodes::{PlayArgs, Tools, refuse_base};
use crate::cli::new_adapter::AdapterArgs;
use crate::cli::scoring::ScoringArgs;
use crate::cli::training::{self, TrainingArgs};
use crate::cli::{UsageError, heading};
use crate::generation::sampler::SamplerConfig;
use crate::learning::grpo::config::{Config, SAMPLES, bounded};
use crate::learning::rewards;
use crate::session::config::{Config as RunConfig, SftConfig};
use crate::training::config::OnLong;
use crate::training::objective::policy::{Kind, Settings};
use anyhow::{Result, ensure};
use clap::builder::ArgPredicate;
use clap::{Arg, ArgGroup};
use std::path::{Path, PathBuf};

/// Longest episode in tokens, unless it is said.
const EPISODE: &str = "4096";

/// Flags of `factory grpo`.
#[derive(Debug, clap::Args)]
#[command(mut_args(episodes_alone))]
#[command(mut_arg("lr", |arg| arg.default_value("0.00002")))]
#[command(mut_arg("batch", |arg| arg.default_value("4").help("Rows whose answers go through the base together; a step draws batch × grad-accum rows")))]
#[command(mut_arg("max_seq", |arg| arg.default_value_if("tools", ArgPredicate::IsPresent, EPISODE)
    .help("Longest prompt and answer in tokens, the answer counted as --max-tokens; with --tools the longest episode [default: 512; with --tools 4096]")
    .hide_default_value(true)))]
#[command(mut_arg("steps", |arg| arg.help("Steps of drawing, each of --iterations optimizer steps")))]
#[command(mut_arg("on_long", |arg| arg.help("What to do with rows that are longer")))]
#[command(mut_arg("follow_links", |arg| arg.requires("folders")))]
#[command(group = ArgGroup::new("folders").args(["db_dir", "eval_db"]).multiple(true))]
pub struct Args {
    /// Rows to practise on (JSONL): a prompt, db, and gold_sql or an answer with the right query.
    #[arg(long, required_unless_present_any = ["config", "resume"])]
    data: Option<PathBuf>,
    /// Base model: a folder of safetensors, a .gguf file, or a hub id [default: that of --init, else Qwen/Qwen3-0.6B].
    #[arg(long)]
    base: Option<String>,
    /// Folder the adapter is written to [default: runs/<date>-grpo-<data name>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// What is made of rewards.
    #[arg(long, value_enum, default_value_t = Kind::DrGrpo)]
    loss: Kind,
    /// Answers drawn of each row.
    #[arg(long, default_value_t = SAMPLES)]
    samples: usize,
    /// How freely answers are drawn.
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// Share of probability that is drawn from, likeliest tokens first.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Longest answer in tokens; with --tools a turn's.
    #[arg(long, default_value_t = 128)]
    max_tokens: usize,
    /// Let answers be looked for by tools, in episodes as `episodes run` plays them: this program's, or those of the server that CMD starts for each
    /// database. {file} in it is the database's file, {db} its name.
    #[arg(help_heading = heading::EPISODES, long, value_name = "builtin|mcp:CMD", value_parser = Tools::parse)]
    tools: Option<Tools>,
    #[command(flatten)]
    play: PlayArgs,
    /// What answers are worth (TOML) [default: 1 where the result matches, 0.1 where the query runs and has as many columns].
    #[arg(long, value_name = "FILE")]
    rewards: Option<PathBuf>,
    /// Weight of the divergence from the adapter that the run begins with.
    #[arg(help_heading = heading::LOSS, long, default_value_t = 0.0)]
    beta: f64,
    /// Optimizer steps on the same answers.
    #[arg(help_heading = heading::LOSS, long, default_value_t = 1)]
    iterations: usize,
    /// How far a token's ratio may fall below 1 before it teaches no more; ratios are 1 in the first step on answers [default: 0.2].
    #[arg(help_heading = heading::LOSS, long)]
    epsilon: Option<f64>,
    /// How far it may rise [default: as --epsilon; dapo 0.28]; of cispo the highest ratio [default: 5].
    #[arg(help_heading = heading::LOSS, long)]
    epsilon_high: Option<f64>,
    /// How often a step draws other rows in place of those whose answers are all worth the same.
    #[arg(help_heading = heading::DATA, long, default_value_t = 1)]
    resample: usize,
    #[command(flatten)]
    pub scoring: ScoringArgs,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
    /// Go on where answers become alike, endless or wrong: without guards such a run ends with an adapter that answers nothing.
    #[arg(help_heading = heading::EVALUATION, long)]
    no_guards: bool,
    /// Settings (TOML) by the names of these flags; a value given here wins over the file's.
    #[arg(help_heading = heading::OUTPUT, long)]
    config: Option<PathBuf>,
    /// Go on with the interrupted run that was to become this folder, with its settings, as if it had never stopped.
    #[arg(help_heading = heading::OUTPUT, long, value_name = "OUT", conflicts_with_all = ["config", "out"])]
    resume: Option<PathBuf>,
}

/// Flags of episodes say nothing without any.
fn episodes_alone(arg: Arg) -> Arg {
    match ["knowledge", "turns", "observation_tokens", "query_seconds"]
        .contains(&arg.get_id().as_str())
    {
        true => arg.requires("tools").help_heading(heading::EPISODES),
        false => arg,
    }
}

impl Args {
    /// Refuses settings that the command itself would refuse, without reading a file.
    pub fn check(&self) -> Result<()> {
        self.scoring.check()?;
        self.loss().check().map_err(UsageError::of)?;
        self.check_bounds()?;
        let train = self.training.config()?;
        if self.tools.is_some() {
            refuse_base(self.training.template)?;
            let message = "--on-long leaves out or cuts no rows with --tools: leave them out of --data, or raise --max-seq";
            ensure!(
                train.on_long == OnLong::Error,
                UsageError(message.to_owned())
            );
        }
        Ok(())
    }

    fn loss(&self) -> Settings {
        let turns = self.tools.as_ref().map_or(1, |_| self.play.turns as usize);
        let own = Settings::new(self.loss, self.max_tokens.saturating_mul(turns));
        let epsilon = self.epsilon.unwrap_or(own.epsilon);
        Settings {
            beta: self.beta,
            epsilon,
            epsilon_high: self.epsilon_high.unwrap_or(match self.loss {
                Kind::Dapo | Kind::Cispo => own.epsilon_high,
                _ => epsilon,
            }),
            ..own
        }
    }

    /// Refuses bounds of ratios that there are none of.
    fn check_bounds(&self) -> Result<()> {
        let (below, above) = bounded(self.loss, self.iterations);
        let given = [
            ("--epsilon", self.epsilon, below),
            ("--epsilon-high", self.epsilon_high, above),
        ];
        for (flag, value, counts) in given {
            let why = match self.loss {
                Kind::Cispo => "--loss cispo lets ratios fall as they like",
                _ => "ratios are 1 in the first step on answers: give --iterations 2 or more",
            };
            ensure!(
                value.is_none() || counts,
                UsageError(format!("{flag} does nothing here, {why}"))
            );
        }
        Ok(())
    }

    /// What is trained, and how answers are judged.
    pub fn config(&self) -> Result<Config> {
        let training = &self.training;
        let config = Config {
            sft: SftConfig {
                data: self.data()?.to_owned(),
                val_data: None,
                columns: training.fields.columns()?,
                base: self.base.clone(),
                template: training.template,
                init: self.adapter.init.clone(),
                adapter: self.adapter.config()?,
                train: training.config()?,
            },
            loss: self.loss(),
            sampler: SamplerConfig {
                temperature: self.temperature,
                top_p: self.top_p,
                seed: training.seed,
                samples: self.samples,
                logprobs: Some(0),
                tempered: true,
                ..SamplerConfig::default()
            },
            max_tokens: self.max_tokens,
            tools: match &self.tools {
                Some(tools) => {
                    let mut setup = self.play.setup(tools, self.max_tokens)?;
                    setup.play.most = training.config()?.max_seq;
                    Some(setup)
                }
                None => None,
            },
            iterations: self.iterations,
            resample: self.resample,
            rewards: match &self.rewards {
                Some(path) => rewards::Config::read(path)?,
                None => rewards::Config::default(),
            },
            databases: self.scoring.databases()?,
            said: self.said()?,
            now: self.scoring.now(),
            keep_going: self.scoring.keep_going,
        };
        config.check()?;
        Ok(config)
    }

    /// The flags that settings have as they were given.
    fn said(&self) -> Result<toml::Table> {
        let mut said = self.scoring.said(self.training.measures())?;
        if let Some(tools) = &self.tools {
            said.insert("tools".to_owned(), tools.text.clone().into());
            said.extend(toml::Table::try_from(&self.play)?);
        }
        Ok(said)
    }

    /// How the run on `data` is kept and measured.
    pub fn run(&self, data: &Path) -> Result<RunConfig> {
        let (out, resume) = (self.out.as_ref(), self.resume.as_ref());
        let out = training::out("grpo", data, out, resume);
        let rules = self.scoring.rules.get();
        Ok(RunConfig {
            guards: !self.no_guards,
            ..self.training.run(out, self.resume.is_some(), rules)?
        })
    }

    /// The rows, named by flag or by config.
    pub fn data(&self) -> Result<&Path> {
        let missing = "the rows are not named: give --data, or data in --config";
        training::named(self.data.as_ref(), self.resume.as_ref(), missing)
    }
}
