//! What is to be done with each stage of a plan, and why.

use super::commands::Resume;
use super::done::Done;
use super::hashes::Hashes;
use super::key::VERSION;
use super::plan::Plan;
use super::planned::Planned;
use crate::run::files::partial;
use crate::run::training_run;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What is to be done with a stage.
#[derive(Clone, Debug)]
pub enum State {
    /// Nothing: it is done.
    Cached(Box<Done>),
    /// It was interrupted and goes on where it was.
    GoOn,
    /// It runs from its beginning, because of this.
    Run(String),
    /// It runs from its beginning though it is done, as was asked.
    Again,
    /// Nothing: neither chosen nor needed.
    LeftOut,
}

/// Which stages are meant, by their names or those of one combination.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// These and what is behind them run again though they are done.
    pub from: Vec<String>,
    /// These alone, with what they need that is not done.
    pub only: Vec<String>,
}

/// The state of each stage of a plan. Errors name a choice that is no stage.
pub fn states(plan: &Plan, choice: &Choice) -> Result<Result<Vec<State>, String>> {
    let mut places = Vec::new();
    for names in [&choice.from, &choice.only] {
        let mut chosen = BTreeSet::new();
        for name in names {
            match plan.named(name) {
                Ok(found) => chosen.extend(found),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        places.push(chosen);
    }
    let again = plan.behind(&places[0]);
    let former = Done::all(&plan.folder)?;
    let mut hashes = Hashes::open(&plan.folder);
    let mut states: Vec<State> = Vec::new();
    for (at, stage) in plan.stages.iter().enumerate() {
        let state = match (done(stage, &mut hashes), again.contains(&at)) {
            (Some(done), false) => State::Cached(Box::new(done)),
            (Some(_), true) => State::Again,
            (None, _) if goes_on(stage) => State::GoOn,
            (None, _) => State::Run(why(plan, stage, &states, &former)),
        };
        states.push(state);
    }
    if !choice.only.is_empty() {
        let mut needed = places[1].clone();
        for (at, stage) in plan.stages.iter().enumerate().rev() {
            let cached = matches!(states[at], State::Cached(_));
            match needed.contains(&at) {
                true if !cached => needed.extend(&stage.needs),
                false if !cached => states[at] = State::LeftOut,
                _ => {}
            }
        }
    }
    Ok(Ok(states))
}

/// What a stage left, if it is done and its outputs are there as it left them; by the names that the plan has for both.
pub fn done(stage: &Planned, hashes: &mut Hashes) -> Option<Done> {
    let done = Done::read(&stage.folder)?;
    let mut there = |(flag, path): (&String, &PathBuf)| {
        let same = |own: &String| hashes.of(path).is_ok_and(|hashed| hashed.sha256 == *own);
        path.exists() && done.sha256.get(flag).is_none_or(same)
    };
    let whole = done.key == stage.key && stage.outputs.iter().all(&mut there);
    whole.then(|| Done {
        stage: stage.name.clone(),
        outputs: stage.outputs.clone(),
        ..done
    })
}

/// Whether an interrupted stage left what it can go on from.
pub fn goes_on(stage: &Planned) -> bool {
    let main = &stage.outputs["main"];
    match stage.resume {
        Resume::Never => false,
        Resume::Flag => partial(main).is_file(),
        Resume::Folder => training_run::has_state(main),
    }
}

/// Why a stage is not done, in a word or two: against the last one of its name.
fn why(plan: &Plan, stage: &Planned, states: &[State], former: &[Done]) -> String {
    if Done::read(&stage.folder).is_some_and(|done| done.key == stage.key) {
        return "its outputs are gone, or others".to_owned();
    }
    if stage.folder.exists() {
        return "not finished".to_owned();
    }
    let behind = stage
        .needs
        .iter()
        .find(|need| !matches!(states[**need], State::Cached(_)));
    let Some(last) = former.iter().rev().find(|done| done.stage == stage.name) else {
        return "new".to_owned();
    };
    if last.version != VERSION {
        return format!("made by version {}", last.version);
    }
    let changed = stage.inputs.iter().find(|(path, hashed)| {
        let mut before = last.inputs.iter().filter(|input| input.path == *path);
        before.any(|input| input.sha256 != hashed.sha256)
    });
    match (changed, behind) {
        (Some((path, _)), _) => format!("{} changed", path.display()),
        (None, Some(need)) => format!("behind {}", plan.stages[*need].name),
        (None, None) => "its flags changed".to_owned(),
    }
}
