//! How long a stage will take and how much memory, by what it or its like took before.

use super::done::Done;
use super::plan::Plan;
use super::planned::Planned;
use super::process::PARENT;
use super::state::State;
use crate::run::words::bytes;
use anyhow::Result;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is known before a stage runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    pub seconds: Option<f64>,
    pub memory_mb: Option<f64>,
    /// Where it is from.
    pub source: &'static str,
}

/// Of the stages that are to run, by their places; nothing of the others. A training stage without history whose inputs are
/// there is asked itself, by `program`.
pub fn estimates(plan: &Plan, states: &[State], program: &Path) -> Result<Vec<Estimate>> {
    let former = Done::all(&plan.folder)?;
    let of = |(stage, state): (&Planned, &State)| match state {
        State::Cached(_) | State::LeftOut => Estimate::default(),
        State::GoOn | State::Run(_) | State::Again => {
            let own = former.iter().rev().find(|done| done.stage == stage.name);
            let words = stage.words.len();
            let same = |done: &&Done| done.command.get(1..=words) == Some(&stage.words[..]);
            match (own, former.iter().rev().find(same)) {
                (Some(done), _) => last(done, "last time"),
                (None, Some(done)) => last(done, "its like, last time"),
                (None, None) => asked(stage, program).unwrap_or_default(),
            }
        }
    };
    Ok(plan.stages.iter().zip(states).map(of).collect())
}

fn last(done: &Done, source: &'static str) -> Estimate {
    Estimate {
        seconds: Some(done.seconds),
        memory_mb: done.peak_rss_mb,
        source,
    }
}

/// What `sft --dry-run` says of a stage; none of another command, or where it cannot say it.
fn asked(stage: &Planned, program: &Path) -> Option<Estimate> {
    let ready = stage.behind.iter().all(|path| path.exists());
    if stage.words != ["sft"] || !ready {
        return None;
    }
    let output = Command::new(program)
        .args(&stage.command)
        .arg("--dry-run")
        .env(PARENT, std::process::id().to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = |what: &str| text.lines().find_map(|line| line.strip_prefix(what));
    // `12.5 s (…)`; `…, 1.55 GB in all`
    let seconds = |said: &str| said.strip_suffix('s')?.trim().parse().ok();
    let time = line("time: ").and_then(|said| said.split(" (").next());
    let memory =
        line("memory: ").and_then(|said| said.strip_suffix(" in all")?.rsplit(", ").next());
    Some(Estimate {
        seconds: time.and_then(seconds),
        memory_mb: memory.and_then(|said| Some(bytes(said).ok()? as f64 / 1e6)),
        source: "sft --dry-run",
    })
}
