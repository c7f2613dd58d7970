//! Runs the stages of a plan that are to be run, each a process of its own. A stage is done when its `stage.json` is there.

use super::done::{Done, Input};
use super::hashes::Hashes;
use super::plan::Plan;
use super::planned::Planned;
use super::process::{End, Running, printed};
use super::state::{self, State};
use crate::run::files::write_atomic;
use crate::run::training_run;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The exit code of a command whose gate fails: it did its work, and that is its result.
const RED: i32 = 3;
/// How long a process that was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(3);
/// The first and the longest pause between two looks at the processes.
const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(100)];

/// How a plan is run.
pub struct Options<'a> {
    /// This program.
    pub program: &'a Path,
    /// Most stages at once.
    pub jobs: usize,
    /// Whether the user asked to stop.
    pub stop: &'a dyn Fn() -> bool,
}

/// What happens to a stage.
pub enum Event<'a> {
    /// It is done from an earlier time.
    Cached(&'a Planned, &'a Done),
    /// It begins, or goes on where it was interrupted.
    Started {
        stage: &'a Planned,
        resumed: bool,
    },
    /// It said something.
    Said(&'a Planned, String),
    Done(&'a Planned, &'a Done),
    Failed(&'a Planned, &'a Failure),
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What each stage left, by its place in the plan; none where it is not done.
    pub done: Vec<Option<Done>>,
    /// The places of those that ran now.
    pub ran: BTreeSet<usize>,
    pub failures: Vec<Failure>,
    /// Stages that were not begun for one that failed.
    pub kept_back: Vec<String>,
    /// Stages that were stopped, or not begun for it, when the user asked.
    pub interrupted: bool,
}

/// A stage that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    pub stage: String,
    /// `exit code 1`, `killed by the system (signal 9)`, or an error of ours.
    pub how: String,
    /// The last lines of its log.
    pub tail: Vec<String>,
    pub log: PathBuf,
    /// Whether it did its work, and what it looked at is not fit for what comes behind.
    pub red: bool,
}

/// Runs the stages of `plan` as their `states` say. An error of `on` stops it, as the user may.
pub fn execute(
    plan: &Plan,
    states: &[State],
    options: &Options,
    on: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Outcome> {
    let mut hashes = Hashes::open(&plan.folder);
    let program = hashes.of(options.program)?.sha256;
    let mut work = Work {
        plan,
        options,
        program,
        hashes,
        waiting: BTreeSet::new(),
        begun: BTreeMap::new(),
        failed: BTreeSet::new(),
        outcome: Outcome {
            done: vec![None; plan.stages.len()],
            ..Outcome::default()
        },
    };
    for (at, state) in states.iter().enumerate() {
        match state {
            State::Cached(done) => {
                on(Event::Cached(&plan.stages[at], done))?;
                work.outcome.done[at] = Some(*done.clone());
            }
            State::GoOn | State::Run(_) | State::Again => drop(work.waiting.insert(at)),
            State::LeftOut => {}
        }
    }
    let again = |at: usize| matches!(states[at], State::Again);
    let mut running: Vec<(Running, File)> = Vec::new();
    let (mut stopped, mut pause) = (None, PAUSES[0]);
    loop {
        if stopped.is_none() && (options.stop)() {
            stopped = Some(Ok(()));
            running.iter_mut().for_each(|(process, _)| process.stop());
        }
        let mut attempt = || -> Result<bool> {
            let mut moved = false;
            while stopped.is_none() && running.len() < options.jobs {
                let Some(at) = work.next() else { break };
                moved = true;
                running.extend(work.start(at, again(at), on)?);
            }
            let mut at = 0;
            while at < running.len() {
                let stage = &plan.stages[running[at].0.at];
                if let Some(line) = running[at].0.log.news() {
                    on(Event::Said(stage, line))?;
                }
                match running[at].0.end()? {
                    None => at += 1,
                    Some(end) => {
                        moved = true;
                        let (process, lock) = running.remove(at);
                        running.extend(work.end(process, lock, &end, stopped.is_some(), on)?);
                    }
                }
            }
            Ok(moved)
        };
        match attempt() {
            Ok(true) => pause = PAUSES[0],
            Ok(false) => pause = (pause * 2).min(PAUSES[1]),
            Err(error) if stopped.as_ref().is_none_or(Result::is_ok) => {
                stopped = Some(Err(error));
                running.iter_mut().for_each(|(process, _)| process.stop());
            }
            // The first error is the one to report.
            Err(_) => {}
        }
        if running.is_empty() && (stopped.is_some() || work.waiting.is_empty()) {
            break;
        }
        sleep(pause);
    }
    // It only saves time; where it cannot be written, others failed for the same.
    let _ = work.hashes.save();
    let mut outcome = work.outcome;
    match stopped {
        Some(Err(error)) => return Err(error),
        Some(Ok(())) => outcome.interrupted |= !work.waiting.is_empty(),
        None => {}
    }
    Ok(outcome)
}

struct Work<'a> {
    plan: &'a Plan,
    options: &'a Options<'a>,
    /// The program's hash.
    program: String,
    hashes: Hashes,
    waiting: BTreeSet<usize>,
    /// What each stage read that began.
    begun: BTreeMap<usize, Vec<Input>>,
    failed: BTreeSet<usize>,
    outcome: Outcome,
}

