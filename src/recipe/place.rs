//! Which folder a run gets, and where runs are.

use super::identity::{FILE, Identity, is_free, run_id};
use super::matrix::safe;
use super::records;
use super::status::{self, Live, Phase, Status};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// What is to be done for a run of a recipe.
#[derive(Debug)]
pub enum Place {
    /// Nothing: this run has the same stages and is decided.
    Decided(PathBuf),
    /// A run with the same stages goes on.
    GoOn(Live),
    /// A new one has begun; its parent is the last one of this name, where the recipe names none.
    Begun(Live),
}

/// Finds or begins the folder of the run that is planned, in the folder `runs`. `parent` is the one that the recipe names,
/// `command` what goes on with the run.
///
/// Errors where another process works on the last run of this name.
pub fn place(
    identity: &Identity,
    runs: &Path,
    parent: Option<&str>,
    command: Option<&str>,
) -> Result<Place> {
    let former = former(&identity.name, runs)?;
    let same = former
        .iter()
        .rev()
        .find(|(_, other, status)| other == identity && status.phase != Phase::Failed);
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
        &fresh(&identity.name, runs)?,
        identity,
        parent.or(last_id.as_deref()),
        command,
    )?;
    if let Some(mut last) = last {
        last.succeeded_by(&live.status().run_id)?;
    }
    Ok(Place::Begun(live))
}

/// Runs of that name, oldest first.
fn former(name: &str, runs: &Path) -> Result<Vec<(PathBuf, Identity, Status)>> {
    let mut found = Vec::new();
    for folder in folders(runs)? {
        // A folder that only looks like a run of this name is not ours to judge.
        if !folder.join(FILE).exists() || !folder.join(status::FILE).exists() {
            continue;
        }
        let identity: Identity = records::read(&folder, FILE)?;
        if identity.name == name {
            let status = Status::read(&folder)?;
            found.push((folder, identity, status));
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
    let base = format!("{date}-{}", safe(name));
    let numbered = (2..1000).map(|number| format!("{base}-{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    match names.find(|name| is_free(&runs.join(name))) {
        Some(name) => Ok(runs.join(name)),
        None => bail!("{}: there are too many runs called {base}", runs.display()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(keys: &[&str]) -> Identity {
        Identity {
            name: "small".to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    fn decide(live: &mut Live) {
        live.advance(Phase::Reporting, "test", None, Some("short"))
            .unwrap();
        let decision = serde_json::json!({
            "decision": "park", "reason": "r", "failure_reason": "f", "failure_reason_confidence": "exact",
            "lesson": "l", "next_action": "n", "evidence_sources": ["e"], "blocked_by": [],
        });
        records::write(live.folder(), records::DECISION, &decision).unwrap();
        live.advance(Phase::Decided, "test", None, None).unwrap();
    }

    #[test]
    fn a_run_is_done_goes_on_or_begins_with_the_last_as_parent() {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path().join("runs");
        let of = |keys: &[&str]| place(&identity(keys), &runs, None, None);
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
        let mut first = begun(place(&identity(&["a"]), runs, Some("base"), None));
        assert_eq!(first.status().parent_run_id.as_deref(), Some("base"));
        first.fail("test", "stage-failed", "no").unwrap();
        let first_id = first.status().run_id.clone();
        drop(first);
        let half = fresh("small", runs).unwrap();
        fs::create_dir(&half).unwrap();
        records::write(&half, FILE, &identity(&["x"])).unwrap();
        let second = begun(place(&identity(&["a"]), runs, None, None));
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
}
