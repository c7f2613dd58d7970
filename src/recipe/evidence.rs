//! What a run folder is made from, and which folder a run gets.

use super::done::Done;
use super::lock;
use super::records;
use super::status::{self, Live, Phase, Status};
use crate::eval::judge::GateSpec;
use crate::run::files::folder_of;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// Everything that a run rests on: its stages, which are done, and what it asks of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The run's name in the recipe.
    pub name: String,
    pub target: String,
    pub owner_goal: Option<String>,
    /// The run that this one is held against, by its id.
    pub parent: Option<String>,
    /// The command that makes the run, as a person types it.
    pub command: Vec<String>,
    /// The recipe's text as it was resolved; in a run folder a file of its own.
    #[serde(skip)]
    pub recipe: String,
    /// None of a run that only measures a base.
    pub training: Option<Done>,
    /// What would be shipped.
    pub artifact: Option<Done>,
    /// Other stages that the artifact is made of: the trainings of the adapters that are composed, or routed between.
    #[serde(default)]
    pub behind: Vec<Done>,
    pub heldout: Vec<PathBuf>,
    /// Whether rows may be in training and held-out data.
    pub allow_overlap: bool,
    /// At least one, the primary one among them.
    pub gates: Vec<GateEvidence>,
}

/// A gate and the stages that it judges.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateEvidence {
    pub gate: GateSpec,
    /// The scoring that is judged.
    pub candidate: Done,
    /// The scoring that it is held against.
    pub baseline: Option<Done>,
    /// What made the answers that `candidate` scored.
    pub answers: Option<Done>,
    /// The same of `baseline`.
    pub base_answers: Option<Done>,
}

impl Evidence {
    /// Every stage once, in the order in which a run is told: training, what is shipped, answers, scorings.
    pub fn stages(&self) -> Vec<&Done> {
        let gates = self.gates.iter().flat_map(|gate| {
            [
                gate.base_answers.as_ref(),
                gate.baseline.as_ref(),
                gate.answers.as_ref(),
                Some(&gate.candidate),
            ]
        });
        let made = [self.training.as_ref(), self.artifact.as_ref()];
        let behind = self.behind.iter().map(Some);
        let all = behind.chain(made).chain(gates);
        let mut seen = BTreeSet::new();
        all.flatten()
            .filter(|done| seen.insert(&done.key))
            .collect()
    }

    /// Every stage that learned from rows, once.
    pub fn learned(&self) -> Vec<&Done> {
        let learned = |done: &&Done| matches!(&done.name()[..], "sft" | "route fit");
        self.stages().into_iter().filter(learned).collect()
    }

    /// The gate that decides what the run is for.
    pub fn primary(&self) -> Result<&GateEvidence> {
        let primary = |gate: &&GateEvidence| gate.gate.role == crate::eval::judge::Role::Primary;
        let found = self.gates.iter().find(primary).or(self.gates.first());
        found.with_context(|| format!("run {}: it has no gate", self.name))
    }

    /// Whether there is nothing new in it: a base alone is measured.
    pub fn is_baseline(&self) -> bool {
        self.training.is_none() && self.artifact.is_none()
    }
}

/// The file that says what a run is going to be made of, written when it begins.
pub const PLAN: &str = "plan.json";

/// `plan.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The run's name in the recipe.
    pub name: String,
    /// The keys of its stages, and of whatever else decides it: a run with the same ones is the same run.
    pub keys: BTreeSet<String>,
}

/// What is to be done for a run of a recipe.
#[derive(Debug)]
pub enum Place {
    /// Nothing: this run has the same stages and is decided.
    Decided(PathBuf),
    /// A run with the same stages goes on.
    GoOn(Live),
    /// A new one has begun; its parent is the last one of this name, where the plan names none.
    Begun(Live),
}

/// Finds or begins the folder of the run that is planned, in the folder `runs`. `parent` is the one that the recipe names,
/// `command` what goes on with the run.
///
/// Errors where another process works on the last run of this name.
pub fn place(
    plan: &Plan,
    runs: &Path,
    parent: Option<&str>,
    command: Option<&str>,
) -> Result<Place> {
    let former = former(&plan.name, runs)?;
    let same = former
        .iter()
        .rev()
        .find(|(_, other, status)| other == plan && status.phase != Phase::Failed);
    if let Some((folder, _, status)) = same {
        return match status.phase {
            Phase::Decided => Ok(Place::Decided(folder.clone())),
            _ => Ok(Place::GoOn(Live::open(folder)?)),
        };
    }
    let last = former
        .last()
        .map(|(folder, ..)| Live::open(folder))
        .transpose()?;
    let last_id = last.as_ref().map(|last| last.status().run_id.clone());
    let live = Live::begin(
        &fresh(&plan.name, runs)?,
        plan,
        parent.or(last_id.as_deref()),
        command,
    )?;
    if let Some(mut last) = last {
        last.succeeded_by(&live.status().run_id)?;
    }
    Ok(Place::Begun(live))
}

