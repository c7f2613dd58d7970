//! `factory gate`: scored candidates against minima and baselines.

use super::{GateFailed, UsageError, plain, say};
use crate::eval::gates::file::{self, Table, is_summary};
use crate::eval::judge::{self, GateSpec, Verdict, numbers};
use crate::eval::paired;
use crate::eval::score;
use crate::eval::stats::shown_p;
use crate::eval::subset;
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Hold scored rows against gates: a minimum, a margin over a baseline, a largest drop.
///
/// Exits with 0 where every gate passes and with 3 where one fails; 1 is a failure to judge, 2 a wrong call.
#[derive(clap::Args)]
pub struct Args {
    /// Many gates (TOML): [[gate]] tables of name, candidate, baseline, mode, metric, min, margin, max_drop, role, where and data.
    ///
    /// `candidate` and `baseline` are rows that `eval-sql --out` wrote, or summaries (.json), whose `metric` is a key such as
    /// modes.factory.execution_accuracy. `where` = { field = "text" } keeps the rows that have these fields in the set `data`.
    /// `db_dir` is read by `factory sweep` alone. Paths are relative to the file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["candidate", "baseline", "mode", "metric", "min", "margin", "max_drop"])]
    gates: Option<PathBuf>,
    /// Rows of the candidate that `eval-sql --out` wrote, or a summary (.json).
    #[arg(long, value_name = "FILE", required_unless_present = "gates")]
    candidate: Option<PathBuf>,
    /// The same of the baseline.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// How the rows were scored [default: the first, or the one with the metric's column].
    #[arg(long)]
    mode: Option<String>,
    /// The metric, such as execution_accuracy or exec_match; a summary's key [default: the mode's first].
    #[arg(long)]
    metric: Option<String>,
    /// The least mean that passes, 0 to 1; the most of a metric that is better when lower (loss, ppl, latency, error, wer, rss).
    #[arg(long, value_name = "X")]
    min: Option<f64>,
    /// How many points above the baseline it must be; in a summary's plain number, its own unit.
    #[arg(long, value_name = "POINTS", requires = "baseline")]
    margin: Option<f64>,
    /// How many points below the baseline it may be.
    #[arg(long, value_name = "POINTS", requires = "baseline")]
    max_drop: Option<f64>,
    /// Print the verdicts as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Write the verdicts as JSON to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Judges and prints.
pub fn run(args: Args) -> Result<()> {
    let gates = args.gates()?;
    if let Some(out) = &args.out {
        let inputs = gates.iter().flat_map(|(_, table)| {
            let paths = [&table.candidate, &table.baseline, &table.data];
            paths.into_iter().flatten().map(PathBuf::as_path)
        });
        let inputs = inputs.chain(args.gates.as_deref());
        check_apart(inputs, [out.as_path()]).map_err(UsageError::of)?;
        check_writable(out)?;
    }
    let (mut verdicts, mut notes) = (Vec::new(), Vec::new());
    for (spec, table) in &gates {
        let (verdict, said) = judged(spec, table)?;
        verdicts.push(verdict);
        notes.extend(said);
    }
    let content = json(&verdicts)?;
    match args.json {
        true => say(String::from_utf8_lossy(&content).trim_end())?,
        false => {
            say(table(&verdicts).trim_end())?;
            notes.iter().try_for_each(say)?;
        }
    }
    if let Some(out) = &args.out {
        write_atomic(out, &content)?;
        if !args.json {
            say(format_args!("wrote {}", out.display()))?;
        }
    }
    let failed: Vec<_> = verdicts.iter().filter(|verdict| !verdict.passed).collect();
    let names: Vec<_> = failed.iter().map(|verdict| &*verdict.name).collect();
    ensure!(
        failed.is_empty(),
        GateFailed(format!(
            "{} of {} gates not passed: {}",
            failed.len(),
            verdicts.len(),
            names.join(", ")
        ))
    );
    Ok(())
}

impl Args {
    /// Each gate with the files that it is about.
    fn gates(&self) -> Result<Vec<(GateSpec, Table)>> {
        let checked = |table: Table, first: bool| {
            let spec = table.spec(first)?;
            ensure!(table.candidate.is_some(), "give candidate, its scored rows");
            spec.check_baseline(table.baseline.is_some())?;
            ensure!(
                table.data.is_some() || spec.only.is_empty(),
                "give data, the set whose rows have the fields of `where`"
            );
            Ok((spec, table))
        };
        if let Some(path) = &self.gates {
            return file::each(path, checked);
        }
        let table = Table {
            name: "gate".to_owned(),
            mode: self.mode.clone(),
            metric: self.metric.clone(),
            min: self.min,
            margin: self.margin,
            max_drop: self.max_drop,
            candidate: self.candidate.clone(),
            baseline: self.baseline.clone(),
            ..Table::default()
        };
        Ok(vec![checked(table, true).map_err(UsageError::of)?])
    }
}

/// The verdict, and what it leaves out: rows that could not be paired, or have no such verdict.
fn judged(spec: &GateSpec, table: &Table) -> Result<(Verdict, Vec<String>)> {
    let [candidate, baseline] = [&table.candidate, &table.baseline].map(Option::as_deref);
    let candidate = candidate.context("a gate that was checked")?;
    let places = [Some(candidate), baseline].into_iter().flatten();
    let places: Vec<_> = places.map(|path| path.display().to_string()).collect();
    let about = || places.join(" and ");
    if spec.mode == numbers::MODE {
        let baseline = baseline.map(summary).transpose()?;
        let verdict = numbers::judge(spec, &summary(candidate)?, baseline.as_ref());
        return Ok((verdict.with_context(about)?, Vec::new()));
    }
    let rows = |path: &Path| match &table.data {
        Some(set) => subset::of(score::read(path)?, set, &spec.only),
        None => score::read(path),
    };
    let candidate = rows(candidate)?;
    let baseline = baseline.map(rows).transpose()?;
    let verdict = judge::judge(spec, &candidate, baseline.as_deref()).with_context(about)?;
    let column = judge::metric(&spec.mode, &spec.metric)?.column;
    let mut notes = Vec::new();
    if let Some(rows) = baseline.filter(|_| verdict.paired.is_none()) {
        let why = paired::compare(&rows, &candidate, column).err();
        let why = why.map_or(String::new(), |error| format!(": {error:#}"));
        notes.push(format!("{}: no paired test{}", spec.name, plain(&why)));
    }
    if verdict.n < candidate.len() {
        let left_out = candidate.len() - verdict.n;
        notes.push(format!(
            "{}: {left_out} of {} rows have no \"{column}\" and are left out",
            spec.name,
            candidate.len()
        ));
    }
    Ok((verdict, notes))
}

fn summary(path: &Path) -> Result<Value> {
    ensure!(
        is_summary(path),
        "{}: a summary (.json) is held against a summary",
        path.display()
    );
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{}: not JSON", path.display()))
}

/// A Markdown table, a line for each gate.
fn table(verdicts: &[Verdict]) -> String {
    let mut text =
        "| gate | metric | candidate | baseline | difference | asked | |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for verdict in verdicts {
        let baseline = verdict
            .baseline
            .map(|base| shown(base.value, base.passed_rows, base.n, base.interval));
        let difference = match (&verdict.paired, &verdict.baseline) {
            (Some(pairs), _) => format!(
                "{:+.3}, gained {} lost {}, p {}",
                pairs.difference,
                pairs.gained,
                pairs.lost,
                shown_p(pairs.p)
            ),
            (None, Some(base)) => format!("{:+.3}", verdict.value - base.value),
            (None, None) => "-".to_owned(),
        };
        let asked: Vec<_> = verdict
            .conditions
            .iter()
            .map(|asked| match asked.wanted {
                None => format!("{}: the baseline has no such metric", asked.what),
                Some(wanted) if asked.what.starts_with("baseline") => {
                    format!("{} = {wanted:.3}{}", asked.what, mark(asked.passed))
                }
                Some(_) => format!("{}{}", asked.what, mark(asked.passed)),
            })
            .collect();
        text += &format!(
            "| {} | {} | {} | {} | {difference} | {} | {} |\n",
            verdict.name,
            plain(&verdict.metric),
            shown(
                verdict.value,
                verdict.passed_rows,
                verdict.n,
                verdict.interval
            ),
            baseline.unwrap_or_else(|| "-".to_owned()),
            asked.join(", "),
            if verdict.passed { "pass" } else { "FAIL" }
        );
    }
    text
}

fn mark(passed: bool) -> &'static str {
    if passed { "" } else { " ✗" }
}

/// `0.860 (43/50) [0.738, 0.930]`; a plain number alone.
fn shown(value: f64, passed: usize, n: usize, [low, high]: [f64; 2]) -> String {
    match n {
        0 => format!("{value}"),
        _ => format!("{value:.3} ({passed}/{n}) [{low:.3}, {high:.3}]"),
    }
}
