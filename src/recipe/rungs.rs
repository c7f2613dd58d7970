//! The runs of a recipe made out: which stages each is judged by, for each combination of the matrix that it depends on.

use super::arguments::{self, Word};
use super::commands::{TRAINING, learns};
use super::document::{Faults, Kind, Value, nearest};
use super::draft::{Draft, Drafts, Making};
use super::file::{Gate, Run};
use super::matrix::{Cell, safe};
use super::order;
use super::planned::Planned;
use super::vars::{Filled, Part, Reader, Scope};
use crate::eval::judge::{GateSpec, Role};
use crate::eval::modes;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A run for one combination of what it depends on. Stages are named by their places in the plan.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// `expanded[seed=1]`
    pub name: String,
    /// `expanded`
    pub run: String,
    pub cell: Cell,
    pub target: String,
    pub owner_goal: Option<String>,
    pub training: Option<usize>,
    pub artifact: Option<usize>,
    /// Other stages that learned from rows and that the artifact or a candidate rests on.
    pub behind: Vec<usize>,
    pub heldout: Vec<PathBuf>,
    /// The run that it follows, by its place among the plan's runs.
    pub parent: Option<usize>,
    /// A run of an earlier recipe that it follows, by its id.
    pub follows: Option<String>,
    pub allow_overlap: bool,
    pub gates: Vec<PlannedGate>,
}

/// A gate of a run.
#[derive(Clone, Debug)]
pub struct PlannedGate {
    pub spec: GateSpec,
    pub candidate: usize,
    pub baseline: Option<usize>,
    /// The `generate` stages whose answers were scored.
    pub answers: Option<usize>,
    pub base_answers: Option<usize>,
}

/// A run whose files are not all known yet.
pub struct Drafted {
    run: PlannedRun,
    heldout: Vec<Word>,
}

impl Drafted {
    /// With the places of what stages write.
    pub fn finish(self, drafts: &Drafts, stages: &[Planned]) -> PlannedRun {
        let mut run = self.run;
        let place = |word: &Word| {
            let mut text = String::new();
            for part in &word.text.parts {
                match part {
                    Part::Text(part) => text += part,
                    Part::Stage { name, output } => {
                        let stage = drafts.find(name, &run.cell).and_then(|at| stages.get(at));
                        let output = output.as_deref().unwrap_or("main");
                        let path = stage.and_then(|stage| stage.outputs.get(output));
                        text += &path.cloned().unwrap_or_default().to_string_lossy();
                    }
                }
            }
            PathBuf::from(text)
        };
        let mut heldout: Vec<PathBuf> = self.heldout.iter().map(place).collect();
        let mut seen = BTreeSet::new();
        heldout.retain(|path| seen.insert(path.clone()));
        run.heldout = heldout;
        let mut before: BTreeSet<usize> = run.gates.iter().map(|gate| gate.candidate).collect();
        before.extend(run.artifact);
        for (at, stage) in stages.iter().enumerate().rev() {
            if before.contains(&at) {
                before.extend(&stage.needs);
            }
        }
        let learned = |at: &usize| {
            learns(&stages[*at].words.join(" "))
                && ![run.training, run.artifact].contains(&Some(*at))
        };
        run.behind = before.into_iter().filter(learned).collect();
        run
    }
}

/// Makes out all runs, each behind its parent.
pub fn drafts(making: &Making, drafts: &Drafts, faults: &mut Faults) -> Vec<Drafted> {
    let runs = &making.recipe.runs;
    let lines: Vec<(&str, usize)> = runs.iter().map(|run| (&*run.name, run.line)).collect();
    let mut parents: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for run in runs {
        let Some(value) = run.fields.get("parent") else {
            continue;
        };
        let parent = value.scalar().unwrap_or_default();
        match lines.iter().any(|(name, _)| *name == parent) {
            true => drop(parents.insert(&run.name, vec![parent])),
            false => {
                let near = nearest(&parent, lines.iter().map(|(name, _)| *name));
                faults.add(
                    value.line,
                    format!("parent: no run is called {parent:?}{near}"),
                );
            }
        }
    }
    let mut all: Vec<Drafted> = Vec::new();
    for at in order::sorted(&lines, &parents, faults) {
        let run = &runs[at];
        let parent = parents.get(&*run.name).map(|parent| parent[0].as_str());
        let axes = axes(run, making, drafts, parent, &all);
        let mut seen: Vec<Cell> = Vec::new();
        for (scope, cell) in making.scopes.iter().zip(making.cells) {
            let cell = cell.of(&axes);
            if seen.contains(&cell) {
                continue;
            }
            seen.push(cell.clone());
            let mut reading = Reading {
                making,
                drafts,
                scope,
                cell: &cell,
                faults,
            };
            let mut drafted = reading.run(run);
            let same = |other: &Drafted| {
                Some(&*other.run.run) == parent
                    && other.run.cell.0.iter().all(|value| cell.0.contains(value))
            };
            drafted.run.parent = all.iter().position(same);
            all.push(drafted);
        }
    }
    all
}

