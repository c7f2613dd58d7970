//! `factory episodes run`

use super::{PlayArgs, Tools};
use crate::answering::config::Config;
use crate::cli::answering::AnsweringArgs;
use crate::cli::fields::FieldArgs;
use crate::cli::scoring::ScoringArgs;
use crate::cli::terminal::Terminal;
use crate::cli::{UsageError, say};
use crate::generation::sampler::SamplerConfig;
use crate::learning::episodes::run::{Data, Job};
use crate::learning::episodes::summary::Summary;
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use anyhow::Result;
use std::path::PathBuf;

/// Play an episode on each row: the model looks at the row's database by tools, then answers, and its answer is judged.
///
/// With --template plain it calls by tags (<sql>…</sql>), with chatml as Qwen3 does (<tool_call>). A row's database is looked at by queries that
/// only read, each in a process of its own.
#[derive(Debug, clap::Args)]
#[command(mut_arg("max_tokens", |arg| arg.default_value("256").help("Longest turn in tokens")))]
#[command(mut_arg("follow_links", |arg| arg.conflicts_with("connection")))]
pub struct Args {
    /// Rows with a prompt, a reference (gold_sql, or an answer with a query) and db (JSONL).
    #[arg(long, value_name = "ROWS", required_unless_present = "spider2")]
    data: Option<PathBuf>,
    /// Questions of Spider2-lite (instance_id, db, question, external_knowledge) in place of rows, those whose database is there. They have no
    /// reference: answers are not judged.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "now", "keep_going", "timeout_ms", "extract", "given"])]
    spider2: Option<PathBuf>,
    /// File the episodes are written to (JSONL). Until all are judged those that were played are kept in OUT.partial.
    #[arg(long)]
    out: PathBuf,
    /// Go on with an interrupted run of the same command, from OUT.partial.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    scoring: ScoringArgs,
    /// Whose tools: this program's, or those of the server that CMD starts for each database. {file} in it is the database's file, {db} its name.
    #[arg(long, value_name = "builtin|mcp:CMD", default_value = "builtin", value_parser = Tools::parse)]
    tools: Tools,
    #[command(flatten)]
    play: PlayArgs,
    /// Episodes of each row.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    samples: u64,
    /// 0 is greedy.
    #[arg(long, default_value_t = SamplerConfig::default().temperature)]
    temperature: f64,
    /// Sample from the smallest set of tokens with this probability.
    #[arg(long, default_value_t = SamplerConfig::default().top_p)]
    top_p: f64,
    /// Seed of the sampling; a row's draws do not depend on its neighbours.
    #[arg(long, default_value_t = SamplerConfig::default().seed)]
    seed: u64,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    answering: AnsweringArgs,
    /// Write what can be told of the episodes to this file (JSON).
    #[arg(long, value_name = "FILE")]
    summary_out: Option<PathBuf>,
}

impl Args {
    /// Refuses settings that are a mistake whatever is played.
    pub fn check(&self) -> Result<()> {
        self.scoring.check()?;
        self.sampler().check().map_err(UsageError::of)?;
        self.config().map(drop)
    }

    fn sampler(&self) -> SamplerConfig {
        SamplerConfig {
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.seed,
            samples: self.samples as usize,
            logprobs: Some(0),
            ..SamplerConfig::default()
        }
    }

    fn config(&self) -> Result<Config> {
        let config = self.answering.config()?;
        if config.route.is_some() {
            let message = "episodes take no --route: an adapter is chosen by --lora";
            return Err(UsageError(message.into()).into());
        }
        super::refuse_base(config.template)?;
        Ok(Config {
            columns: self.fields.columns()?,
            ..config
        })
    }
}

/// Plays, and says how it went.
pub fn run(args: Args) -> Result<()> {
    args.check()?;
    let inputs = args.data.iter().chain(&args.spider2).map(PathBuf::as_path);
    let outputs = || {
        [Some(&args.out), args.summary_out.as_ref()]
            .into_iter()
            .flatten()
    };
    check_apart(inputs, outputs().map(PathBuf::as_path)).map_err(UsageError::of)?;
    outputs().try_for_each(|out| check_writable(out))?;
    let config = args.config()?;
    let databases = args.scoring.databases()?;
    let data = match (&args.data, &args.spider2) {
        (Some(path), _) => Data::Rows(path.clone()),
        (None, Some(path)) => Data::Spider2(path.clone()),
        // clap requires one of them.
        (None, None) => return Err(UsageError("give --data or --spider2".into()).into()),
    };
    let mut setup = args.play.setup(&args.tools, config.stop.max_tokens)?;
    if let Some(bytes) = config.kv_memory {
        setup.play.kv_memory = bytes;
    }
    let job = Job {
        data,
        out: args.out.clone(),
        resume: args.resume,
        setup,
        databases,
        now: args.scoring.now,
        keep_going: args.scoring.keep_going,
        sampler: args.sampler(),
    };
    let place = args.answering.place()?;
    let found = job.run(&config, &place, &Terminal::default())?;
    if let Some(path) = &args.summary_out {
        write_atomic(path, &json(&found)?)?;
    }
    print(&found)?;
    say(format_args!("episodes: {}", args.out.display()))
}

fn print(found: &Summary) -> Result<()> {
    let Summary {
        rows,
        episodes,
        passed,
        judged,
        turns,
        repeated,
        errors,
        unknown_tables,
        malformed,
        ..
    } = found;
    let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    if *judged > 0 {
        say(format_args!(
            "right: {passed} of {judged} ({:.3})",
            share(*passed, *judged)
        ))?;
    }
    say(format_args!(
        "{episodes} episodes on {rows} rows, {:.2} turns each, {} tokens drawn in {:.1} s",
        share(*turns, *episodes),
        found.drawn,
        found.seconds
    ))?;
    let ends = found.ends.iter();
    let ends: Vec<String> = ends
        .map(|(end, count)| format!("{} {count}", end.name()))
        .collect();
    say(format_args!("ended: {}", ends.join(", ")))?;
    say(format_args!(
        "of {turns} turns: errors {errors}, unknown tables {unknown_tables}, repeated {repeated}, no call {malformed}"
    ))
}
