//! `factory runs list`

use super::{Runs, shown};
use crate::cli::{plain, say};
use crate::recipe::clock::age;
use crate::recipe::listing::{self, Listed, State};
use crate::run::files::json;
use anyhow::Result;
use std::io::Write;

/// A table of the runs, oldest first: phase, decision, what the primary gate found, parent, age.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// The columns.
const HEADINGS: [&str; 6] = ["run", "phase", "decision", "primary", "parent", "age"];

pub fn run(args: &Args, runs: &Runs) -> Result<()> {
    let listed = listing::all(&runs.0)?;
    if args.json {
        return Ok(std::io::stdout().write_all(&json(&listed)?)?);
    }
    if listed.is_empty() {
        return say(format_args!("{} has no runs", runs.0.display()));
    }
    let mut table = vec![HEADINGS.map(str::to_owned)];
    table.extend(listed.iter().map(row));
    let width = |column: usize| {
        table
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    for row in &table {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        say(plain(line.join("  ").trim_end()))?;
    }
    for run in listed {
        if let Some(fault) = run.fault {
            say(plain(&format!("{}: {fault}", run.run_id)))?;
        }
    }
    Ok(())
}

fn row(run: &Listed) -> [String; 6] {
    let none = || "-".to_owned();
    let state = match run.state {
        State::Final | State::Running => "",
        State::Interrupted => " (interrupted)",
        State::Stale => " (stale)",
        State::Unreadable => "unreadable",
    };
    let phase = run.phase.map_or(String::new(), |phase| phase.to_string());
    let primary = run.primary.as_ref().map(|found| {
        let value = shown(&found.name, found.value, found.interval, found.n);
        format!("{} {value}", if found.passed { "+" } else { "-" })
    });
    let ago = run.updated_at.as_deref().and_then(|time| age(time).ok());
    [
        run.run_id.clone(),
        phase + state,
        run.decision
            .map_or_else(none, |decision| decision.to_string()),
        primary.unwrap_or_else(none),
        run.parent.clone().unwrap_or_else(none),
        ago.map_or_else(none, short),
    ]
}

/// `3 d`, `5 h`, `12 min`
fn short(age: time::Duration) -> String {
    match (age.whole_days(), age.whole_hours(), age.whole_minutes()) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, ..) => format!("{days} d"),
    }
}