/// The variables of the matrix that a run depends on.
fn axes(
    run: &Run,
    making: &Making,
    drafts: &Drafts,
    parent: Option<&str>,
    all: &[Drafted],
) -> BTreeSet<String> {
    let mut axes = BTreeSet::new();
    let Some(scope) = making.scopes.first() else {
        return axes;
    };
    let mut reader = Reader::new(scope, "a run");
    let gates = run.gates.iter().flat_map(|gate| &gate.fields);
    for (key, value) in run.fields.iter().chain(gates) {
        // What is wrong with it is said where it is read.
        let Ok(filled) = reader.fill(value, true) else {
            continue;
        };
        let mut add = |stage: &str| {
            axes.extend(drafts.axes.get(stage).cloned().unwrap_or_default());
        };
        let Filled::Text(text) = filled else {
            continue;
        };
        if STAGES.contains(key) {
            text.as_plain().iter().for_each(|name| add(name));
        }
        for part in &text.parts {
            if let Part::Stage { name, .. } = part {
                add(name);
            }
        }
    }
    axes.extend(reader.axes);
    // It follows each of its parents.
    let parents = all.iter().filter(|other| Some(&*other.run.run) == parent);
    axes.extend(parents.flat_map(|other| other.run.cell.0.iter().map(|(name, _)| name.clone())));
    axes
}

struct Reading<'a, 'f> {
    making: &'a Making<'a>,
    drafts: &'a Drafts<'a>,
    scope: &'a Scope,
    cell: &'a Cell,
    faults: &'f mut Faults,
}

impl Reading<'_, '_> {
    fn run(&mut self, run: &Run) -> Drafted {
        let field = |key: &str| run.fields.get(key);
        let target = field("target").map(|value| self.text(value, "target"));
        if target.is_none() {
            self.faults
                .add(run.line, format!("run {} has no target", run.name));
        }
        let training = field("training").and_then(|v| self.stage(v, "training", &TRAINING));
        let artifact = field("artifact").map(|value| self.stage(value, "artifact", &MAKERS));
        let follows = field("follows").map(|value| self.text(value, "follows"));
        if let (Some(value), Some(id)) = (field("follows"), &follows)
            && (id.is_empty() || id.starts_with('.') || *id != safe(id))
        {
            let fault =
                format!("follows is {id:?}, expected the id of a run: the name of its folder");
            self.faults.add(value.line, fault);
        }
        if let (Some(value), Some(_)) = (field("follows"), field("parent")) {
            let fault = format!(
                "run {} has a parent in this recipe and follows another run",
                run.name
            );
            self.faults.add(value.line, fault);
        }
        let allow_overlap = match field("allow_overlap") {
            None => false,
            Some(value) => match &value.kind {
                Kind::Switch(on) => *on,
                _ => {
                    self.faults
                        .add(value.line, "allow_overlap must be true or false");
                    false
                }
            },
        };
        let mut gates: Vec<PlannedGate> = Vec::new();
        for (at, gate) in run.gates.iter().enumerate() {
            let Some(planned) = self.gate(gate, at == 0) else {
                continue;
            };
            if gates
                .iter()
                .any(|other| other.spec.name == planned.spec.name)
            {
                let name = &planned.spec.name;
                self.faults
                    .add(gate.line, format!("two gates are called {name}"));
            }
            gates.push(planned);
        }
        if run.gates.is_empty() {
            self.faults
                .add(run.line, format!("run {} has no gates", run.name));
        }
        let place = (self.making.commands, self.scope, self.making.folder);
        let heldout = match field("heldout") {
            Some(value) => arguments::paths(value, "heldout", place, self.faults),
            None => {
                let answers = gates.iter().filter_map(|gate| gate.answers);
                let data = answers.flat_map(|at| self.draft(at).arguments.words("data"));
                data.cloned().collect()
            }
        };
        if heldout.is_empty() && !gates.is_empty() {
            let fault = format!(
                "run {} needs heldout: no candidate's answers say it",
                run.name
            );
            self.faults.add(run.line, fault);
        }
        Drafted {
            heldout,
            run: PlannedRun {
                name: self.cell.name(&run.name),
                run: run.name.clone(),
                cell: self.cell.clone(),
                target: target.unwrap_or_default(),
                owner_goal: field("owner_goal").map(|value| self.text(value, "owner_goal")),
                training,
                artifact: artifact.unwrap_or(training),
                behind: Vec::new(),
                heldout: Vec::new(),
                parent: None,
                follows,
                allow_overlap,
                gates,
            },
        }
    }

