//! What a run is in a few facts, for a table of runs.

use super::identity::run_id;
use super::lock;
use super::place::folders;
use super::records::{self, Choice, Decision};
use super::status::{Phase, Status};
use crate::eval::judge::{Role, Verdict};
use anyhow::Result;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    pub run_id: String,
    pub folder: PathBuf,
    /// `null` where the run cannot be read, and `fault` says why.
    pub phase: Option<Phase>,
    pub state: State,
    pub decision: Option<Choice>,
    /// The verdict on the primary gate.
    pub primary: Option<Verdict>,
    pub parent: Option<String>,
    pub updated_at: Option<String>,
    pub fault: Option<String>,
}

/// Whether somebody works on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing is to be done.
    Final,
    /// A process works on it.
    Running,
    /// No process works on it: the last one ended.
    Interrupted,
    /// It is live, and nothing has changed for a day.
    Stale,
    /// It cannot be read.
    Unreadable,
}

impl Listed {
    /// The facts of the run in `folder`.
    pub fn of(folder: &Path) -> Self {
        let mut listed = Self {
            run_id: run_id(folder).unwrap_or_default(),
            folder: folder.to_owned(),
            phase: None,
            state: State::Unreadable,
            decision: None,
            primary: None,
            parent: None,
            updated_at: None,
            fault: None,
        };
        if let Err(error) = listed.fill() {
            listed.fault = Some(format!("{error:#}"));
        }
        listed
    }

    fn fill(&mut self) -> Result<()> {
        let status = Status::read(&self.folder)?;
        self.phase = Some(status.phase);
        self.state = state(&self.folder, &status)?;
        self.parent = status.parent_run_id;
        self.updated_at = Some(status.updated_at);
        if self.folder.join(records::GATES).exists() {
            let verdicts: Vec<Verdict> = records::read(&self.folder, records::GATES)?;
            let primary = verdicts
                .iter()
                .find(|verdict| verdict.role == Role::Primary);
            self.primary = primary.or(verdicts.first()).cloned();
        }
        // Before that it is a proposal at most.
        if status.phase == Phase::Decided {
            let decision: Decision = records::read(&self.folder, records::DECISION)?;
            self.decision = Some(decision.decision);
        }
        Ok(())
    }
}

/// Whether somebody works on the run with this status.
pub fn state(folder: &Path, status: &Status) -> Result<State> {
    Ok(match status.phase.is_live() {
        false => State::Final,
        true if status.is_stale() => State::Stale,
        true if lock::holder(folder)?.is_some() => State::Running,
        true => State::Interrupted,
    })
}

/// The runs in a folder, by their dates.
pub fn all(runs: &Path) -> Result<Vec<Listed>> {
    let folders = folders(runs)?;
    Ok(folders.iter().map(|folder| Listed::of(folder)).collect())
}
