//! `factory sweep`: mixtures of adapters, and routing between them, against gates; the base is loaded once.

use super::answering::{AnsweringArgs, RowArgs};
use super::rules::RulesArgs;
use super::terminal::Terminal;
use super::{GateFailed, UsageError, note, say, sql_worker};
use crate::answering::loaded::Loaded;
use crate::answering::metrics;
use crate::answering::sweep::Sweep;
use crate::eval::gates;
use crate::eval::sweep::{NONE, Point, baseline};
use crate::report::tradeoff;
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use crate::run::folder::{RunFolder, default_path};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Measure weighted mixtures of adapters, and routing between them, on gates.
///
/// Exits with 3 where no point passes every gate; everything is written all the same.
#[derive(clap::Args)]
pub struct Args {
    /// Gates (TOML): [[gate]] tables of name, data, where, db_dir, mode, metric, min, margin and max_drop.
    ///
    /// `data` are rows to ask, of which `where` = { field = "text" } keeps some, and `db_dir` their databases. The metric must be `min`
    /// (0 to 1) at least, or `margin` points above the base alone, or `max_drop` points below it at most; the base alone is the point
    /// whose weights are all 0. What only `factory gate` reads (candidate, baseline, role) changes nothing here.
    #[arg(long, value_name = "FILE")]
    gates: PathBuf,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    rows: RowArgs,
    #[command(flatten)]
    answering: AnsweringArgs,
    /// A point: one weight for each --lora, by comma (repeatable).
    #[arg(long, value_name = "W,W")]
    lora_weights: Vec<String>,
    /// Points of two adapters whose weights sum to 1, evenly apart [default: 5, without --lora-weights and --route].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=101))]
    pairs: Option<u64>,
    /// Measure every point on N rows of each gate first, and on all rows only those that no other point beats there.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Deadline of a row's predicted query in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
    /// Folder the table, the plot and the scored rows are written to [default: runs/<date>-sweep-<gates name>].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// File for what answering took (JSON), over all points: tokens of prompts and answers with their rates, tokens that rows shared,
    /// tokens that were guessed and those that were right, and how long a row's first token took.
    #[arg(long, value_name = "FILE")]
    metrics_out: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    let config = args.rows.with(args.answering.config()?, None)?;
    let points = args.points()?;
    let timeout = Duration::from_millis(args.timeout_ms);
    let mut gates = gates::read(
        &args.gates,
        &sql_worker::command()?,
        timeout,
        args.rules.get(),
    )?;
    let gate = gates.iter().find(|gate| gate.spec.needs_baseline());
    if let (None, Some(gate)) = (baseline(&points), gate) {
        let zeros = vec!["0"; args.answering.loras.0.names().len()].join(",");
        let name = &gate.spec.name;
        let message = format!(
            "gate {name}: margin and max_drop are held against the base alone: add --lora-weights {zeros}"
        );
        return Err(UsageError(message).into());
    }
    let out = args.out.clone().unwrap_or_else(|| {
        let stem = args.gates.file_stem().unwrap_or_default().to_string_lossy();
        default_path("sweep", &stem)
    });
    if let Some(path) = &args.metrics_out {
        check_apart([args.gates.as_path()], [path.as_path()]).map_err(UsageError::of)?;
        check_writable(path)?;
    }
    let folder = RunFolder::create(&out)?;
    let terminal = Terminal::default();
    let loaded = Loaded::load(&config, &args.answering.place()?, &terminal)?;
    let sweep = Sweep {
        config: &config,
        loaded: &loaded,
        file: &args.gates,
        limit: args.limit.map(|limit| limit as usize),
        observer: &terminal,
    };
    let (outcome, usage) = sweep.measure(points, &mut gates)?;
    note(metrics::line(&usage));
    if let Some(path) = &args.metrics_out {
        write_atomic(path, &json(&metrics::json(&usage, None))?)?;
    }
    outcome.write(&folder, &gates)?;
    folder.write("plot.svg", tradeoff::svg(&outcome, &gates)?.as_bytes())?;
    folder.finish()?;
    say(outcome.table(&gates).trim_end())?;
    say(outcome.verdict())?;
    say(format_args!("wrote {}", out.display()))?;
    ensure!(outcome.passes(), GateFailed(NONE.to_owned()));
    Ok(())
}

impl Args {
    /// The points of the command line, in its order; routing last.
    fn points(&self) -> Result<Vec<Point>> {
        let names = self.answering.loras.0.names();
        let usage = |message: String| anyhow::Error::from(UsageError(message));
        ensure!(
            !names.is_empty(),
            usage("give adapters: --lora [NAME=]A --lora [NAME=]B".to_owned())
        );
        let mut points = Vec::new();
        let mut faults = Vec::new();
        for text in &self.lora_weights {
            let weights: Vec<Option<f64>> = text
                .split(',')
                .map(|w| w.trim().parse().ok().filter(|w: &f64| w.is_finite()))
                .collect();
            let count = weights.len();
            match weights.into_iter().collect::<Option<Vec<f64>>>() {
                Some(weights) if count == names.len() => points.push(self.mixture(weights)),
                _ => faults.push(format!(
                    "--lora-weights {text}: give {} finite numbers",
                    names.len()
                )),
            }
        }
        ensure!(faults.is_empty(), usage(faults.join("; ")));
        let none = self.lora_weights.is_empty() && self.answering.route.is_none();
        match (self.pairs.or(none.then_some(5)), names.len()) {
            (Some(pairs), 2) => {
                let weight = |i: u64| 1.0 - i as f64 / (pairs - 1) as f64;
                let pair = |i| self.mixture(vec![weight(i), weight(pairs - 1 - i)]);
                points.extend((0..pairs).map(pair));
            }
            (Some(_), count) => {
                let message =
                    format!("{count} adapters are no pair: give --lora-weights for each point");
                return Err(usage(message));
            }
            (None, _) => {}
        }
        if let Some(router) = &self.answering.route {
            points.push(self.routed(router));
        }
        let mut seen = Vec::new();
        points.retain(|point| {
            let new = !seen.contains(&point.weights);
            seen.push(point.weights.clone());
            new
        });
        Ok(points)
    }

    /// All adapters, each with its weight.
    fn mixture(&self, weights: Vec<f64>) -> Point {
        let (loras, fields) = (&self.answering.loras, &self.rows.fields);
        let flags = shell(&[loras.flags(&weights), fields.flags()].concat());
        Point::mixture(&loras.0.names(), weights, flags)
    }

    /// Routing by the file `router`.
    fn routed(&self, router: &Path) -> Point {
        let (loras, fields) = (&self.answering.loras, &self.rows.fields);
        let mut flags = vec!["--route".to_owned(), router.display().to_string()];
        flags.extend(self.answering.routing.flags());
        flags.extend(fields.flags());
        flags.extend(loras.flags(&vec![1.0; loras.0.names().len()]));
        Point::routed(shell(&flags))
    }
}

/// The words as a shell reads them.
fn shell(words: &[String]) -> String {
    let words = words.iter().map(String::as_str);
    // Only a NUL byte cannot be quoted, and no command line has one.
    shlex::try_join(words).unwrap_or_default()
}
