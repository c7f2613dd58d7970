//! `factory sweep`: mixtures of adapters, and routing between them, against gates; the base is loaded once.

mod outcome;
mod plot;

use super::answering::{AnsweringArgs, Loaded};
use super::rules::RulesArgs;
use super::{UsageError, note, route, say, sql_worker};
use crate::adapters::bank::Mixture;
use crate::answering::rows::named;
use crate::data::record;
use crate::eval::gates::{self, Gate, pareto};
use crate::generation::sampler::SamplerConfig;
use crate::generation::sequence::{Answer, Finish};
use crate::router::Decision;
use crate::run::folder::{RunFolder, default_path};
use anyhow::{Result, ensure};
use outcome::{Measured, Outcome, Point};
use std::path::PathBuf;
use std::time::Duration;

/// Measure weighted mixtures of adapters, and routing between them, on gates.
#[derive(clap::Args)]
pub struct Args {
    /// Gates (TOML): [[gate]] tables of name, data, mode, metric, min and db_dir.
    #[arg(long, value_name = "FILE")]
    gates: PathBuf,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    answering: AnsweringArgs,
    /// A point: one weight for each --lora, by comma (repeatable).
    #[arg(long, value_name = "W,W")]
    weights: Vec<String>,
    /// Points of two adapters whose weights sum to 1, evenly apart [default: 5, without --weights and --route].
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
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    args.answering.check()?;
    let points = args.points()?;
    let timeout = Duration::from_millis(args.timeout_ms);
    let mut gates = gates::read(
        &args.gates,
        &sql_worker::command()?,
        timeout,
        args.rules.get(),
    )?;
    let out = args.out.clone().unwrap_or_else(|| {
        let stem = args.gates.file_stem().unwrap_or_default().to_string_lossy();
        default_path("sweep", &stem)
    });
    let folder = RunFolder::create(&out)?;
    let loaded = args.answering.load()?;
    let sets = sets(&args, &gates, &loaded)?;

    let subset = |gate: &Gate| -> Vec<usize> {
        let all = gate.examples.len();
        let some = args.limit.map_or(all, |limit| all.min(limit as usize));
        (0..some).map(|i| i * all / some).collect()
    };
    let proxy: Vec<Vec<usize>> = gates.iter().map(subset).collect();
    let mut measured = Vec::new();
    for point in &points {
        let mut found = Measured::new(gates.len());
        measure(point, &proxy, &loaded, &sets, &mut gates, &mut found)?;
        measured.push(found);
    }
    let rest = |gate: usize| {
        let all = 0..gates[gate].examples.len();
        all.filter(|row| proxy[gate].binary_search(row).is_err())
            .collect()
    };
    let rest: Vec<Vec<usize>> = (0..gates.len()).map(rest).collect();
    if rest.iter().any(|rows| !rows.is_empty()) {
        let values: Vec<_> = measured.iter().map(|found| found.values(&gates)).collect();
        let front = pareto(&values);
        note(format_args!(
            "{} of {} points go on to all rows",
            front.iter().filter(|on| **on).count(),
            points.len()
        ));
        for ((point, found), _) in points
            .iter()
            .zip(&mut measured)
            .zip(front)
            .filter(|(_, on)| *on)
        {
            measure(point, &rest, &loaded, &sets, &mut gates, found)?;
        }
    }
    let outcome = Outcome::of(points, measured, &gates);
    outcome.write(&folder, &gates)?;
    folder.write("plot.svg", plot::svg(&outcome, &gates)?.as_bytes())?;
    folder.finish()?;
    say(outcome.table(&gates).trim_end())?;
    say(outcome.verdict(&gates))?;
    say(format_args!("wrote {}", out.display()))
}

/// What a gate's rows are asked.
struct Set {
    /// Tokens of each row.
    prompts: Vec<Vec<u32>>,
    /// What the router says of each row; empty without one.
    decisions: Vec<Decision>,
}

fn sets(args: &Args, gates: &[Gate], loaded: &Loaded) -> Result<Vec<Set>> {
    let router = args.answering.router(loaded)?;
    let columns = args.answering.fields.columns()?;
    let mut wanted = columns.wanted();
    let mut sets = Vec::new();
    for gate in gates {
        let lines = gate.lines();
        lines.iter().for_each(|line| wanted.look(line));
        let turns = record::prompts(&gate.data, &lines, &columns)?;
        let routing = &args.answering.routing;
        let decisions = match &router {
            Some(router) => routing.decide(router, &gate.data, &lines, &turns)?,
            None => Vec::new(),
        };
        if router.is_some() {
            note(format_args!(
                "{}: {}",
                gate.name,
                route::summary(&decisions)
            ));
        }
        sets.push(Set {
            prompts: loaded.prompts(&gate.data, &lines, &turns)?,
            decisions,
        });
    }
    wanted.refuse(&args.gates)?;
    Ok(sets)
}