/// Runs of that name, oldest first.
fn former(name: &str, runs: &Path) -> Result<Vec<(PathBuf, Plan, Status)>> {
    let mut found = Vec::new();
    for folder in folders(runs)? {
        // A folder that only looks like a run of this name is not ours to judge.
        if !folder.join(PLAN).exists() || !folder.join(status::FILE).exists() {
            continue;
        }
        let plan: Plan = records::read(&folder, PLAN)?;
        if plan.name == name {
            let status = Status::read(&folder)?;
            found.push((folder, plan, status));
        }
    }
    Ok(found)
}

/// The run folders in a folder, by date, then by number; none where there is no such folder.
pub fn folders(runs: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", runs.display());
    if !runs.exists() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(runs).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.join(status::FILE).exists() {
            folders.push(path);
        }
    }
    folders.sort_by_cached_key(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let date: String = name.chars().take(10).collect();
        let number = name
            .rsplit('-')
            .next()
            .and_then(|end| end.parse::<u64>().ok());
        (date, number.unwrap_or(1), name)
    });
    Ok(folders)
}

/// `runs/<date>-<name>`, numbered from 2 when taken; what a shell would read otherwise is a dash.
fn fresh(name: &str, runs: &Path) -> Result<PathBuf> {
    let date = OffsetDateTime::now_utc().date();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(plain).collect();
    let base = format!("{date}-{}", name.trim_end_matches('-'));
    let numbered = (2..1000).map(|number| format!("{base}-{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    match names.find(|name| is_free(&runs.join(name))) {
        Some(name) => Ok(runs.join(name)),
        None => bail!("{}: there are too many runs called {base}", runs.display()),
    }
}

/// Whether a run can begin there: nothing is there, or what a beginning left that was interrupted.
pub fn is_free(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return !folder.exists();
    };
    entries.flatten().all(|entry| {
        let name = entry.file_name();
        // A file that was being written begins with a dot too.
        name == PLAN || name.to_string_lossy().starts_with('.')
    })
}

/// A run's id: the name of its folder.
pub fn run_id(folder: &Path) -> Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .with_context(|| format!("{} is no name of a run", folder.display()))
}

/// The folder of a run that is given by its path, or by its id in `runs`.
pub fn find(run: &Path, runs: &Path) -> Result<PathBuf> {
    let inside = runs.join(run);
    let found = [run, &inside]
        .into_iter()
        .find(|folder| folder.join(status::FILE).exists());
    if let Some(found) = found {
        return Ok(found.to_owned());
    }
    let known = folders(runs)?;
    let ids: Vec<String> = known
        .iter()
        .rev()
        .take(5)
        .flat_map(|folder| run_id(folder))
        .collect();
    ensure!(
        !ids.is_empty(),
        "{} is no run folder, and {} has no runs",
        run.display(),
        runs.display()
    );
    bail!(
        "{} is no run folder, nor a run in {}; the last ones there are {}",
        run.display(),
        runs.display(),
        ids.join(", ")
    )
}

impl Done {
    /// The folder that the stage worked in: it holds the outputs, and `log`.
    pub fn folder(&self) -> Result<&Path> {
        Ok(folder_of(self.main()?))
    }

    /// The main output.
    pub fn main(&self) -> Result<&Path> {
        let main = self.outputs.get("main").map(PathBuf::as_path);
        main.with_context(|| format!("stage {}: it has no output \"main\"", self.stage))
    }

