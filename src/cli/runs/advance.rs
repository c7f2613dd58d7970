//! `factory runs advance`

use super::Runs;
use crate::cli::say;
use crate::recipe::status::{Live, Phase};
use anyhow::Result;
use std::path::PathBuf;

/// Bring a run to another phase by hand, where no `factory run` does. A phase can be left out only for a reason.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run's folder or name.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The phase: created, data-ready, training, trained, evaluating, evaluated, packaging, packaged, reporting, decided, or
    /// failed.
    #[arg(long, value_name = "PHASE")]
    to: Phase,
    /// The revision of its run-status.json that this is about, so that nobody changes what another has changed.
    #[arg(long, value_name = "N")]
    revision: u64,
    /// Why.
    #[arg(long, value_name = "TEXT", required_if_eq("to", "failed"))]
    reason: Option<String>,
}

pub fn run(args: &Args, runs: &Runs) -> Result<()> {
    let mut live = Live::open(&runs.find(&args.run)?)?;
    live.expect(args.revision)?;
    let reason = args.reason.as_deref();
    match args.to {
        Phase::Failed => live.fail("person", "ended-by-hand", reason.unwrap_or_default())?,
        to => live.advance(to, "person", None, reason)?,
    }
    let status = live.status();
    say(format_args!(
        "{}: {} (revision {})",
        status.run_id, status.phase, status.revision
    ))
}
