//! `factory generate`: prompts to answers.

use super::answering::{AnsweringArgs, RowArgs};
use super::choice::ChoiceArgs;
use super::terminal::Terminal;
use super::{UsageError, say};
use crate::answering::config::Config;
use crate::answering::constraint::Kind;
use crate::answering::fields::{Fields, OUT_FIELD};
use crate::answering::file::Job;
use crate::answering::loaded::Loaded;
use crate::answering::stream;
use crate::data::jsonl::Line;
use crate::data::record;
use crate::data::shard::Shard;
use crate::db::notes::Dialect;
use crate::generation::sampler::SamplerConfig;
use anyhow::{Context, Result};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::Map;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Flags of `factory generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows with a prompt (JSONL): `prompt` or `instruction`, `messages` or `conversations`.
    #[arg(long, required_unless_present = "prompt", requires = "out")]
    data: Option<PathBuf>,
    /// One prompt, or - for what standard input holds; the answer is streamed to the terminal.
    #[arg(long, conflicts_with_all = ["data", "out", "route", "on_long", "finish", "resume", "metrics_out", "samples", "greedy_first", "confidence", "abstain_below", "select", "choice_fields", "repair", "db_dir", "connection"])]
    prompt: Option<String>,
    /// File the answered rows are written to, in the order of the data. Until all are answered they are kept in OUT.partial.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    rows: RowArgs,
    #[command(flatten)]
    answering: AnsweringArgs,
    /// Put the notes on a dialect (see db notes) before each prompt that does not have them: sqlite, duckdb, postgres, mysql, snowflake,
    /// bigquery, clickhouse, tsql.
    #[arg(long, value_name = "DIALECT", value_parser = dialect())]
    dialect_notes: Option<Dialect>,
    /// Field the answer is written to.
    #[arg(long, default_value = OUT_FIELD)]
    out_field: String,
    /// Write how each answer ended to the field _finish: stop, stop_text, length (cut at --max-tokens), too_long or error.
    #[arg(long)]
    finish: bool,
    /// Answer the I-th of N parts of the rows alone; `data merge` puts the parts together.
    #[arg(long, value_name = "I/N", conflicts_with = "prompt")]
    shard: Option<Shard>,
    /// Go on with an interrupted run of the same command, from OUT.partial.
    #[arg(long)]
    resume: bool,
    /// File for what answering took (JSON): tokens of prompts and answers with their rates, tokens that rows shared, tokens that
    /// were guessed and those that were right, and how long a row's first token took.
    #[arg(long, value_name = "FILE")]
    metrics_out: Option<PathBuf>,
    /// 0 is greedy.
    #[arg(long, default_value_t = SamplerConfig::default().temperature)]
    temperature: f64,
    /// Sample from the smallest set of tokens with this probability.
    #[arg(long, default_value_t = SamplerConfig::default().top_p)]
    top_p: f64,
    /// Seed of the sampling; a row's draws do not depend on its neighbours.
    #[arg(long, default_value_t = SamplerConfig::default().seed)]
    seed: u64,
    /// Answers that are drawn of each row, over one computation of its prompt: all are written to the field _samples, and the first,
    /// which is the one without this flag, or what --select chooses, to OUT_FIELD.
    #[arg(long, value_name = "K", default_value_t = SamplerConfig::default().samples as u64, value_parser = clap::value_parser!(u64).range(1..=1000))]
    samples: u64,
    /// Make the first of the --samples the greedy answer, whatever the temperature.
    #[arg(long, requires = "samples")]
    greedy_first: bool,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Write how likely each answer is to the field _logprob (the mean log-probability of its tokens), and how sure it is to _confidence,
    /// from 0 to 1: what _logprob is the logarithm of, or with --select executable or vote the share of samples that return the same.
    #[arg(long)]
    confidence: bool,
    /// Leave a row whose confidence is below P without an answer (null, and _abstained true); its answer is kept in _withheld. With
    /// what --confidence writes.
    #[arg(long, value_name = "P", value_parser = probability)]
    abstain_below: Option<f64>,
}

fn dialect() -> impl TypedValueParser<Value = Dialect> {
    let names = Dialect::ALL.map(Dialect::id);
    PossibleValuesParser::new(names).try_map(|name| Dialect::named(&name).ok_or("no such dialect"))
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}

impl Args {
    fn config(&self) -> Result<Config> {
        let databases = self.choice.get()?.databases;
        let home = databases.map(|databases| databases.home);
        let config = Config {
            notes: self.dialect_notes,
            ..self.answering.config()?
        };
        self.rows.with(config, home)
    }

    fn sampler(&self) -> SamplerConfig {
        SamplerConfig {
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.seed,
            samples: self.samples as usize,
            greedy_first: self.greedy_first,
            ..SamplerConfig::default()
        }
    }

    /// How it asks for the first answer.
    pub fn asked(&self) -> Result<(Config, SamplerConfig)> {
        let greedy = self.greedy_first && self.samples > 1;
        let sampler = SamplerConfig {
            samples: 1,
            temperature: if greedy { 0.0 } else { self.temperature },
            ..self.sampler()
        };
        Ok((self.config()?, sampler))
    }

    /// Refuses settings that are a mistake whatever is answered.
    pub fn check(&self) -> Result<()> {
        self.sampler().check().map_err(UsageError::of)?;
        let config = self.config()?;
        let schemas = config.constrain.kind == Kind::Schema;
        self.choice.get()?.check(self.samples as usize, schemas)
    }
}

/// Answers the prompts.
pub fn run(args: Args) -> Result<()> {
    let (sampler, config) = (args.sampler(), args.config()?);
    match (args.prompt, args.data, args.out) {
        (Some(prompt), _, _) => {
            sampler.check().map_err(UsageError::of)?;
            let prompt = match prompt.as_str() {
                "-" => std::io::read_to_string(std::io::stdin()).context("standard input")?,
                _ => prompt,
            };
            answer(prompt, &config, &args.answering, sampler)
        }
        (None, Some(data), Some(out)) => {
            let job = Job {
                data,
                out,
                fields: Fields {
                    out_field: args.out_field,
                    finish: args.finish,
                    confidence: args.confidence,
                    choice: args.choice.fields,
                    abstain_below: args.abstain_below,
                },
                choice: args.choice.get()?,
                shard: args.shard,
                resume: args.resume,
                metrics_out: args.metrics_out,
                sampler,
            };
            job.check(&config)?;
            let place = args.answering.place()?;
            let answered = job.run(&config, &place, &Terminal::default())?;
            say(format_args!("predictions: {}", job.out.display()))?;
            answered.check()
        }
        // clap requires --prompt, or --data with --out.
        _ => Err(UsageError("give --prompt, or --data and --out".into()).into()),
    }
}

/// Shows the answer to one prompt as it comes.
fn answer(
    prompt: String,
    config: &Config,
    args: &AnsweringArgs,
    sampler: SamplerConfig,
) -> Result<()> {
    let terminal = Terminal::default();
    let asked = record::user(prompt);
    let line = [Line::new(1, Map::new())];
    let constraints = (config.constrain).read(
        Path::new("--prompt"),
        &line,
        std::slice::from_ref(&asked),
        &terminal,
    )?;
    let loaded = Loaded::load(config, &args.place()?, &terminal)?;
    let adapters = loaded.mixed(loaded.mixture.clone());
    let prompt = loaded.prompt(&asked)?;
    let mut out = std::io::stdout();
    let mut engine = loaded.engine(adapters, sampler);
    engine.grammars = constraints.grammars(engine.tokenizer)?;
    let prompts = [prompt];
    let mut cache = loaded.cache(&engine, &prompts, &[0], &terminal)?;
    let [prompt] = prompts;
    stream::answer(&engine, &mut cache, prompt, |piece| {
        write!(out, "{piece}")?;
        Ok(out.flush()?)
    })?;
    Ok(writeln!(out)?)
}
