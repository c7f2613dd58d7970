//! `factory runs show`

use super::{Runs, shown};
use crate::cli::{plain, say};
use crate::eval::judge::Verdict;
use crate::recipe::listing::{State, state};
use crate::recipe::lock;
use crate::recipe::records::{self, Config, Dataset, Decision, Validity};
use crate::recipe::status::{Phase, Status};
use anyhow::Result;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// One page about a run: what it is, where it stands, its gates, its decision.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run's folder or name.
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

pub fn run(args: &Args, runs: &Runs) -> Result<()> {
    let folder = runs.find(&args.run)?;
    let status = Status::read(&folder)?;
    for line in page(&folder, &status)? {
        say(plain(&line))?;
    }
    Ok(())
}

fn page(folder: &Path, status: &Status) -> Result<Vec<String>> {
    let mut page = vec![format!("run        {}", status.run_id)];
    page.push(format!("folder     {}", folder.display()));
    page.push(standing(folder, status)?);
    let links = [
        ("parent", &status.parent_run_id),
        ("successor", &status.successor_run_id),
    ];
    page.extend(
        links
            .into_iter()
            .filter_map(|(what, id)| Some(format!("{what:<10} {}", id.as_ref()?))),
    );
    if let Some(config) = there::<Config>(folder, records::CONFIG)? {
        page.push(format!("target     {}", config.target));
        page.extend(config.owner_goal.map(|goal| format!("goal       {goal}")));
        page.push(format!("base       {}", config.base_model.id));
        page.push(format!("candidate  {}", config.candidate.method));
        page.extend(
            config
                .candidate
                .training_command
                .map(|command| format!("training   {command}")),
        );
    }
    if let Some(Dataset { counts, .. }) = there(folder, records::DATASET)? {
        page.push(format!(
            "data       {} training rows, {} held out, {} dropped",
            counts.train_rows, counts.heldout_rows, counts.dropped_rows
        ));
    }
    for verdict in there::<Vec<Verdict>>(folder, records::GATES)?
        .into_iter()
        .flatten()
    {
        page.extend(gate(&verdict));
    }
    if let Some(validity) = there::<Validity>(folder, records::VALIDITY)? {
        page.extend(
            validity
                .known_limitations
                .iter()
                .map(|text| format!("note       {text}")),
        );
    }
    if status.phase == Phase::Decided {
        let decision: Decision = records::read(folder, records::DECISION)?;
        page.push(format!(
            "decision   {}: {}",
            decision.decision, decision.reason
        ));
        page.extend(decision.lesson.map(|lesson| format!("lesson     {lesson}")));
        page.push(format!("next       {}", decision.next_action));
        page.extend(decision.overruled.map(|overruled| {
            format!(
                "overruled  by {} at {}; proposed was {}: {}",
                overruled.by, overruled.date, overruled.proposed, overruled.proposed_reason
            )
        }));
    }
    Ok(page)
}

/// Where the run is, since when, and how it came there.
fn standing(folder: &Path, status: &Status) -> Result<String> {
    let mut line = format!(
        "phase      {} since {} (revision {})",
        status.phase, status.updated_at, status.revision
    );
    let command = status.last_transition.command.as_deref();
    match state(folder, status)? {
        State::Running => line += &format!(", {}", lock::holder(folder)?.unwrap_or_default()),
        State::Stale => line += ", stale: nothing has changed for a day",
        State::Interrupted => line += ", no process works on it",
        State::Final | State::Unreadable => {}
    }
    if let (true, Some(command)) = (status.phase.is_live(), command) {
        line += &format!("; {command} goes on");
    }
    if let Some(failure) = &status.failure {
        line += &format!(": {}: {}", failure.code, failure.summary);
    }
    Ok(line)
}

fn gate(verdict: &Verdict) -> Vec<String> {
    let found = shown(&verdict.metric, verdict.value, verdict.interval, verdict.n);
    let result = if verdict.passed { "pass" } else { "fail" };
    let mut lines = vec![format!("gate       {} {result}: {found}", verdict.name)];
    for condition in &verdict.conditions {
        let mark = if condition.passed { "met" } else { "missed" };
        lines.push(format!("             {}: {mark}", condition.what));
    }
    if let Some(baseline) = &verdict.baseline {
        let found = shown("baseline", baseline.value, baseline.interval, baseline.n);
        let paired = verdict.paired.as_ref().map_or(String::new(), |paired| {
            format!(
                ", {:+.3} p={:.4} gained={} lost={}",
                paired.difference, paired.p, paired.gained, paired.lost
            )
        });
        lines.push(format!("             {found}{paired}"));
    }
    lines
}

/// A record that is there.
fn there<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>> {
    match folder.join(name).exists() {
        true => records::read(folder, name).map(Some),
        false => Ok(None),
    }
}