/// Answers some rows of every gate in one pass, and scores them.
fn measure(
    point: &Point,
    rows: &[Vec<usize>],
    loaded: &Loaded,
    sets: &[Set],
    gates: &mut [Gate],
    found: &mut Measured,
) -> Result<()> {
    let (mut prompts, mut decisions) = (Vec::new(), Vec::new());
    for (set, rows) in sets.iter().zip(rows) {
        prompts.extend(rows.iter().map(|&row| set.prompts[row].clone()));
        if point.weights.is_none() {
            decisions.extend(rows.iter().map(|&row| set.decisions[row].clone()));
        }
    }
    if prompts.is_empty() {
        return Ok(());
    }
    let adapters = match &point.weights {
        None => Some(loaded.routed(&decisions)),
        Some(weights) => {
            let own = loaded.mixture.0.iter().zip(weights);
            let parts = own.map(|(&(member, own), weight)| (member, own * weight));
            loaded.mixed(Mixture(parts.collect()))
        }
    };
    let engine = loaded.engine(adapters, SamplerConfig::default());
    loaded.check_memory(&engine, &prompts)?;
    let mut answers = engine.generate(&prompts)?.into_iter();
    for (at, (gate, rows)) in gates.iter_mut().zip(rows).enumerate() {
        let answers: Vec<_> = rows.iter().copied().zip(answers.by_ref()).collect();
        let broken = answers
            .iter()
            .filter(|(_, answer)| answer.finish == Finish::Error);
        let broken: Vec<String> = broken
            .map(|(row, _)| gate.examples[*row].place(&gate.data))
            .collect();
        if !broken.is_empty() {
            note(format_args!(
                "warning: {}: {}: no answer, and so not right, for logits that are no numbers: {}",
                point.name,
                gate.name,
                named(&broken)
            ));
        }
        // Without an answer a row is not right.
        let text = |(row, answer): (usize, Answer)| (row, answer.text.unwrap_or_default());
        found.add(
            at,
            gate.score(&answers.into_iter().map(text).collect::<Vec<_>>())?,
        );
    }
    note(format_args!("{}: {}", point.name, found.line(gates)));
    Ok(())
}

impl Args {
    /// The points of the command line, in its order; routing last.
    fn points(&self) -> Result<Vec<Point>> {
        let names = self.answering.loras.names();
        let usage = |message: String| anyhow::Error::from(UsageError(message));
        ensure!(
            !names.is_empty(),
            usage("give adapters: --lora [NAME=]A --lora [NAME=]B".to_owned())
        );
        let mut points = Vec::new();
        let mut faults = Vec::new();
        for text in &self.weights {
            let weights: Vec<Option<f64>> = text
                .split(',')
                .map(|w| w.trim().parse().ok().filter(|w: &f64| w.is_finite()))
                .collect();
            let count = weights.len();
            match weights.into_iter().collect::<Option<Vec<f64>>>() {
                Some(weights) if count == names.len() => {
                    points.push(Point::mixture(&self.answering, weights))
                }
                _ => faults.push(format!(
                    "--weights {text}: give {} finite numbers",
                    names.len()
                )),
            }
        }
        ensure!(faults.is_empty(), usage(faults.join("; ")));
        let none = self.weights.is_empty() && self.answering.route.is_none();
        match (self.pairs.or(none.then_some(5)), names.len()) {
            (Some(pairs), 2) => {
                let weight = |i: u64| 1.0 - i as f64 / (pairs - 1) as f64;
                let pair =
                    |i| Point::mixture(&self.answering, vec![weight(i), weight(pairs - 1 - i)]);
                points.extend((0..pairs).map(pair));
            }
            (Some(_), count) => {
                let message =
                    format!("{count} adapters are no pair: give --weights for each point");
                return Err(usage(message));
            }
            (None, _) => {}
        }
        if let Some(router) = &self.answering.route {
            points.push(Point::routed(&self.answering, router));
        }
        let mut seen = Vec::new();
        points.retain(|point| {
            let new = !seen.contains(&point.weights);
            seen.push(point.weights.clone());
            new
        });
        Ok(points)
    }
}