impl Work<'_> {
    /// A stage that can begin. Those behind one that failed wait no longer.
    fn next(&mut self) -> Option<usize> {
        let needs = |at: usize| &self.plan.stages[at].needs;
        // In their order, so that what is behind one that is kept back is, too.
        for at in self.waiting.clone() {
            if needs(at).iter().any(|need| self.failed.contains(need)) {
                self.waiting.remove(&at);
                self.failed.insert(at);
                self.outcome
                    .kept_back
                    .push(self.plan.stages[at].name.clone());
            }
        }
        let ready = |at: &usize| {
            needs(*at)
                .iter()
                .all(|need| self.outcome.done[*need].is_some())
        };
        let at = self.waiting.iter().copied().find(ready)?;
        self.waiting.remove(&at);
        Some(at)
    }

    /// Begins a stage. What hinders that is its failure.
    fn start(
        &mut self,
        at: usize,
        again: bool,
        on: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Option<(Running, File)>> {
        let stage = &self.plan.stages[at];
        match self.begin(at, again) {
            Ok(Begun::Running(process, lock)) => {
                let resumed = process.resumed;
                on(Event::Started { stage, resumed })?;
                Ok(Some((process, lock)))
            }
            Ok(Begun::Done(done)) => {
                on(Event::Cached(stage, &done))?;
                self.outcome.done[at] = Some(*done);
                Ok(None)
            }
            Err(error) => {
                self.fail(at, format!("{error:#}"), Vec::new(), false, on)?;
                Ok(None)
            }
        }
    }

    fn begin(&mut self, at: usize, again: bool) -> Result<Begun> {
        let stage = &self.plan.stages[at];
        let folder = &stage.folder;
        fs::create_dir_all(folder).with_context(|| format!("cannot write {}", folder.display()))?;
        let lock = hold(folder)?;
        // Another run may have done it since.
        if let (Some(done), false) = (state::done(stage, &mut self.hashes), again) {
            return Ok(Begun::Done(Box::new(done)));
        }
        let resumed = state::goes_on(stage) && Done::read(folder).is_none();
        if !resumed {
            clear(folder)?;
        }
        let mut inputs = Vec::new();
        for (path, planned) in &stage.inputs {
            let now = self.hashes.of(path)?;
            ensure!(
                now == *planned,
                "{} was changed while the recipe ran: run it again",
                path.display()
            );
            inputs.push((path, now));
        }
        for path in &stage.behind {
            inputs.push((path, self.hashes.of(path)?));
        }
        let inputs = inputs.into_iter().map(|(path, hashed)| Input {
            path: path.clone(),
            sha256: hashed.sha256,
            rows: hashed.rows,
        });
        self.begun.insert(at, inputs.collect());
        let process = Running::start(self.options.program, at, stage, resumed, &lock)?;
        Ok(Begun::Running(process, lock))
    }

    /// A process has ended: its stage is done, failed, or was stopped; one that would not go on begins anew.
    fn end(
        &mut self,
        process: Running,
        lock: File,
        end: &End,
        stopped: bool,
        on: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Option<(Running, File)>> {
        let at = process.at;
        let stage = &self.plan.stages[at];
        let code = end.status.code();
        let red = code == Some(RED) && (stage.printed || stage.outputs["main"].exists());
        if code == Some(0) || red && !stage.guard {
            match self.finish(&process, end) {
                Ok(done) => {
                    on(Event::Done(stage, &done))?;
                    self.outcome.done[at] = Some(done);
                    self.outcome.ran.insert(at);
                }
                Err(error) => {
                    let tail = process.log.tail();
                    self.fail(at, format!("{error:#}"), tail, false, on)?;
                }
            }
            return Ok(None);
        }
        if stopped {
            self.outcome.interrupted = true;
            return Ok(None);
        }
        let text = process.log.text();
        if process.resumed && code.is_some() && refused(&text) {
            clear(&stage.folder)?;
            on(Event::Said(
                stage,
                "it cannot go on: it begins anew".to_owned(),
            ))?;
            drop(lock);
            return self.start(at, false, on);
        }
        let (mut how, tail) = (how(end), process.log.tail());
        if let (true, Some(verdict)) = (red, tail.last()) {
            how += &format!(": {verdict}");
        }
        // A message about a full disk may not have found a place in the log.
        let told = red || tail.iter().any(|line| line.starts_with("error: "));
        if let (false, Err(error)) = (told, probe(&stage.folder)) {
            how += &format!("; {error:#}");
        }
        self.fail(at, how, tail, red, on)?;
        Ok(None)
    }

    /// Writes the `stage.json` of a stage whose process ended well.
    fn finish(&mut self, process: &Running, end: &End) -> Result<Done> {
        let stage = &self.plan.stages[process.at];
        if stage.printed {
            let (from, to) = (printed(stage), &stage.outputs["main"]);
            fs::rename(from, to).with_context(|| format!("cannot write {}", to.display()))?;
        }
        let mut sha256 = BTreeMap::new();
        for (flag, path) in &stage.outputs {
            ensure!(path.exists(), "it wrote no {} ({flag})", path.display());
            sha256.insert(flag.clone(), self.hashes.of(path)?.sha256);
        }
        let done = Done {
            program_sha256: self.program.clone(),
            inputs: self.begun.get(&process.at).cloned().unwrap_or_default(),
            sha256,
            seconds: (process.begun.elapsed().as_secs_f64() * 1e3).round() / 1e3,
            peak_rss_mb: end.peak_rss_mb.map(|mb| (mb * 10.0).round() / 10.0),
            finished: OffsetDateTime::now_utc().format(&Rfc3339)?,
            ..stage.expected()
        };
        done.write(&stage.folder)?;
        Ok(done)
    }

    fn fail(
        &mut self,
        at: usize,
        how: String,
        tail: Vec<String>,
        red: bool,
        on: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let stage = &self.plan.stages[at];
        let failure = Failure {
            stage: stage.name.clone(),
            how,
            tail,
            log: stage.folder.join("log"),
            red,
        };
        self.failed.insert(at);
        on(Event::Failed(stage, &failure))?;
        self.outcome.failures.push(failure);
        Ok(())
    }
}

enum Begun {
    Running(Running, File),
    Done(Box<Done>),
}

/// Holds a stage's folder. A process that was killed may still be on its way out.
fn hold(folder: &Path) -> Result<File> {
    let begun = Instant::now();
    loop {
        match training_run::try_lock(folder)? {
            Some(held) => return Ok(held),
            None if begun.elapsed() < PATIENCE => sleep(PAUSES[1]),
            None => bail!(
                "{}: another process works here: wait for that `factory run`",
                folder.display()
            ),
        }
    }
}

/// Removes what an earlier process left in a stage's folder, but for the lock that is held.
fn clear(folder: &Path) -> Result<()> {
    let cannot = || format!("cannot write {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        paths.push(entry.with_context(cannot)?.path());
    }
    // What says that the stage is done goes first.
    paths.sort_by_key(|path| !path.ends_with(super::done::FILE));
    for path in paths
        .into_iter()
        .filter(|path| !path.ends_with(training_run::LOCK))
    {
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.with_context(cannot)?;
    }
    Ok(())
}

/// Whether a process that was to go on said why it does not, rather than failing on its way.
fn refused(log: &str) -> bool {
    let held = ["another process works here", "another run is writing it"];
    !log.contains("going on after") && !held.iter().any(|held| log.contains(held))
}

fn how(end: &End) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&end.status) {
        return match signal {
            9 => "killed by the system (signal 9), perhaps for want of memory".to_owned(),
            signal => format!("ended by signal {signal}"),
        };
    }
    match end.status.code() {
        Some(code) => format!("exit code {code}"),
        None => "ended without an exit code".to_owned(),
    }
}

/// Errors where nothing can be written into a folder.
fn probe(folder: &Path) -> Result<()> {
    let path = folder.join(".probe");
    write_atomic(&path, &[0; 1 << 16])?;
    if let Err(error) = fs::remove_file(&path) {
        bail!("cannot delete {}: {error}", path.display());
    }
    Ok(())
}
