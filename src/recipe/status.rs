//! A run's lifecycle, `run-status.json`: its phase, how it came there, and what may follow.

use super::clock::{age, now};
use super::identity::{self, Identity};
use super::lock::Lock;
use super::records::{self, Decision};
use crate::run::files::{json, write_atomic};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The file.
pub const FILE: &str = "run-status.json";
const SCHEMA: u32 = 1;
/// Most characters of a failure's summary.
const SUMMARY: usize = 240;
/// Hours without a change from which on a live run is stale.
const STALE_HOURS: i64 = 24;

/// Where a run is. All but the last two are live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Created,
    DataReady,
    Training,
    Trained,
    Evaluating,
    Evaluated,
    Packaging,
    Packaged,
    Reporting,
    Decided,
    Failed,
}

use Phase::*;

impl Phase {
    /// In their order.
    pub const ALL: [Self; 11] = [
        Created, DataReady, Training, Trained, Evaluating, Evaluated, Packaging, Packaged,
        Reporting, Decided, Failed,
    ];

    /// Whether something may follow.
    pub fn is_live(self) -> bool {
        !matches!(self, Decided | Failed)
    }

    /// Whether `to` may follow; where it skips phases, only for a reason.
    fn check(self, to: Self, reason: Option<&str>) -> Result<()> {
        ensure!(
            self.is_live(),
            "{self} is final: a retry is a new run with this one as parent"
        );
        let next = Self::ALL
            .iter()
            .position(|phase| *phase == self)
            .map(|at| Self::ALL[at + 1]);
        let skips = match to {
            Failed => return Ok(()),
            _ if next == Some(to) => return Ok(()),
            Evaluating => matches!(self, Created | DataReady),
            Reporting => matches!(self, Created | DataReady | Trained | Evaluated),
            _ => false,
        };
        ensure!(skips, "{to} cannot follow {self}");
        ensure!(
            reason.is_some_and(|reason| !reason.trim().is_empty()),
            "{to} follows {self} only with a reason"
        );
        Ok(())
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Phase {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let names: Vec<String> = Self::ALL.iter().map(Self::to_string).collect();
        let known = names.iter().position(|name| name == text);
        known
            .map(|at| Self::ALL[at])
            .with_context(|| format!("expected one of {}", names.join(", ")))
    }
}

/// The last change of phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// Who made it, such as `factory run`.
    pub source: String,
    /// The command that goes on from there, or that made it.
    pub command: Option<String>,
    pub reason: Option<String>,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// In a word, such as `stage-failed`.
    pub code: String,
    /// One line of at most 240 characters.
    pub summary: String,
}

/// `run-status.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub schema_version: u32,
    pub run_id: String,
    /// Counts changes: each names the one that it read.
    pub revision: u64,
    pub phase: Phase,
    /// RFC 3339.
    pub updated_at: String,
    pub last_transition: Transition,
    pub parent_run_id: Option<String>,
    pub successor_run_id: Option<String>,
    pub failure: Option<Failure>,
}

impl Status {
    /// Reads a run's status. Errors where the folder is none of a run, or a newer program wrote it.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        ensure!(
            path.exists(),
            "{} is no run folder: it has no {FILE}",
            folder.display()
        );
        let status: Self = records::read(folder, FILE)?;
        let place = path.display();
        if let Some(failure) = &status.failure {
            let summary = &failure.summary;
            ensure!(
                summary.chars().count() <= SUMMARY && !summary.contains('\n'),
                "{place}: failure.summary must be one line of at most {SUMMARY} characters"
            );
        }
        ensure!(
            (status.phase == Failed) == status.failure.is_some(),
            "{place}: phase {} {} a failure",
            status.phase,
            if status.phase == Failed {
                "needs"
            } else {
                "cannot have"
            }
        );
        age(&status.updated_at).with_context(|| format!("{place}: updated_at"))?;
        Ok(status)
    }

    /// Whether it is live and nothing has changed for a day.
    pub fn is_stale(&self) -> bool {
        // A time that cannot be read was refused when the file was.
        let hours = age(&self.updated_at).map_or(0, |age| age.whole_hours());
        self.phase.is_live() && hours >= STALE_HOURS
    }
}

/// A run that this process works on: its lock is held until this is dropped.
#[derive(Debug)]
pub struct Live {
    folder: PathBuf,
    status: Status,
    _lock: Lock,
}

