//! `factory runs reconcile`

use super::Runs;
use crate::cli::{UsageError, plain, say};
use crate::recipe::listing::{Listed, State, all};
use crate::recipe::status::{Live, Status};
use anyhow::{Result, bail};
use std::path::PathBuf;

/// Name the runs that no process works on any more, and how each goes on. With --fail they are ended as failed: a stale one,
/// which has not changed for a day, only if it is named.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs, by folder or name [default: all].
    #[arg(value_name = "RUN")]
    run: Vec<PathBuf>,
    /// End them as failed. This is final: what follows is a new run.
    #[arg(long)]
    fail: bool,
    /// Why.
    #[arg(long, value_name = "TEXT", requires = "fail")]
    reason: Option<String>,
}

pub fn run(args: &Args, runs: &Runs) -> Result<()> {
    let named = !args.run.is_empty();
    let listed = match named {
        false => all(&runs.0)?,
        true => {
            let found = args.run.iter().map(|run| runs.find(run));
            let found: Vec<PathBuf> = found.collect::<Result<_>>()?;
            found.iter().map(|folder| Listed::of(folder)).collect()
        }
    };
    let (mut open, mut unreadable) = (0, 0);
    for run in &listed {
        let id = &run.run_id;
        match run.state {
            State::Final => continue,
            State::Running => say(plain(&format!("{id}: a process works on it")))?,
            State::Unreadable => {
                unreadable += 1;
                say(plain(&format!(
                    "{id}: {}",
                    run.fault.as_deref().unwrap_or_default()
                )))?;
            }
            State::Stale if !named => say(plain(&format!("{id}: stale; {}", how(run)?)))?,
            State::Stale | State::Interrupted if args.fail => fail(args, run)?,
            State::Stale | State::Interrupted => {
                say(plain(&format!("{id}: interrupted; {}", how(run)?)))?
            }
        }
        open += 1;
    }
    match (open, unreadable) {
        (0, _) => say("no run is open"),
        (_, 0) => Ok(()),
        (_, count) => bail!("{count} runs cannot be read"),
    }
}

/// How a run goes on.
fn how(run: &Listed) -> Result<String> {
    let status = Status::read(&run.folder)?;
    let go_on = match status.last_transition.command {
        Some(command) => format!("go on with {command}"),
        None => "go on with the command that began it".to_owned(),
    };
    Ok(format!(
        "{go_on}, or end it with factory runs reconcile {} --fail",
        run.folder.display()
    ))
}

fn fail(args: &Args, run: &Listed) -> Result<()> {
    let reason = match &args.reason {
        Some(reason) if reason.trim().is_empty() => {
            return Err(UsageError("--reason is empty: say why".to_owned()).into());
        }
        Some(reason) => reason.clone(),
        None => "the process that worked on it ended".to_owned(),
    };
    let mut live = Live::open(&run.folder)?;
    live.fail("factory runs reconcile", "process-ended", &reason)?;
    say(plain(&format!("{}: failed, {reason}", run.run_id)))
}