    fn gate(&mut self, gate: &Gate, first: bool) -> Option<PlannedGate> {
        let field = |key: &str| gate.fields.get(key);
        let name = field("name").map(|value| self.text(value, "name"));
        if name.is_none() {
            self.faults.add(gate.line, "a gate has no name");
        }
        let candidate = match field("candidate") {
            Some(value) => self.stage(value, "candidate", &["eval-sql"]),
            None => {
                self.faults.add(gate.line, "a gate has no candidate");
                None
            }
        };
        let baseline = field("baseline").map(|v| self.stage(v, "baseline", &["eval-sql"]));
        let number = |key: &str, reading: &mut Self| {
            let value = gate.fields.get(key)?;
            let text = reading.text(value, key);
            let number = text.parse();
            if number.is_err() {
                let fault = format!("{key} is {text:?}, expected a number");
                reading.faults.add(value.line, fault);
            }
            number.ok()
        };
        let (min, margin) = (number("min", self), number("margin", self));
        let max_drop = number("max_drop", self);
        let role = match field("role").map(|value| (self.text(value, "role"), value.line)) {
            None if first => Role::Primary,
            None => Role::Regression,
            Some((role, line)) => match role.as_str() {
                "primary" => Role::Primary,
                "regression" => Role::Regression,
                _ => {
                    let fault = format!("role is {role:?}, expected primary or regression");
                    self.faults.add(line, fault);
                    Role::Primary
                }
            },
        };
        let only = field("where").map_or(BTreeMap::new(), |value| self.only(value));
        let candidate = candidate?;
        let baseline = baseline.map_or(Some(None), |stage| stage.map(Some))?;
        let (mode, metric) = self.metric(gate, candidate, baseline)?;
        let spec = GateSpec {
            name: name?,
            mode,
            metric,
            min,
            margin,
            max_drop,
            role,
            only,
        };
        if let Err(error) = spec.check().map(drop) {
            self.faults.add(gate.line, format!("{error:#}"));
        }
        if baseline.is_none() && (margin.is_some() || max_drop.is_some()) {
            let fault = format!("gate {}: margin and max_drop need a baseline", spec.name);
            self.faults.add(gate.line, fault);
        }
        Some(PlannedGate {
            spec,
            candidate,
            baseline,
            answers: self.answers(candidate),
            base_answers: baseline.and_then(|at| self.answers(at)),
        })
    }

    /// The mode and the metric of a gate, which both of its stages must have.
    fn metric(
        &mut self,
        gate: &Gate,
        candidate: usize,
        baseline: Option<usize>,
    ) -> Option<(String, String)> {
        let scored = |at: usize| {
            let given = self.draft(at).arguments.values("mode");
            let modes = given.iter().flat_map(|modes| modes.split(','));
            let modes: Vec<String> = modes.map(|mode| mode.trim().to_owned()).collect();
            match modes.is_empty() {
                true => vec![modes::ALL[0].name().to_owned()],
                false => modes,
            }
        };
        let (own, base) = (scored(candidate), baseline.map(scored));
        let (mode, metric) = (gate.fields.get("mode"), gate.fields.get("metric"));
        let line = mode.map_or(gate.line, |value| value.line);
        let mode = mode.map_or(modes::ALL[0].name().to_owned(), |v| self.text(v, "mode"));
        for (modes, at) in [(Some(own), Some(candidate)), (base, baseline)] {
            let (Some(modes), Some(at)) = (modes, at) else {
                continue;
            };
            if !modes.contains(&mode) {
                let stage = &self.draft(at).stage.name;
                let near = nearest(&mode, modes.iter().map(String::as_str));
                let fault = format!("mode {mode} is none that stage {stage} scores{near}");
                self.faults.add(line, fault);
            }
        }
        let metrics = modes::named(&mode).map_or(&[][..], |mode| mode.metrics());
        let line = metric.map_or(gate.line, |value| value.line);
        let metric = match metric {
            Some(value) => self.text(value, "metric"),
            None => metrics.first().map_or("", |metric| metric.mean).to_owned(),
        };
        let known = |name: &str| metrics.iter().any(|m| m.mean == name || m.column == name);
        if !metrics.is_empty() && !known(&metric) {
            let near = nearest(&metric, metrics.iter().map(|metric| metric.mean));
            self.faults
                .add(line, format!("mode {mode} has no metric {metric}{near}"));
            return None;
        }
        Some((mode, metric))
    }

