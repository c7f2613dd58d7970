//! `factory runs compare`

use super::{Runs, shown};
use crate::cli::{plain, say};
use crate::recipe::compare::{self, Compared};
use crate::run::files::json;
use anyhow::Result;
use std::io::Write;
use std::path::PathBuf;

/// Two runs side by side, gate by gate; with the paired test where they are of the same rows.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run's folder or name.
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Another.
    #[arg(value_name = "B")]
    b: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, runs: &Runs) -> Result<()> {
    let compared = compare::runs(&runs.find(&args.a)?, &runs.find(&args.b)?)?;
    if args.json {
        return Ok(std::io::stdout().write_all(&json(&compared)?)?);
    }
    for (name, side) in [("a", &compared.a), ("b", &compared.b)] {
        let decision = side
            .decision
            .map_or("undecided".to_owned(), |decision| decision.to_string());
        say(plain(&format!("{name}: {} ({decision})", side.run_id)))?;
    }
    for gate in &compared.gates {
        for line in lines(gate) {
            say(plain(&line))?;
        }
    }
    Ok(())
}

fn lines(gate: &Compared) -> Vec<String> {
    let mut lines = vec![format!("gate {}", gate.name)];
    for (name, side) in [("a", &gate.a), ("b", &gate.b)] {
        lines.push(match side {
            Some(verdict) => format!(
                "  {name}: {} {}",
                shown(&verdict.metric, verdict.value, verdict.interval, verdict.n),
                if verdict.passed { "pass" } else { "fail" }
            ),
            None => format!("  {name}: -"),
        });
    }
    lines.push(match (&gate.paired, &gate.unpaired) {
        (Some(paired), _) => format!(
            "  difference={:+.3} p={:.4} gained={} lost={} (exact McNemar)",
            paired.difference,
            paired.p,
            paired.gained.len(),
            paired.lost.len()
        ),
        (None, why) => format!(
            "  no paired test: {}",
            why.as_deref().unwrap_or("only one run has the gate")
        ),
    });
    lines
}