impl Live {
    /// Begins a run in a folder that does not exist yet, or is as an interrupted beginning left it. `command` goes on with it.
    pub fn begin(
        folder: &Path,
        identity: &Identity,
        parent: Option<&str>,
        command: Option<&str>,
    ) -> Result<Self> {
        ensure!(
            identity::is_free(folder),
            "{} exists: a run begins in a folder of its own",
            folder.display()
        );
        let cannot = || format!("cannot write {}", folder.display());
        fs::create_dir_all(folder).with_context(cannot)?;
        let lock = Lock::take(folder)?;
        records::write(folder, identity::FILE, identity)?;
        let status = Status {
            schema_version: SCHEMA,
            run_id: identity::run_id(folder)?,
            revision: 1,
            phase: Created,
            updated_at: now(),
            last_transition: transition("factory run", command, None),
            parent_run_id: parent.map(str::to_owned),
            successor_run_id: None,
            failure: None,
        };
        records::write(folder, FILE, &status)?;
        Ok(Self {
            folder: folder.to_owned(),
            status,
            _lock: lock,
        })
    }

    /// Takes a run that exists, whatever its phase. Errors where another process works on it.
    pub fn open(folder: &Path) -> Result<Self> {
        // Who is no run gets no lock's file.
        Status::read(folder)?;
        let lock = Lock::take(folder)?;
        Ok(Self {
            status: Status::read(folder)?,
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Brings the run to `to`, if that may follow. `decided` needs a valid decision.json.
    pub fn advance(
        &mut self,
        to: Phase,
        source: &str,
        command: Option<&str>,
        reason: Option<&str>,
    ) -> Result<()> {
        let place = self.folder.join(FILE);
        self.status
            .phase
            .check(to, reason)
            .with_context(|| place.display().to_string())?;
        match to {
            Failed => bail!("{}: a failure needs a code and a summary", place.display()),
            Decided => {
                let decision: Decision = records::read(&self.folder, records::DECISION)?;
                if let Some(fault) = decision.faults().first() {
                    let place = self.folder.join(records::DECISION);
                    bail!("{}: {fault}", place.display());
                }
            }
            _ => {}
        }
        self.commit(|status| {
            status.phase = to;
            status.last_transition = transition(source, command, reason);
        })
    }

    /// [`Self::advance`] for a run that goes on: nothing happens where it is there already, or behind.
    pub fn reach(
        &mut self,
        to: Phase,
        source: &str,
        command: Option<&str>,
        reason: Option<&str>,
    ) -> Result<()> {
        match self.status.phase.is_live() && self.status.phase >= to {
            true => Ok(()),
            false => self.advance(to, source, command, reason),
        }
    }

    /// Ends a live run as failed. The summary is made one line of a fitting length.
    pub fn fail(&mut self, source: &str, code: &str, summary: &str) -> Result<()> {
        let place = self.folder.join(FILE);
        let check = self.status.phase.check(Failed, None);
        check.with_context(|| place.display().to_string())?;
        let line: Vec<&str> = summary.split_whitespace().collect();
        let line: String = line.join(" ").chars().take(SUMMARY).collect();
        self.commit(|status| {
            status.phase = Failed;
            status.last_transition = transition(source, None, Some(code));
            status.failure = Some(Failure {
                code: code.to_owned(),
                summary: line,
            });
        })
    }

    /// Notes which run followed this one.
    pub fn succeeded_by(&mut self, run_id: &str) -> Result<()> {
        self.commit(|status| status.successor_run_id = Some(run_id.to_owned()))
    }

    /// Notes that a person changed the decision of a run that stays as it is.
    pub fn overruled(&mut self, command: &str, reason: &str) -> Result<()> {
        self.commit(|status| {
            status.last_transition = transition("person", Some(command), Some(reason));
        })
    }

    /// Errors unless the status is still that of `revision`.
    pub fn expect(&self, revision: u64) -> Result<()> {
        let current = Status::read(&self.folder)?.revision;
        ensure!(
            current == revision,
            "{} is at revision {current}, not {revision}: somebody changed it in between, so read it again",
            self.folder.join(FILE).display()
        );
        Ok(())
    }

    fn commit(&mut self, change: impl FnOnce(&mut Status)) -> Result<()> {
        self.expect(self.status.revision)?;
        let mut next = self.status.clone();
        change(&mut next);
        next.revision += 1;
        next.updated_at = now();
        write_atomic(&self.folder.join(FILE), &json(&next)?)?;
        self.status = next;
        Ok(())
    }
}

fn transition(source: &str, command: Option<&str>, reason: Option<&str>) -> Transition {
    Transition {
        source: source.to_owned(),
        command: command.map(str::to_owned),
        reason: reason.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn begin(folder: &Path) -> Live {
        Live::begin(
            &folder.join("2026-01-02-x"),
            &Identity::default(),
            Some("2026-01-01-x"),
            None,
        )
        .unwrap()
    }

    #[test]
    fn phases_follow_each_other_and_some_only_for_a_reason() {
        let way = &Phase::ALL[..10];
        for (at, from) in Phase::ALL.into_iter().enumerate() {
            for (to_at, to) in Phase::ALL.into_iter().enumerate() {
                let plain = from.check(to, None).is_ok();
                let live = at < 9;
                let next = live && to_at == at + 1 && to_at < way.len();
                assert_eq!(plain, next || live && to == Failed, "{from} {to}");
                let skips = [
                    (Created, Evaluating),
                    (DataReady, Evaluating),
                    (Created, Reporting),
                    (DataReady, Reporting),
                    (Trained, Reporting),
                    (Evaluated, Reporting),
                ];
                let with = from.check(to, Some("why")).is_ok();
                assert_eq!(with, plain || skips.contains(&(from, to)), "{from} {to}");
                assert_eq!(from.check(to, Some(" ")).is_ok(), plain);
            }
        }
        assert_eq!("data-ready".parse::<Phase>().unwrap(), DataReady);
        assert!("done".parse::<Phase>().is_err());
    }

    #[test]
    fn each_change_names_the_revision_that_it_read() {
        let root = tempfile::tempdir().unwrap();
        let mut live = begin(root.path());
        live.advance(DataReady, "factory run", Some("factory run r.toml"), None)
            .unwrap();
        live.reach(Created, "factory run", None, None).unwrap();
        assert_eq!(
            (live.status().revision, live.status().phase),
            (2, DataReady)
        );
        assert_eq!(live.status().parent_run_id.as_deref(), Some("2026-01-01-x"));
        let mut behind = live.status().clone();
        behind.revision = 7;
        records::write(live.folder(), FILE, &behind).unwrap();
        let error = live.advance(Training, "x", None, None).unwrap_err();
        assert!(
            error.to_string().contains("at revision 7, not 2"),
            "{error}"
        );
        assert_eq!(Status::read(live.folder()).unwrap(), behind);
    }

    #[test]
    fn one_process_at_a_time_and_a_failure_is_one_line_and_final() {
        let root = tempfile::tempdir().unwrap();
        let mut live = begin(root.path());
        let folder = live.folder().to_owned();
        let error = Live::open(&folder).unwrap_err().to_string();
        assert!(error.contains("is being written by process"), "{error}");
        live.fail(
            "factory run",
            "stage-failed",
            &format!("a\nb {}", "c".repeat(300)),
        )
        .unwrap();
        let failure = Status::read(&folder).unwrap().failure.unwrap();
        assert_eq!(failure.summary.chars().count(), SUMMARY);
        assert!(failure.summary.starts_with("a b c"));
        drop(live);
        let mut again = Live::open(&folder).unwrap();
        for to in [DataReady, Decided] {
            let error = format!("{:#}", again.advance(to, "x", None, Some("r")).unwrap_err());
            assert!(error.contains("failed is final"), "{error}");
        }
    }

    #[test]
    fn decided_needs_a_decision() {
        let root = tempfile::tempdir().unwrap();
        let mut live = begin(root.path());
        live.advance(Reporting, "x", None, Some("only a report"))
            .unwrap();
        let mut error = || format!("{:#}", live.advance(Decided, "x", None, None).unwrap_err());
        assert!(error().contains("decision.json"), "{}", error());
        let empty = json!({
            "decision": "park", "reason": " ", "failure_reason": "f", "failure_reason_confidence": "exact",
            "lesson": "l", "next_action": "n", "evidence_sources": ["e"], "blocked_by": [],
        });
        records::write(&root.path().join("2026-01-02-x"), records::DECISION, &empty).unwrap();
        assert!(
            error().ends_with("decision.json: reason is empty"),
            "{}",
            error()
        );
    }

    #[test]
    fn another_version_and_a_stale_run_are_seen() {
        let root = tempfile::tempdir().unwrap();
        let live = begin(root.path());
        let mut text = serde_json::to_value(live.status()).unwrap();
        let mut read = |field: &str, value: serde_json::Value| {
            text[field] = value;
            records::write(live.folder(), FILE, &text).unwrap();
            Status::read(live.folder())
        };
        assert!(!live.status().is_stale());
        assert!(
            read("updated_at", json!("2020-01-01T00:00:00Z"))
                .unwrap()
                .is_stale()
        );
        let error = format!("{:#}", read("owner", json!("me")).unwrap_err());
        assert!(error.contains("unknown field `owner`"), "{error}");
        let error = format!("{:#}", read("schema_version", json!(2)).unwrap_err());
        assert!(
            error.contains("schema_version is 2, and this program reads 1"),
            "{error}"
        );
    }
}