    /// What it said, if that is still there.
    pub fn log(&self) -> Option<String> {
        let bytes = fs::read(self.folder().ok()?.join("log")).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The command as it is typed in a shell.
    pub fn line(&self) -> String {
        line(&self.command)
    }

    /// The values that the command gives a flag, in their order.
    pub fn values(&self, flag: &str) -> Vec<String> {
        let with = format!("{flag}=");
        let mut values = Vec::new();
        let mut words = self.command.iter();
        while let Some(word) = words.next() {
            if let Some(value) = word.strip_prefix(&with) {
                values.push(value.to_owned());
            } else if word == flag {
                values.extend(words.next().cloned());
            }
        }
        values
    }

    /// The command's own name: `sft`, `route fit`.
    pub fn name(&self) -> String {
        let words: Vec<&str> = self.command.iter().skip(1).map(String::as_str).collect();
        match words[..] {
            [
                group @ ("adapter" | "data" | "model" | "route"),
                command,
                ..,
            ] if !command.starts_with('-') => {
                format!("{group} {command}")
            }
            [command, ..] => command.to_owned(),
            [] => String::new(),
        }
    }
}

/// Words as one line of a shell.
pub fn line(words: &[String]) -> String {
    let quoted: Vec<_> = words
        .iter()
        // Only a zero byte cannot be quoted, and no command line has one.
        .map(|word| shlex::try_quote(word).unwrap_or_default())
        .collect();
    quoted.join(" ")
}

/// Whether a process works on the run, in words.
pub fn holder(folder: &Path) -> Result<Option<String>> {
    lock::holder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &[&str]) -> Plan {
        Plan {
            name: "small".to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    fn decide(live: &mut Live) {
        live.advance(Phase::Reporting, "test", None, Some("short"))
            .unwrap();
        let decision = serde_json::json!({
            "decision": "park", "reason": "r", "failure_reason": null, "failure_reason_confidence": "exact",
            "lesson": null, "next_action": "n", "evidence_sources": [], "blocked_by": [],
        });
        records::write(live.folder(), records::DECISION, &decision).unwrap();
        live.advance(Phase::Decided, "test", None, None).unwrap();
    }

    #[test]
    fn a_run_is_done_goes_on_or_begins_with_the_last_as_parent() {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path().join("runs");
        let of = |keys: &[&str]| place(&plan(keys), &runs, None, None);
        let Place::Begun(first) = of(&["a", "b"]).unwrap() else {
            panic!("nothing was there");
        };
        let folder = first.folder().to_owned();
        // While it is worked on, nobody else does, whatever they plan.
        for keys in [&["a", "b"][..], &["c"]] {
            let error = of(keys).unwrap_err().to_string();
            assert!(error.contains("is being written by process"), "{error}");
        }
        drop(first);
        let Place::GoOn(mut first) = of(&["b", "a"]).unwrap() else {
            panic!("it is live");
        };
        assert_eq!(first.folder(), folder);
        decide(&mut first);
        drop(first);
        assert!(matches!(of(&["a", "b"]).unwrap(), Place::Decided(same) if same == folder));

        let Place::Begun(second) = of(&["a", "c"]).unwrap() else {
            panic!("other stages");
        };
        let first_id = run_id(&folder).unwrap();
        assert_eq!(second.status().run_id, format!("{first_id}-2"));
        assert_eq!(
            second.status().parent_run_id.as_deref(),
            Some(&first_id[..])
        );
        let successor = Status::read(&folder).unwrap().successor_run_id;
        assert_eq!(successor.as_deref(), Some(&second.status().run_id[..]));
        // Edited back, the first one still stands.
        assert!(matches!(of(&["a", "b"]).unwrap(), Place::Decided(_)));
        let id = second.status().run_id.clone();
        assert_eq!(find(Path::new(&id), &runs).unwrap(), second.folder());
        let error = find(Path::new("none"), &runs).unwrap_err().to_string();
        assert!(
            error.contains(&format!("the last ones there are {id}, {first_id}")),
            "{error}"
        );
    }

    #[test]
    fn a_failed_run_is_followed_by_a_new_one_and_an_interrupted_beginning_is_used() {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path();
        let begun = |place| match place {
            Ok(Place::Begun(live)) => live,
            other => panic!("{other:?}"),
        };
        let mut first = begun(place(&plan(&["a"]), runs, Some("base"), None));
        assert_eq!(first.status().parent_run_id.as_deref(), Some("base"));
        first.fail("test", "stage-failed", "no").unwrap();
        let first_id = first.status().run_id.clone();
        drop(first);
        let half = fresh("small", runs).unwrap();
        fs::create_dir(&half).unwrap();
        records::write(&half, PLAN, &plan(&["x"])).unwrap();
        let second = begun(place(&plan(&["a"]), runs, None, None));
        assert_eq!(second.folder(), half);
        assert_eq!(second.status().parent_run_id, Some(first_id));
    }

    #[test]
    fn a_folder_has_a_plain_name() {
        let root = tempfile::tempdir().unwrap();
        let name = run_id(&fresh("own[seed=1]", root.path()).unwrap()).unwrap();
        assert!(name.ends_with("-own-seed-1"), "{name}");
    }

    #[test]
    fn numbers_sort_as_numbers() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "2026-01-02-x-10",
            "2026-01-02-x-9",
            "2026-01-02-x",
            "2026-01-01-y-3",
        ] {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join(status::FILE), "{}").unwrap();
        }
        let ids: Vec<_> = folders(root.path())
            .unwrap()
            .iter()
            .flat_map(|f| run_id(f))
            .collect();
        assert_eq!(
            ids,
            [
                "2026-01-01-y-3",
                "2026-01-02-x",
                "2026-01-02-x-9",
                "2026-01-02-x-10"
            ]
        );
    }

    #[test]
    fn flags_of_a_command_are_found() {
        let done = Done {
            stage: "s".to_owned(),
            key: "k".to_owned(),
            command: [
                "factory",
                "route",
                "fit",
                "--adapter",
                "a=x y",
                "--adapter=b=z",
                "--out",
                "o",
            ]
            .map(str::to_owned)
            .to_vec(),
            version: String::new(),
            program_sha256: String::new(),
            inputs: Vec::new(),
            outputs: [(
                "main".to_owned(),
                PathBuf::from("runs/stages/s-k/router.json"),
            )]
            .into(),
            seconds: 0.0,
            peak_rss_mb: None,
            finished: String::new(),
        };
        assert_eq!(done.values("--adapter"), ["a=x y", "b=z"]);
        assert_eq!(done.name(), "route fit");
        assert_eq!(
            done.line(),
            "factory route fit --adapter 'a=x y' '--adapter=b=z' --out o"
        );
        assert_eq!(done.folder().unwrap(), Path::new("runs/stages/s-k"));
    }
}
