//! The run folders of a recipe: begun before its first stage, brought on as its stages end, made whole and decided at the end.

use super::assemble::assemble;
use super::commands::TRAINING;
use super::dataset;
use super::decision::decide;
use super::done::Done;
use super::evidence::{Evidence, GateEvidence};
use super::execute::Event;
use super::identity::{Identity, run_id};
use super::next;
use super::place::{Place, place};
use super::plan::Plan;
use super::planned::Planned;
use super::records::{self, Decision};
use super::rungs::PlannedRun;
use super::state::State;
use super::status::{self, Live, Phase};
use crate::eval::judge::Verdict;
use crate::run::files::write_atomic;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a sweep writes of its points.
const SWEEP: &str = "sweep.json";
/// Flags that name the files whose rows a set of rows is made of.
const ROWS: [&str; 3] = ["--source", "--pool", "--data"];
/// Who changes a run's phase.
const SOURCE: &str = "factory run";

/// The run folders of a plan.
pub struct Folders<'a> {
    plan: &'a Plan,
    /// What goes on with the runs, as a person types it.
    command: &'a [String],
    /// By the places of the plan's runs; none of one that a stage is left out of.
    runs: Vec<Option<Held>>,
    /// Which stages are done.
    done: Vec<bool>,
}

/// A run folder.
enum Held {
    /// It was decided before, on the same stages.
    Decided(PathBuf),
    /// It is worked on.
    Live(Box<Live>),
    Failed,
}

/// A run that is decided.
pub struct Concluded {
    /// Its place among the plan's runs.
    pub at: usize,
    pub folder: PathBuf,
    pub verdicts: Vec<Verdict>,
    pub decision: Decision,
    /// Whether it was decided before.
    pub before: bool,
}

impl<'a> Folders<'a> {
    /// Finds or begins the folder of each run, in `runs`.
    pub fn begin(
        plan: &'a Plan,
        states: &[State],
        runs: &Path,
        command: &'a [String],
    ) -> Result<Self> {
        let mut folders = Self {
            plan,
            command,
            runs: Vec::new(),
            done: vec![false; plan.stages.len()],
        };
        let words = super::process::quoted(command);
        for run in &plan.runs {
            let held = match chosen(plan, states, run) {
                false => None,
                true => {
                    let parent = match run.parent {
                        Some(at) => folders.id(at)?,
                        None => run.follows.clone(),
                    };
                    let identity = identity(plan, run);
                    let place = place(&identity, runs, parent.as_deref(), Some(&words))?;
                    if let (Place::Begun(live), Some(before)) = (&place, &run.follows) {
                        let id = &live.status().run_id;
                        Live::open(&runs.join(before))?.succeeded_by(id)?;
                    }
                    Some(match place {
                        Place::Decided(folder) => Held::Decided(folder),
                        Place::GoOn(live) | Place::Begun(live) => Held::Live(Box::new(live)),
                    })
                }
            };
            folders.runs.push(held);
            folders.reach(folders.runs.len() - 1, Phase::DataReady)?;
        }
        Ok(folders)
    }

    fn id(&self, at: usize) -> Result<Option<String>> {
        match &self.runs[at] {
            Some(Held::Live(live)) => Ok(Some(live.status().run_id.clone())),
            Some(Held::Decided(folder)) => run_id(folder).map(Some),
            Some(Held::Failed) | None => Ok(None),
        }
    }

