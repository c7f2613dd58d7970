//! The folder of a training run while it goes on: `OUT.partial` beside its place, with states to go on from. It is renamed
//! when the run is whole, and stays when the run is stopped, however that happens.

use super::files::{self, folder_of, partial, write_atomic};
use super::folder::{check_free, move_into_place};
use super::tensorboard::Events;
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file of a run's metrics, a line a step.
pub const METRICS: &str = "metrics.jsonl";
/// The run's settings in its folder.
pub const SETTINGS: &str = "config.toml";
/// The best adapter so far, while a run goes on: this and the step behind which it was, so that each state has its own.
const BEST: &str = "best-";
/// What a run of several stages has done, while it goes on.
const PROGRESS: &str = "progress.json";
/// What the lock is called where all is made, and only what a run needs while it goes on is still to be removed.
const WHOLE: &str = ".whole";
/// States that are kept: the newest, and one more should that be damaged.
const STATES: usize = 2;

/// A run's folder under construction. Dropped before anything was saved in it, it is removed.
pub struct TrainingRun {
    target: PathBuf,
    partial: PathBuf,
    /// Held while the run goes on, so that no second process works in the folder.
    _lock: File,
    metrics: Option<File>,
    events: Option<Events>,
    /// Whether something in it is worth keeping.
    kept: bool,
}

impl TrainingRun {
    /// Begins the run that is to become `target`, which must not exist yet or be empty.
    pub fn begin(target: &Path) -> Result<Self> {
        check_free(target)?;
        let partial = partial(target);
        let cannot = || format!("cannot write {}", target.display());
        fs::create_dir_all(folder_of(target)).with_context(cannot)?;
        match partial.exists() {
            true => ensure!(
                partial.join(LOCK).exists()
                    || fs::read_dir(&partial).is_ok_and(|mut all| all.next().is_none()),
                "{} is there, and no interrupted run: give another --out, or remove it",
                partial.display()
            ),
            false => fs::create_dir(&partial).with_context(cannot)?,
        }
        let lock = lock(&partial)?;
        let mut run = Self {
            target: target.to_owned(),
            _lock: lock,
            metrics: None,
            events: None,
            kept: true,
            partial,
        };
        ensure!(
            !has_state(target),
            "{} is an interrupted run: go on with --resume {}, or remove it",
            run.partial.display(),
            target.display()
        );
        // What a run left that was stopped before its first state.
        clear(&run.partial, |_| true)?;
        run.kept = false;
        Ok(run)
    }

    /// Opens the interrupted run that is to become `target`. Of one that was stopped before its first state the settings are left.
    pub fn resume(target: &Path) -> Result<Self> {
        let partial = partial(target);
        ensure!(
            partial.is_dir() || check_free(target).is_ok(),
            "{} is whole: no interrupted run to go on with",
            target.display()
        );
        check_free(target)?;
        ensure!(
            partial.is_dir(),
            "{} is not there: no interrupted run to go on with",
            partial.display()
        );
        // Cut off in the middle of [`hand_over`].
        if partial.join(WHOLE).exists() {
            hand_over(&partial, target)?;
            bail!("{} is whole: nothing was left to do", target.display());
        }
        let run = Self {
            target: target.to_owned(),
            _lock: lock(&partial)?,
            metrics: None,
            events: None,
            kept: true,
            partial,
        };
        match has_state(target) {
            // Files that were being written.
            true => clear(&run.partial, |name| name.starts_with('.'))?,
            // Nothing of what was made before the first state is known to be whole; settings are.
            false => clear(&run.partial, |name| name != SETTINGS)?,
        }
        Ok(run)
    }

