//! `factory headroom`: what learning from a model's own samples could gain.

use super::answering::{AnsweringArgs, RowArgs};
use super::sampling::SamplingArgs;
use super::say;
use super::scoring::ScoringArgs;
use super::terminal::Terminal;
use crate::answering::config::Config;
use crate::eval::stats::Mean;
use crate::generation::sampler::SamplerConfig;
use crate::learning::headroom::{Headroom, Job};
use crate::learning::standing::Standing;
use crate::run::words::plain;
use anyhow::Result;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use std::path::PathBuf;

/// Say what voting, rejection sampling, preference pairs, GRPO or more rows could gain: draws samples of rows and judges each.
///
/// The greedy answer of each row and its samples run confined, as in eval-sql, and are held against the row's reference: gold_sql, or the query
/// in its own answer.
#[derive(Debug, clap::Args)]
#[command(mut_arg("follow_links", |arg| arg.conflicts_with("connection")))]
pub struct Args {
    /// Rows with a prompt, a reference (gold_sql, or an answer with a query) and db (JSONL).
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    scoring: ScoringArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Seed of the samples; a row's draws do not depend on its neighbours.
    #[arg(long, default_value_t = SamplerConfig::default().seed)]
    seed: u64,
    #[command(flatten)]
    rows: RowArgs,
    #[command(flatten)]
    answering: AnsweringArgs,
    /// Write the rows with greedy answer (predicted_sql), samples (_samples) and verdicts to this file (JSONL). Until all are there they are kept
    /// in OUT.partial.
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// Go on with an interrupted run of the same command, from OUT.partial.
    #[arg(long, requires = "out")]
    resume: bool,
    /// Write the summary to this file (JSON), with n and a 95% interval of every share.
    #[arg(long, value_name = "FILE")]
    summary_out: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn sampler(&self) -> Result<SamplerConfig> {
        self.sampling.sampler(self.seed)
    }

    /// Refuses settings that are a mistake whatever is answered.
    pub fn check(&self) -> Result<()> {
        self.sampler()?;
        self.scoring.check()?;
        self.answering.config().map(drop)
    }

    fn config(&self) -> Result<(Config, Job)> {
        let databases = self.scoring.databases()?;
        let home = databases.home.clone();
        let job = Job {
            data: self.data.clone(),
            out: self.out.clone(),
            resume: self.resume,
            summary_out: self.summary_out.clone(),
            sampler: self.sampler()?,
            databases,
            now: self.scoring.now,
            keep_going: self.scoring.keep_going,
        };
        let config = self.rows.with(self.answering.config()?, Some(home))?;
        Ok((config, job))
    }
}

/// Draws, judges and prints what was found.
pub fn run(args: Args) -> Result<()> {
    args.check()?;
    let (config, job) = args.config()?;
    let place = args.answering.place()?;
    let found = job.run(&config, &place, &Terminal::default())?;
    match args.json {
        true => say(serde_json::to_string_pretty(&found)?)?,
        false => print(&found)?,
    }
    let outputs = [&args.out, &args.summary_out].into_iter().flatten();
    for path in outputs.filter(|_| !args.json) {
        say(format_args!("wrote {}", path.display()))?;
    }
    Ok(())
}

fn print(found: &Headroom) -> Result<()> {
    let Standing {
        rows,
        samples,
        pass_at,
        ..
    } = &found.overall;
    say(format_args!(
        "headroom: {rows} rows, {samples} samples each at temperature {}",
        found.temperature
    ))?;
    let all = &found.overall;
    let shares = [
        ("greedy", all.greedy),
        ("vote", all.vote),
        ("all right", all.all_right),
        ("mixed", all.mixed),
        ("all wrong", all.all_wrong),
        ("samples that run", all.running),
        ("samples that end", all.ended),
    ];
    let shares = shares.map(|(name, share)| line(name, share.value, share.wilson95, share.n));
    let passes = pass_at.iter().map(|(k, mean)| {
        let Mean { value, n, wilson95 } = *mean;
        line(&format!("pass@{k}"), value, wilson95, n)
    });
    let [greedy, rest @ ..] = shares;
    for line in [greedy].into_iter().chain(passes).chain(rest) {
        say(line)?;
    }
    say(format_args!(
        "{:<17} {:.2} of {samples}",
        "distinct queries", all.distinct_queries
    ))?;
    say(table(found))?;
    say(&found.advice)
}

/// `mixed             0.266 (0.218 to 0.320) of 305`
fn line(name: &str, value: f64, [low, high]: [f64; 2], n: usize) -> String {
    format!("{name:<17} {value:.3} ({low:.3} to {high:.3}) of {n}")
}

/// A line a slice.
fn table(found: &Headroom) -> String {
    let samples = found.overall.samples;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(vec![
        "slice".to_owned(),
        "rows".to_owned(),
        "greedy".to_owned(),
        "pass@1".to_owned(),
        format!("pass@{samples}"),
        "vote".to_owned(),
        "all right".to_owned(),
        "mixed".to_owned(),
        "all wrong".to_owned(),
        "distinct".to_owned(),
    ]);
    let all = std::iter::once(("all".to_owned(), &found.overall));
    // A slice is named by the data.
    let slices = found.slices.iter().map(|(name, of)| (plain(name), of));
    for (name, of) in all.chain(slices) {
        let values = [
            of.greedy.value,
            of.pass_1(),
            of.pass(),
            of.vote.value,
            of.all_right.value,
            of.mixed.value,
            of.all_wrong.value,
        ];
        let values = values.map(|value| format!("{value:.3}"));
        let distinct = format!("{:.2}", of.distinct_queries);
        let row = [name, of.rows.to_string()].into_iter().chain(values);
        table.add_row(row.chain([distinct]));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