    fn draft(&self, at: usize) -> &Draft<'_> {
        &self.drafts.all[at]
    }

    /// The `generate` stage whose answers a stage scores.
    fn answers(&self, scored: usize) -> Option<usize> {
        let draft = self.draft(scored);
        let words = PREDICTIONS
            .iter()
            .flat_map(|flag| draft.arguments.words(flag));
        let mut stages = words.filter_map(|word| word.text.as_stage());
        let at = self.drafts.find(stages.next()?, self.cell)?;
        (self.draft(at).command.name() == "generate").then_some(at)
    }

    /// The stage that a value names, plainly or in braces.
    fn stage(&mut self, value: &Value, what: &str, commands: &[&str]) -> Option<usize> {
        let filled = Reader::new(self.scope, what).fill(value, true);
        let name = match &filled {
            Ok(Filled::Text(text)) => match text.as_stage() {
                Some(stage) => Some(stage.to_owned()),
                None => text.as_plain(),
            },
            Ok(_) => None,
            Err(fault) => {
                self.faults.add(value.line, fault);
                return None;
            }
        };
        let Some(name) = name else {
            self.faults
                .add(value.line, format!("{what} must be the name of a stage"));
            return None;
        };
        let stages = &self.making.recipe.stages;
        if !stages.iter().any(|stage| stage.name == name) {
            let near = nearest(&name, stages.iter().map(|stage| stage.name.as_str()));
            self.faults.add(
                value.line,
                format!("{what}: no stage is called {name:?}{near}"),
            );
            return None;
        }
        // One whose command is not known, or in a circle, is not there.
        let at = self.drafts.find(&name, self.cell)?;
        let command = self.draft(at).command.name();
        if !commands.contains(&&*command) {
            let wanted = commands.join(", ");
            let fault = format!("{what}: stage {name} is {command}, expected {wanted}");
            self.faults.add(value.line, fault);
            return None;
        }
        Some(at)
    }

    /// A text or number without stages.
    fn text(&mut self, value: &Value, what: &str) -> String {
        let text = match Reader::new(self.scope, what).fill(value, false) {
            Ok(Filled::Text(text)) => text.as_plain(),
            Ok(_) => None,
            Err(fault) => {
                self.faults.add(value.line, fault);
                return String::new();
            }
        };
        text.unwrap_or_else(|| {
            let found = value.what();
            self.faults
                .add(value.line, format!("{what} is {found}, expected text"));
            String::new()
        })
    }

    /// The fields and texts of `where`.
    fn only(&mut self, value: &Value) -> BTreeMap<String, String> {
        match &value.kind {
            Kind::Table(entries) => {
                let text =
                    |e: &super::document::Entry| (e.key.clone(), self.text(&e.value, &e.key));
                entries.iter().map(text).collect()
            }
            _ => {
                self.faults.add(
                    value.line,
                    "where must be a table of fields and their texts",
                );
                BTreeMap::new()
            }
        }
    }
}

/// The keys of a run and its gates that name stages.
const STAGES: [&str; 4] = ["training", "artifact", "candidate", "baseline"];

/// Commands that make what can be shipped.
const MAKERS: [&str; 8] = [
    "sft",
    "rft",
    "dpo",
    "grpo",
    "route fit",
    "adapter compose",
    "adapter merge",
    "adapter convert",
];

/// The names of what eval-sql scores.
const PREDICTIONS: [&str; 2] = ["predictions", "data"];