    /// Where the folder is while it is made.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Keeps what is there when the run ends without being whole.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        write_atomic(&self.partial.join(name), content)
    }

    /// Writes a folder of the folder, which appears whole.
    pub fn save(&mut self, name: &str, files: &[(&str, Vec<u8>)]) -> Result<()> {
        let (whole, part) = (self.partial.join(name), self.partial.join(".part"));
        for (file, content) in files {
            write_atomic(&part.join(file), content)?;
        }
        let cannot = || format!("cannot write {}", whole.display());
        if whole.exists() {
            // Of a run that was stopped behind this step, but before its next state.
            fs::remove_dir_all(&whole).with_context(cannot)?;
        }
        fs::rename(&part, &whole).with_context(cannot)?;
        self.kept = true;
        Ok(())
    }

    /// Writes the folder of the best adapter so far, which was there after `step`.
    pub fn save_best(&mut self, step: usize, files: &[(&str, Vec<u8>)]) -> Result<()> {
        self.save(&format!("{BEST}{step}"), files)
    }

    /// Copies the files of the best folder of `step` up into the run's, over others of their names. The folder goes with the
    /// states, so that a run that is stopped here can go on.
    pub fn take_best(&self, step: usize) -> Result<()> {
        let inner = self.partial.join(format!("{BEST}{step}"));
        let cannot = || format!("cannot write {}", self.partial.display());
        for entry in fs::read_dir(&inner).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let content = fs::read(entry.path()).with_context(cannot)?;
            write_atomic(&self.partial.join(entry.file_name()), &content)?;
        }
        Ok(())
    }

    /// The states, newest first, by their step.
    pub fn states(&self) -> Result<Vec<(usize, PathBuf)>> {
        states(&self.partial)
    }

    /// Saves the state after `step`; the oldest ones go.
    pub fn save_state(&mut self, step: usize, content: &[u8]) -> Result<()> {
        let name = format!("state-{step}.safetensors");
        self.write(&name, content)?;
        self.kept = true;
        for (_, old) in self.states()?.into_iter().skip(STATES) {
            fs::remove_file(&old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
        Ok(())
    }

    /// Writes down what a run of several stages has done: it goes on behind that.
    pub fn save_progress(&mut self, content: &[u8]) -> Result<()> {
        self.write(PROGRESS, content)?;
        self.kept = true;
        Ok(())
    }

    /// What was written down of it; `None` where nothing was.
    pub fn progress(&self) -> Result<Option<Vec<u8>>> {
        let path = self.partial.join(PROGRESS);
        let read = path.exists().then(|| fs::read(&path)).transpose();
        read.with_context(|| format!("cannot read {}", path.display()))
    }

    /// Appends a line to the metrics, which can be followed while the run goes on.
    pub fn metric(&mut self, line: &impl Serialize) -> Result<()> {
        let path = self.partial.join(METRICS);
        let cannot = || format!("cannot write {}", path.display());
        let file = match &mut self.metrics {
            Some(file) => file,
            None => {
                let open = OpenOptions::new().create(true).append(true).open(&path);
                self.metrics.insert(open.with_context(cannot)?)
            }
        };
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        file.write_all(&bytes).with_context(cannot)?;
        match &mut self.events {
            Some(events) => add_event(events, &bytes, &self.partial),
            None => Ok(()),
        }
    }

    /// From now on, and for the lines that are there, writes the metrics as TensorBoard's events too.
    pub fn tensorboard(&mut self) -> Result<()> {
        let cannot = || format!("cannot write {}", self.partial.display());
        let mut events = Events::create(&self.partial).with_context(cannot)?;
        for line in self.metrics_text()?.lines() {
            add_event(&mut events, line.as_bytes(), &self.partial)?;
        }
        self.events = Some(events);
        Ok(())
    }

    /// Keeps the first `steps` lines of the metrics, a line a step: those behind will be written again.
    pub fn keep_metrics(&mut self, steps: usize) -> Result<()> {
        let text = self.metrics_text()?;
        let kept: String = text.split_inclusive('\n').take(steps).collect();
        self.write(METRICS, kept.as_bytes())
    }

    /// The metrics so far.
    fn metrics_text(&self) -> Result<String> {
        let path = self.partial.join(METRICS);
        match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            text => text.with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Moves the folder to its place, without the states, the best folders and what was written down of stages. Where that fails the work is kept, and the error says where.
    pub fn finish(mut self) -> Result<()> {
        self.kept = true;
        hand_over(&self.partial, &self.target)
    }
}

/// Removes what `goes` by its name from a run's folder, or one in it.
pub fn clear(folder: &Path, goes: impl Fn(&str) -> bool) -> Result<()> {
    let cannot = || format!("cannot write {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let name = entry.file_name();
        if name == LOCK || !goes(&name.to_string_lossy()) {
            continue;
        }
        let removed = match entry.path().is_dir() {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        };
        removed.with_context(cannot)?;
    }
    Ok(())
}

/// Removes what a run needs while it goes on, and moves it to its place. Until all of that is gone the folder says that it is whole, so that what was cut
/// off here is not trained again.
fn hand_over(partial: &Path, target: &Path) -> Result<()> {
    let cannot = || format!("cannot write {}", partial.display());
    let (lock, whole) = (partial.join(LOCK), partial.join(WHOLE));
    if lock.exists() {
        fs::rename(&lock, &whole).with_context(cannot)?;
    }
    for (_, state) in states(partial)? {
        fs::remove_file(&state).with_context(|| format!("cannot remove {}", state.display()))?;
    }
    clear(partial, |name| name.starts_with(BEST) || name == PROGRESS)?;
    fs::remove_file(&whole).with_context(cannot)?;
    let moved = move_into_place(partial, target);
    if moved.is_err() {
        write_atomic(&whole, b"")?;
    }
    moved
}

impl Drop for TrainingRun {
    fn drop(&mut self) {
        if !self.kept {
            // The error that ended the run is the one to report.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// The file of a folder that is held.
pub const LOCK: &str = ".lock";

/// Whether an interrupted run that was to become `target` has a state, or a stage, to go on from.
pub fn has_state(target: &Path) -> bool {
    let partial = partial(target);
    partial.join(PROGRESS).exists() || states(&partial).is_ok_and(|states| !states.is_empty())
}

/// The states in a run's folder, newest first, by their step.
fn states(folder: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut states = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let step = name
            .strip_prefix("state-")
            .and_then(|rest| rest.strip_suffix(".safetensors"));
        if let Some(Ok(step)) = step.map(str::parse) {
            states.push((step, path));
        }
    }
    states.sort();
    states.reverse();
    Ok(states)
}

/// Adds a line of the metrics of the run in `folder`.
fn add_event(events: &mut Events, line: &[u8], folder: &Path) -> Result<()> {
    let line = serde_json::from_slice(line)
        .with_context(|| format!("{}: a line is not JSON", folder.join(METRICS).display()))?;
    let cannot = || format!("cannot write {}", folder.display());
    events.add(&line).with_context(cannot)
}

fn lock(folder: &Path) -> Result<File> {
    try_lock(folder)?.with_context(|| format!("{}: another process works here", folder.display()))
}

/// Holds `folder` for this process, and those that are handed the file, until it is closed. None where another one does.
pub fn try_lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    files::try_lock(&path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_saved_nothing_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a/run");
        let mut run = TrainingRun::begin(&target).unwrap();
        run.metric(&1).unwrap();
        drop(run);
        assert!(
            fs::read_dir(root.path().join("a"))
                .unwrap()
                .next()
                .is_none()
        );
        assert!(TrainingRun::resume(&target).is_err());
        assert!(!has_state(&target));
    }

    #[test]
    fn a_folder_of_someone_else_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let own = partial(&root.path().join("run"));
        fs::create_dir(&own).unwrap();
        fs::write(own.join("notes"), "mine").unwrap();
        let error = TrainingRun::begin(&root.path().join("run")).err().unwrap();
        assert!(error.to_string().contains("no interrupted run"), "{error}");
        assert_eq!(fs::read(own.join("notes")).unwrap(), b"mine");
    }

    #[test]
    fn a_run_of_stages_goes_on_behind_those_that_are_done() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("run");
        let mut run = TrainingRun::begin(&target).unwrap();
        assert_eq!(run.progress().unwrap(), None);
        run.save_progress(b"one").unwrap();
        drop(run);
        assert!(has_state(&target));
        let error = TrainingRun::begin(&target).err().unwrap().to_string();
        assert!(error.contains("go on with --resume"), "{error}");
        let run = TrainingRun::resume(&target).unwrap();
        assert_eq!(run.progress().unwrap().unwrap(), b"one");
        run.write("result", b"1").unwrap();
        run.finish().unwrap();
        let left = fs::read_dir(&target).unwrap().map(|e| e.unwrap());
        assert_eq!(left.map(|e| e.file_name()).collect::<Vec<_>>(), ["result"]);
    }

    #[test]
    fn what_is_cut_off_at_its_end_is_handed_over_and_not_trained_again() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("run");
        let mut run = TrainingRun::begin(&target).unwrap();
        run.write(SETTINGS, b"").unwrap();
        run.write("adapter", b"1").unwrap();
        run.save_state(1, b"1").unwrap();
        run.save_best(1, &[("adapter", b"1".to_vec())]).unwrap();
        drop(run);
        let [lock, whole] = [LOCK, WHOLE].map(|name| partial(&target).join(name));
        fs::rename(lock, whole).unwrap();
        let error = TrainingRun::resume(&target).err().unwrap().to_string();
        assert!(error.contains("is whole: nothing was left"), "{error}");
        let left = fs::read_dir(&target).unwrap().map(|e| e.unwrap());
        let mut left: Vec<_> = left.map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["adapter", SETTINGS]);
        let error = TrainingRun::resume(&target).err().unwrap().to_string();
        assert!(error.contains("is whole: no interrupted run"), "{error}");
    }

    #[test]
    fn a_stopped_run_goes_on_where_its_newest_state_is() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("run");
        let mut run = TrainingRun::begin(&target).unwrap();
        for step in 1..=12 {
            run.metric(&step).unwrap();
            run.save_state(step, &[step as u8]).unwrap();
        }
        run.save("checkpoint-12", &[("adapter", b"1".to_vec())])
            .unwrap();
        let second = TrainingRun::resume(&target).err().unwrap().to_string();
        assert!(second.contains("another process works here"), "{second}");
        drop(run);
        let error = TrainingRun::begin(&target).err().unwrap().to_string();
        assert!(
            error.contains("is an interrupted run: go on with --resume "),
            "{error}"
        );

        assert!(has_state(&target));
        let mut run = TrainingRun::resume(&target).unwrap();
        let steps = run.states().unwrap().into_iter().map(|(step, _)| step);
        assert_eq!(steps.collect::<Vec<_>>(), [12, 11]);
        run.keep_metrics(11).unwrap();
        run.metric(&12).unwrap();
        run.save("checkpoint-12", &[("adapter", b"2".to_vec())])
            .unwrap();
        // Stopped when the best adapter was taken out, it can be taken out again.
        run.save_best(11, &[("adapter", b"best".to_vec())]).unwrap();
        run.save_best(12, &[("adapter", b"other".to_vec())])
            .unwrap();
        run.take_best(11).unwrap();
        drop(run);
        let run = TrainingRun::resume(&target).unwrap();
        run.take_best(11).unwrap();
        run.finish().unwrap();
        assert_eq!(fs::read(target.join("adapter")).unwrap(), b"best");
        assert_eq!(
            fs::read(target.join("checkpoint-12/adapter")).unwrap(),
            b"2"
        );
        let metrics = fs::read_to_string(target.join(METRICS)).unwrap();
        assert_eq!(metrics.lines().count(), 12);
        let mut left: Vec<_> = fs::read_dir(&target)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["adapter", "checkpoint-12", METRICS]);
        assert!(!partial(&target).exists());
    }
}
