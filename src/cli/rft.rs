//! `factory rft`: rejection-sampling fine-tuning.

use super::device::WeightsArg;
use super::sampling::SamplingArgs;
use super::say;
use super::scoring::ScoringArgs;
use super::terminal::Terminal;
use super::training::{self, TrainingArgs};
use crate::answering::config::Config as Answering;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::learning::rft::{self, Config, Keep, Places};
use crate::model::place::Place;
use crate::report::curve;
use crate::run::usage::UsageError;
use crate::session::config::SftConfig;
use anyhow::{Context, Result, ensure};
use clap::ArgGroup;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Rejection-sampling fine-tuning: draw answers to rows, learn those that are right.
///
/// A round draws samples of each row with the adapter as it is, runs their queries confined, as in eval-sql, and trains on the right ones with
/// different queries, as they were drawn, beside rows of before with their own answers. With --eval-data the best adapter of all rounds and the start
/// is handed out.
#[derive(Debug, clap::Args, Serialize)]
#[command(mut_arg("follow_links", |arg| arg.requires("folders")))]
#[command(group = ArgGroup::new("folders").args(["db_dir", "eval_db"]).multiple(true))]
pub struct Args {
    /// Rows with a prompt, a reference (gold_sql, or an answer with a query) and db (JSONL).
    #[arg(long, required_unless_present_any = ["config", "resume"])]
    data: Option<PathBuf>,
    /// Adapter to start from: the first round draws from it, and each round trains on from it.
    #[arg(long, value_name = "ADAPTER", required_unless_present_any = ["config", "resume"])]
    init: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    scoring: ScoringArgs,
    /// Base model: a folder of safetensors, a .gguf file, or a hub id [default: that of --init].
    #[arg(long)]
    base: Option<String>,
    /// Folder the adapter is written to, with a folder for each round [default: runs/<date>-rft-<data name>].
    #[arg(long)]
    #[serde(skip)]
    out: Option<PathBuf>,
    /// Rounds.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Train each round on from the best adapter so far instead of from --init.
    #[arg(long)]
    from_last: bool,
    #[command(flatten)]
    #[serde(flatten)]
    sampling: SamplingArgs,
    /// Longest answer in tokens.
    #[arg(long, default_value_t = StopConfig::default().max_tokens as u64, value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: u64,
    /// Rows answered at once, at most.
    #[arg(long, value_name = "N", default_value_t = Answering::default().batch as u64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    draw_batch: u64,
    /// How the base's weights are held while answers are drawn.
    #[arg(long, value_enum, default_value_t = WeightsArg::Auto)]
    weights: WeightsArg,
    /// Most answers of a row that are learned, the first that were drawn.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1000))]
    keep: u64,
    /// The same of a row whose samples are all right, which teaches least; 0 leaves such rows out [default: as --keep].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1000))]
    keep_solved: Option<u64>,
    /// The part of the rows to learn that are rows of --data with their own answers, so that what they taught is not forgotten.
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = share)]
    replay: f64,
    #[command(flatten)]
    #[serde(flatten)]
    training: TrainingArgs,
    /// Settings (TOML) by the names of these flags; a value given here wins over the file's, and a switch
    /// that the file turns on stays on.
    #[arg(help_heading = super::heading::OUTPUT, long)]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Go on with the interrupted run that was to become this folder, with its settings, as if it had never stopped.
    #[arg(help_heading = super::heading::OUTPUT, long, value_name = "OUT", conflicts_with_all = ["config", "out"])]
    #[serde(skip)]
    resume: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=0.99).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 0.99".to_owned()),
    }
}

impl Args {
    /// Refuses settings that are a mistake whatever is drawn.
    pub fn check(&self) -> Result<()> {
        self.sampler()?;
        self.scoring.check()?;
        let message = "--from-last does nothing in one round, which trains on from --init: give --rounds 2 or more";
        ensure!(
            !self.from_last || self.rounds > 1,
            UsageError(message.to_owned())
        );
        self.training.config().map(drop)
    }

    fn sampler(&self) -> Result<SamplerConfig> {
        self.sampling.sampler(self.training.seed)
    }

    /// A file that is named by flag or by config.
    fn named<'a>(&self, flag: &str, path: &'a Option<PathBuf>) -> Result<&'a Path> {
        let missing = format!("give --{flag}, or {flag} in --config");
        training::named(path.as_ref(), self.resume.as_ref(), &missing)
    }

    fn config(mut self, place: &Place) -> Result<Config> {
        let data = self.named("data", &self.data)?.to_owned();
        let init = self.named("init", &self.init)?.to_owned();
        self.check()?;
        let databases = self.scoring.databases()?;
        let mut sft = SftConfig {
            data: data.clone(),
            val_data: None,
            columns: self.training.fields.columns()?,
            base: self.base.clone(),
            template: self.training.template,
            init: Some(init.clone()),
            adapter: Default::default(),
            train: self.training.config()?,
        };
        sft.base = Some(sft.base()?);
        sft.template = Some(sft.template()?);
        let (out, resume) = (self.out.as_ref(), self.resume.as_ref());
        let out = training::out("rft", &data, out, resume);
        let resume = self.resume.is_some();
        let session = self.training.run(out, resume, databases.rules)?;
        let now = self.scoring.now();
        let sampler = self.sampler()?;
        // What was found out is written down with what was given.
        self.training.settle(place);
        self.base = sft.base.clone();
        self.training.template = sft.template;
        self.scoring.now = Some(now);
        let mut settings = toml::Table::try_from(&self).context("writing the resolved config")?;
        if session.selection.is_none() {
            // A default that would have to have rows to measure on.
            settings.remove("eval_every");
        }
        let keep = self.keep as usize;
        Ok(Config {
            columns: sft.columns.clone(),
            data,
            init,
            rounds: self.rounds as usize,
            from_last: self.from_last,
            sampler,
            stop: StopConfig {
                max_tokens: self.max_tokens as usize,
                stop: Vec::new(),
            },
            batch: self.draw_batch as usize,
            keep: Keep {
                most: keep,
                most_solved: self.keep_solved.map_or(keep, |most| most as usize),
            },
            replay: self.replay,
            databases,
            now,
            keep_going: self.scoring.keep_going,
            sft,
            session,
            settings,
        })
    }
}

/// Runs the rounds and writes the folder.
pub fn run(args: Args) -> Result<()> {
    let train = args.training.place()?;
    let draw = args.weights.at(&train);
    let places = Places { draw, train };
    let config = args.config(&places.train)?;
    let summary = rft::run(&config, &places, &Terminal::default(), &curve::svg)?;
    for round in &summary.rounds {
        say(round.line())?;
    }
    let out = config.session.out.display();
    match summary.kept {
        0 => say(format_args!(
            "adapter: {out} (the start: no round was better)"
        )),
        round => say(format_args!("adapter: {out} (round {round})")),
    }
}
