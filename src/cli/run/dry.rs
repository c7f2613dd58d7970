//! What would be done, for people and for programs.

use super::super::{plain, say};
use crate::recipe::estimate::Estimate;
use crate::recipe::plan::Plan;
use crate::recipe::process::quoted;
use crate::recipe::state::State;
use crate::run::words::size;
use anyhow::Result;
use serde_json::json;

/// Prints what would be done.
pub fn table(plan: &Plan, states: &[State], estimates: &[Estimate]) -> Result<()> {
    let state = |state: &State| match state {
        State::Cached(_) => "done".to_owned(),
        State::GoOn => "to go on".to_owned(),
        State::Run(why) => format!("to run: {}", plain(why)),
        State::Again => "to run: --from".to_owned(),
        State::LeftOut => "left out".to_owned(),
    };
    let mut rows = vec![["stage", "state", "time", "memory", "command"].map(str::to_owned)];
    for ((stage, own), estimate) in plan.stages.iter().zip(states).zip(estimates) {
        let waits = matches!(own, State::GoOn | State::Run(_) | State::Again);
        let known = |value: Option<String>| match (value, waits) {
            (Some(value), _) => format!("{value} ({})", estimate.source),
            (None, true) => "unknown".to_owned(),
            (None, false) => String::new(),
        };
        rows.push([
            stage.name.clone(),
            state(own),
            known(estimate.seconds.map(|seconds| format!("{seconds:.1} s"))),
            known(estimate.memory_mb.map(|mb| size((mb * 1e6) as usize))),
            format!("factory {}", quoted(&stage.command)),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..4).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}  "));
        say(format_args!("{}{}", cells.collect::<String>(), row[4]))?;
    }
    for run in &plan.runs {
        let gates: Vec<&str> = run.gates.iter().map(|gate| &*gate.spec.name).collect();
        say(plain(&format!(
            "run {}: gates {}",
            run.name,
            gates.join(", ")
        )))?;
    }
    Ok(())
}

/// Prints it as JSON: the stages in an order in which they can run.
pub fn json(plan: &Plan, states: &[State], estimates: &[Estimate]) -> Result<()> {
    let stages = plan.stages.iter().zip(states).zip(estimates);
    let stages = stages.map(|((stage, state), estimate)| {
        let needs: Vec<&str> = stage
            .needs
            .iter()
            .map(|at| &*plan.stages[*at].name)
            .collect();
        json!({
            "name": stage.name,
            "key": stage.key,
            "state": match state {
                State::Cached(_) => "done",
                State::GoOn => "to go on",
                State::Run(_) | State::Again => "to run",
                State::LeftOut => "left out",
            },
            "needs": needs,
            "command": stage.expected().command,
            "folder": stage.folder,
            "outputs": stage.outputs,
            "seconds": estimate.seconds,
            "memory_mb": estimate.memory_mb,
        })
    });
    let runs: Vec<&str> = plan.runs.iter().map(|run| &*run.name).collect();
    let whole = json!({"stages": stages.collect::<Vec<_>>(), "runs": runs});
    say(serde_json::to_string_pretty(&whole)?)
}