    /// Brings on the runs that a stage belongs to.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        let place = |stage: &Planned| self.plan.stages.iter().position(|s| s.name == stage.name);
        let (stage, failure) = match event {
            Event::Cached(stage, _) | Event::Done(stage, _) | Event::Started { stage, .. } => {
                (stage, None)
            }
            Event::Failed(stage, failure) => (stage, Some(failure)),
            Event::Said(..) => return Ok(()),
        };
        let Some(at) = place(stage) else {
            return Ok(());
        };
        if matches!(event, Event::Cached(..) | Event::Done(..)) {
            self.done[at] = true;
        }
        for (run, planned) in self.plan.runs.iter().enumerate() {
            if !self.plan.before(&stages(planned)).contains(&at) {
                continue;
            }
            if let Some(failure) = failure {
                if let Some(Held::Live(live)) = &mut self.runs[run] {
                    let summary = format!("stage {}: {}", failure.stage, failure.how);
                    live.fail(SOURCE, "stage-failed", &summary)?;
                    self.runs[run] = Some(Held::Failed);
                }
                continue;
            }
            let learning = learning(planned);
            let learned = learning.iter().all(|at| self.done[*at]);
            let begins = matches!(event, Event::Started { .. });
            match (learning.contains(&at), begins) {
                (true, true) => self.reach(run, Phase::Training)?,
                (true, false) if learned => self.reach(run, Phase::Trained)?,
                (false, true) if learned => self.reach(run, Phase::Evaluating)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Brings a run through every phase up to `to`, where it is not behind that already.
    fn reach(&mut self, run: usize, to: Phase) -> Result<()> {
        let planned = &self.plan.runs[run];
        let Some(Held::Live(live)) = &mut self.runs[run] else {
            return Ok(());
        };
        // A base that is measured alone is not trained, and nothing of it is packed.
        let measured = planned.training.is_none() && planned.artifact.is_none();
        let made = [
            Phase::Training,
            Phase::Trained,
            Phase::Packaging,
            Phase::Packaged,
        ];
        let reason = measured.then_some("a base is measured alone");
        for phase in Phase::ALL.into_iter().filter(|phase| *phase <= to) {
            if !(measured && made.contains(&phase)) {
                live.reach(phase, SOURCE, None, reason)?;
            }
        }
        Ok(())
    }

    /// Makes the runs whole whose stages are all done, and decides on them; `done` are the stages by their places, `render`
    /// writes the report into a folder that has everything else. The other runs stay as they are.
    pub fn conclude(
        mut self,
        done: &[Option<Done>],
        render: &dyn Fn(&Path) -> Result<()>,
    ) -> Result<Vec<Concluded>> {
        let mut concluded = Vec::new();
        for (at, run) in self.plan.runs.iter().enumerate() {
            let folder = match &self.runs[at] {
                Some(Held::Decided(folder)) => {
                    concluded.push(Concluded::read(at, folder, true)?);
                    continue;
                }
                Some(Held::Live(live)) => live.folder().to_owned(),
                Some(Held::Failed) | None => continue,
            };
            if stages(run).iter().any(|at| done[*at].is_none()) {
                continue;
            }
            let whole = self.make(at, done, &folder, render);
            if let (Err(error), Some(Held::Live(live))) = (&whole, &mut self.runs[at]) {
                // It would fail the same way again; what mends it is another run.
                live.fail(SOURCE, "not-made", &format!("{error:#}"))?;
            }
            whole.with_context(|| format!("run {}", run.name))?;
            concluded.push(Concluded::read(at, &folder, false)?);
        }
        Ok(concluded)
    }

    fn make(
        &mut self,
        at: usize,
        done: &[Option<Done>],
        folder: &Path,
        render: &dyn Fn(&Path) -> Result<()>,
    ) -> Result<()> {
        let run = &self.plan.runs[at];
        let evidence = evidence(self.plan, run, self.command, |at| done[at].clone())?;
        self.reach(at, Phase::Evaluated)?;
        assemble(&evidence, folder)?;
        self.trade_off(run, done, folder)?;
        self.reach(at, Phase::Packaged)?;
        next::of_run::write(&evidence, folder)?;
        self.reach(at, Phase::Reporting)?;
        decide(folder)?;
        render(folder)?;
        self.reach(at, Phase::Decided)
    }

    /// Puts what a sweep found into the folder, where it measured the very adapters that the run rests on.
    fn trade_off(&self, run: &PlannedRun, done: &[Option<Done>], folder: &Path) -> Result<()> {
        let trained = |stages: BTreeSet<usize>| -> BTreeSet<usize> {
            let words = |at: &usize| self.plan.stages[*at].words.join(" ");
            let is = |at: &usize| TRAINING.contains(&words(at).as_str());
            stages.into_iter().filter(is).collect()
        };
        let own = trained(self.plan.before(&learning(run)));
        for (at, stage) in self.plan.stages.iter().enumerate() {
            let Some(done) = &done[at] else { continue };
            if stage.words == ["sweep"]
                && !own.is_empty()
                && own == trained(self.plan.before(&[at].into()))
            {
                let found = std::fs::read(done.main()?.join(SWEEP))?;
                return write_atomic(&folder.join(SWEEP), &found);
            }
        }
        Ok(())
    }
}

impl Concluded {
    fn read(at: usize, folder: &Path, before: bool) -> Result<Self> {
        Ok(Self {
            at,
            folder: folder.to_owned(),
            verdicts: records::read(folder, records::GATES)?,
            decision: records::read(folder, records::DECISION)?,
            before,
        })
    }

    /// Whether every gate passes.
    pub fn passes(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.passed)
    }
}

/// Whether no stage of a run is left out.
fn chosen(plan: &Plan, states: &[State], run: &PlannedRun) -> bool {
    let stages = plan.before(&stages(run));
    !stages
        .iter()
        .any(|at| matches!(states[*at], State::LeftOut))
}

/// Looks at what each run will rest on, before any stage runs.
///
/// Errors where training and held-out rows overlap and may not, where a gate's two sides answer other rows, and where what is
/// judged is not what was made.
pub fn check(plan: &Plan, states: &[State]) -> Result<()> {
    for run in plan.runs.iter().filter(|run| chosen(plan, states, run)) {
        if let Some(id) = &run.follows {
            // Stages lie in a folder of the runs'.
            let runs = plan.folder.parent().unwrap_or(Path::new(""));
            ensure!(
                runs.join(id).join(status::FILE).exists(),
                "run {}: it follows {id}, which is no run in {}: give the folder of that run's runs with --runs",
                run.name,
                runs.display()
            );
        }
        let planned = evidence(plan, run, &[], |at| Some(expected(plan, at)))?;
        check_run(plan, run, &planned).with_context(|| format!("run {}", run.name))?;
    }
    Ok(())
}

/// What a stage will be. Rows that are still to be made for it are those that they are made of.
fn expected(plan: &Plan, at: usize) -> Done {
    let mut done = plan.stages[at].expected();
    if TRAINING.contains(&done.name().as_str()) {
        for path in done.values("--data").iter().map(Path::new) {
            for origin in origins(plan, path).iter().filter(|origin| *origin != path) {
                let words = ["--data".to_owned(), origin.display().to_string()];
                done.command.extend(words);
            }
        }
    }
    done
}

/// The file itself where it is there, else those that the stage that writes it takes rows from.
fn origins(plan: &Plan, path: &Path) -> Vec<PathBuf> {
    let writes = |stage: &&Planned| stage.outputs.values().any(|output| output == path);
    match plan.stages.iter().find(writes) {
        Some(stage) if !path.is_file() => {
            let stage = stage.expected();
            let taken = ROWS.iter().flat_map(|flag| stage.values(flag));
            taken
                .flat_map(|path| origins(plan, Path::new(&path)))
                .collect()
        }
        _ => vec![path.to_owned()],
    }
}

fn check_run(plan: &Plan, run: &PlannedRun, planned: &Evidence) -> Result<()> {
    let made = learning(run);
    let primary = planned.primary()?.gate.name.clone();
    for (gate, own) in run.gates.iter().zip(&planned.gates) {
        let name = &own.gate.name;
        let rows = |done: &Done| [done.values("--data"), done.values("--shard")].concat();
        let asked = |done: &Option<Done>| Some(rows(done.as_ref()?));
        if let (Some(one), Some(other)) = (asked(&own.answers), asked(&own.base_answers)) {
            ensure!(
                one == other,
                "gate {name}: the candidate answers {}, the baseline {}: both must answer the same rows",
                one.join(", "),
                other.join(", ")
            );
        }
        if let Some(baseline) = &own.baseline {
            let [one, other] = [&own.candidate, baseline].map(|done| done.values("--shard"));
            ensure!(
                one == other,
                "gate {name}: the candidate and the baseline score other shards: both must score the same rows"
            );
        }
        if made.is_empty() || *name != primary {
            continue;
        }
        let before = plan.before(&[gate.candidate].into());
        ensure!(
            !before.is_disjoint(&made),
            "gate {name}: its candidate {} does not rest on what the run makes",
            plan.stages[gate.candidate].name
        );
        ensure!(
            gate.baseline.is_some(),
            "gate {name}: give a baseline, a scoring of the same rows by what was there before: it is what a run is held against"
        );
    }
    dataset::check(planned)
}

/// The stages that learned from rows for a run, and what is made of them.
fn learning(run: &PlannedRun) -> BTreeSet<usize> {
    let made = run.training.into_iter().chain(run.artifact);
    made.chain(run.behind.iter().copied()).collect()
}

/// The stages that a run folder is made from.
fn stages(run: &PlannedRun) -> BTreeSet<usize> {
    let mut stages = learning(run);
    for gate in &run.gates {
        stages.insert(gate.candidate);
        stages.extend(
            [gate.baseline, gate.answers, gate.base_answers]
                .iter()
                .flatten(),
        );
    }
    stages
}

/// A run with the same stages, gates and rows is the same run.
fn identity(plan: &Plan, run: &PlannedRun) -> Identity {
    let keys = stages(run)
        .into_iter()
        .map(|at| plan.stages[at].key.clone());
    let gates = run.gates.iter().map(|gate| format!("{:?}", gate.spec));
    let rest = format!(
        "{:?}",
        (
            &run.target,
            &run.owner_goal,
            &run.heldout,
            run.allow_overlap
        )
    );
    Identity {
        name: run.name.clone(),
        keys: keys.chain(gates).chain([rest]).collect(),
    }
}

/// What a run rests on; an error names a stage that `done` does not have.
fn evidence(
    plan: &Plan,
    run: &PlannedRun,
    command: &[String],
    done: impl Fn(usize) -> Option<Done>,
) -> Result<Evidence> {
    let of =
        |at: usize| done(at).with_context(|| format!("stage {} is not done", plan.stages[at].name));
    let some = |at: Option<usize>| at.map(of).transpose();
    let gate = |gate: &super::rungs::PlannedGate| {
        Ok(GateEvidence {
            gate: gate.spec.clone(),
            candidate: of(gate.candidate)?,
            baseline: some(gate.baseline)?,
            answers: some(gate.answers)?,
            base_answers: some(gate.base_answers)?,
        })
    };
    Ok(Evidence {
        name: run.name.clone(),
        target: run.target.clone(),
        owner_goal: run.owner_goal.clone(),
        command: command.to_vec(),
        recipe: plan.resolved(),
        training: some(run.training)?,
        artifact: some(run.artifact)?,
        behind: run.behind.iter().map(|at| of(*at)).collect::<Result<_>>()?,
        heldout: heldout(plan, run),
        allow_overlap: run.allow_overlap,
        gates: run.gates.iter().map(gate).collect::<Result<_>>()?,
    })
}

/// The rows that a run names as held out, and those that its candidates answer.
fn heldout(plan: &Plan, run: &PlannedRun) -> Vec<PathBuf> {
    let mut all = run.heldout.clone();
    for at in run.gates.iter().filter_map(|gate| gate.answers) {
        let asked = plan.stages[at].expected().values("--data");
        for path in asked.into_iter().map(PathBuf::from) {
            if !all.contains(&path) {
                all.push(path);
            }
        }
    }
    all
}
