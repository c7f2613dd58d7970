//! A recipe made out: every stage for every combination of the matrix, with its command line, its key and its folder. All that
//! can be wrong with it is found here, before anything runs.

use super::arguments::{self, Arguments, Word};
use super::commands::{Command, Commands, Resume};
use super::document::{Faults, Value, nearest};
use super::done::FILE;
use super::file::{self, Recipe, Stage};
use super::hashes::{Hashed, Hashes};
use super::matrix::{Cell, Cells, combinations, safe};
use super::rungs::{self, PlannedRun};
use super::vars::{Part, Piece, Scope, pieces};
use super::{key, order, set};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where a recipe's work lies, and how its variables are set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of runs; stages lie in its folder `stages`.
    pub runs: PathBuf,
    /// `--set NAME=VALUE`
    pub set: Vec<(String, String)>,
}

/// A recipe made out.
#[derive(Debug)]
pub struct Plan {
    pub recipe: Recipe,
    /// Each behind what it needs.
    pub stages: Vec<Planned>,
    /// Each behind its parent.
    pub runs: Vec<PlannedRun>,
    /// The matrix's variables and all their combinations.
    pub variables: Vec<String>,
    pub cells: Vec<Cell>,
    /// The folder of the stages' folders.
    pub folder: PathBuf,
    /// The variables and what they are set to, those of the matrix with all their values.
    pub values: BTreeMap<String, Vec<String>>,
}

/// A stage for one combination of what it depends on.
#[derive(Clone, Debug)]
pub struct Planned {
    /// `train[rank=4]`
    pub name: String,
    /// `train`
    pub stage: String,
    pub cell: Cell,
    /// The command's own words: `adapter`, `merge`.
    pub words: Vec<String>,
    /// With its flags; the program's name is not in it.
    pub command: Vec<String>,
    pub key: String,
    pub folder: PathBuf,
    /// `main`, and others by the names of their flags.
    pub outputs: BTreeMap<String, PathBuf>,
    /// Whether the main output is what the command prints.
    pub printed: bool,
    pub resume: Resume,
    /// The stages that come before, by their places in the plan.
    pub needs: Vec<usize>,
    /// The files and folders that it reads, with their hashes as they were planned with.
    pub inputs: Vec<(PathBuf, Hashed)>,
    /// What it reads of other stages.
    pub behind: Vec<PathBuf>,
}

/// A stage for one combination, before keys and folders are known.
pub(super) struct Draft<'a> {
    pub stage: &'a Stage,
    pub command: &'a Command,
    pub cell: Cell,
    pub arguments: Arguments,
    /// What it reads of, or comes behind.
    pub needs: Vec<usize>,
}

/// What runs are made out of, too.
pub(super) struct Drafts<'a> {
    pub all: Vec<Draft<'a>>,
    pub axes: BTreeMap<&'a str, BTreeSet<String>>,
}

impl Drafts<'_> {
    /// The stage of that name which belongs to a combination.
    pub fn find(&self, stage: &str, cell: &Cell) -> Option<usize> {
        let own = cell.of(self.axes.get(stage)?);
        let same = |draft: &Draft| draft.stage.name == stage && draft.cell == own;
        self.all.iter().position(same)
    }
}

/// Makes out the recipe at `path`.
///
/// # Errors
/// [`Faults`] with every fault of the recipe, and others where a file cannot be read.
pub fn plan(path: &Path, settings: &Settings, commands: &Commands) -> Result<Plan> {
    let mut faults = Faults::new(path);
    let mut recipe = file::read(path, &mut faults)?;
    let set = set::take(&mut recipe, &settings.set, &mut faults);
    let combinations = combinations(&recipe.matrix);
    let folder = recipe.folder();
    let cells: Vec<Cell> = combinations
        .iter()
        .map(|cell| as_cell(&recipe, cell))
        .collect();
    let mut scopes = Vec::new();
    for cell in &combinations {
        scopes.push(Scope::new(&recipe, &set, cell, &mut faults));
    }
    let known = known_commands(&recipe, commands, &mut faults);
    let needs = needs(&recipe, &mut faults);
    let lines: Vec<(&str, usize)> = recipe.stages.iter().map(|s| (&*s.name, s.line)).collect();
    let sorted = order::sorted(&lines, &needs, &mut faults);
    let mut drafts = Drafts {
        all: Vec::new(),
        axes: BTreeMap::new(),
    };
    for stage in sorted.into_iter().map(|at| &recipe.stages[at]) {
        let Some(command) = known.get(&*stage.name) else {
            // Those behind it still find something there.
            drafts.axes.insert(&stage.name, BTreeSet::new());
            continue;
        };
        let mut read = |at: usize| {
            let scope = &scopes[at];
            let before = faults.added();
            let read = arguments::read(stage, command, commands, scope, &folder, &mut faults);
            if faults.added() == before && !read.unknown {
                check(stage, command, commands, &read, &mut faults);
            }
            read
        };
        let Some(mut first) = (!cells.is_empty()).then(|| read(0)) else {
            continue;
        };
        let mut axes = std::mem::take(&mut first.axes);
        let own = needs.get(&*stage.name).map_or(&[][..], Vec::as_slice);
        for need in own {
            axes.extend(drafts.axes.get(&**need).cloned().unwrap_or_default());
        }
        drafts.axes.insert(&stage.name, axes.clone());
        let mut first = Some(first);
        for (at, cell) in cells.iter().enumerate() {
            let cell = cell.of(&axes);
            if drafts.find(&stage.name, &cell).is_some() {
                continue;
            }
            let arguments = match first.take() {
                Some(first) => first,
                None => read(at),
            };
            let needs = own.iter().filter_map(|need| drafts.find(need, &cell));
            drafts.all.push(Draft {
                stage,
                command,
                needs: needs.collect(),
                cell,
                arguments,
            });
        }
    }
    check_outputs(&recipe, &drafts, &mut faults);
    let context = rungs::Context {
        recipe: &recipe,
        commands,
        scopes: &scopes,
        cells: &cells,
        drafts: &drafts,
        folder: &folder,
    };
    let runs = rungs::drafts(&context, &mut faults);
    faults.refuse()?;

    let stages_folder = settings.runs.join("stages");
    let mut hashes = Hashes::open(&stages_folder);
    let mut stages: Vec<Planned> = Vec::new();
    for draft in &drafts.all {
        let planned = planned(draft, &drafts, &stages, &stages_folder, &mut hashes)?;
        stages.push(planned);
    }
    let runs = runs
        .into_iter()
        .map(|run| run.finish(&drafts, &stages))
        .collect();
    if stages_folder.exists() {
        hashes.save()?;
    }
    let values = values(&scopes);
    let variables = recipe.matrix.iter().map(|axis| axis.name.clone()).collect();
    drop(drafts);
    Ok(Plan {
        stages,
        runs,
        variables,
        cells,
        folder: stages_folder,
        values,
        recipe,
    })
}

impl Plan {
    /// For each combination of the matrix what is done for it, `done` being that of each stage by its place.
    pub fn cells(&self, done: &[Option<super::done::Done>]) -> Cells {
        let of = |cell: &Cell| {
            let own = self.stages.iter().zip(done).filter(|(stage, _)| {
                let mut values = stage.cell.0.iter();
                values.all(|value| cell.0.contains(value))
            });
            let own = own.filter_map(|(stage, done)| Some((stage.stage.clone(), done.clone()?)));
            (cell.clone(), own.collect())
        };
        Cells {
            variables: self.variables.clone(),
            cells: self.cells.iter().map(of).collect(),
        }
    }

    /// The places of the stages called `name`, by their name in the recipe or that of one combination.
    pub fn named(&self, name: &str) -> Result<BTreeSet<usize>, String> {
        let is = |stage: &Planned| stage.name == name || stage.stage == name;
        let all = self.stages.iter().enumerate();
        let found: BTreeSet<usize> = all.filter(|(_, s)| is(s)).map(|(at, _)| at).collect();
        match found.is_empty() {
            false => Ok(found),
            true => {
                let names = self.stages.iter().map(|stage| stage.stage.as_str());
                let names: BTreeSet<&str> = names.collect();
                Err(format!("no stage is called {name}{}", nearest(name, names)))
            }
        }
    }

    /// `from` and every stage behind one of them.
    pub fn behind(&self, from: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut all = from.clone();
        for (at, stage) in self.stages.iter().enumerate() {
            if stage.needs.iter().any(|need| all.contains(need)) {
                all.insert(at);
            }
        }
        all
    }

    /// `of` and every stage that one of them needs.
    pub fn before(&self, of: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut all = of.clone();
        for (at, stage) in self.stages.iter().enumerate().rev() {
            if all.contains(&at) {
                all.extend(&stage.needs);
            }
        }
        all
    }

    /// The recipe's text, headed by the variables' values.
    pub fn resolved(&self) -> String {
        let mut text = format!("# {} with\n", self.recipe.path.display());
        for (name, values) in &self.values {
            text += &format!("#   {name} = {}\n", values.join(", ").replace('\n', " "));
        }
        text + "\n" + &self.recipe.text
    }
}

fn as_cell(recipe: &Recipe, values: &BTreeMap<String, Value>) -> Cell {
    let value = |name: &str| values.get(name).and_then(Value::scalar);
    let named = recipe.matrix.iter().map(|axis| &axis.name);
    Cell(
        named
            .map(|n| (n.clone(), value(n).unwrap_or_default()))
            .collect(),
    )
}

fn known_commands<'a>(
    recipe: &'a Recipe,
    commands: &'a Commands,
    faults: &mut Faults,
) -> BTreeMap<&'a str, &'a Command> {
    let mut known = BTreeMap::new();
    for stage in &recipe.stages {
        let words = stage.command.scalar().unwrap_or_default();
        let words: Vec<&str> = words.split_whitespace().collect();
        match commands.find(&words.join(" ")) {
            Ok(command) => {
                known.insert(&*stage.name, command);
            }
            Err(fault) => faults.add(stage.command.line, fault),
        }
    }
    known
}

/// For each stage the stages that it names.
fn needs<'a>(recipe: &'a Recipe, faults: &mut Faults) -> BTreeMap<&'a str, Vec<String>> {
    let names: BTreeSet<&str> = recipe.stages.iter().map(|stage| &*stage.name).collect();
    let of = |stage: &Stage, faults: &mut Faults| {
        let flags = stage.flags.iter().map(|flag| &flag.value);
        let read = flags.chain(&stage.reads);
        let mut needs: Vec<String> = read.flat_map(|v| arguments::stages_in(v, &names)).collect();
        for (name, line) in arguments::after(stage) {
            match names.contains(&*name) {
                true => needs.push(name),
                false => {
                    let near = nearest(&name, names.iter().copied());
                    faults.add(line, format!("after: no stage is called {name:?}{near}"));
                }
            }
        }
        needs.sort();
        needs.dedup();
        needs
    };
    let all = recipe.stages.iter();
    all.map(|stage| (&*stage.name, of(stage, faults))).collect()
}

/// Has the command look at its line, with some path for what other stages write.
fn check(
    stage: &Stage,
    command: &Command,
    commands: &Commands,
    arguments: &Arguments,
    faults: &mut Faults,
) {
    let some = |_: &str, _: &Option<String>| PathBuf::from("STAGE");
    let words = line(command, arguments, &|_| PathBuf::from("OUT"), &some);
    if let Err(fault) = (commands.check)(&words) {
        let named = stage.flags.iter().find(|flag| {
            let spelled = format!("--{} ", flag.key.replace('_', "-"));
            format!("{fault} ")
                .replace(['\'', '<', '='], " ")
                .contains(&spelled)
        });
        let at = named.map_or(stage.line, |flag| flag.value.line);
        faults.add(at, format!("stage {}: {fault}", stage.name));
    }
}

/// The command line: `output` gives the place of a file of its folder, `stage` that of another stage's output.
fn line(
    command: &Command,
    arguments: &Arguments,
    output: &dyn Fn(&str) -> PathBuf,
    stage: &dyn Fn(&str, &Option<String>) -> PathBuf,
) -> Vec<String> {
    let mut words = command.words.clone();
    let mut push = |spelled: &Option<String>, value: Option<String>| match (spelled, value) {
        (Some(flag), Some(value)) if value.starts_with('-') => {
            words.push(format!("{flag}={value}"))
        }
        (flag, value) => words.extend(flag.clone().into_iter().chain(value)),
    };
    for argument in &arguments.all {
        let value = argument.word.as_ref().map(|word| text(word, stage));
        push(&argument.spelled, value);
    }
    let main = command
        .main
        .flag
        .iter()
        .map(|flag| (flag, main_file(command, arguments)));
    let others = arguments.outputs.iter().map(|(flag, file)| (flag, *file));
    for (flag, file) in main.chain(others) {
        let spelled = format!("--{}", flag.replace('_', "-"));
        push(
            &Some(spelled),
            Some(output(file).to_string_lossy().into_owned()),
        );
    }
    words
}

fn text(word: &Word, stage: &dyn Fn(&str, &Option<String>) -> PathBuf) -> String {
    let mut text = word.prefix.clone();
    for part in &word.text.parts {
        match part {
            Part::Text(part) => text += part,
            Part::Stage { name, output } => text += &stage(name, output).to_string_lossy(),
        }
    }
    text
}

/// What the main output is called.
fn main_file(command: &Command, arguments: &Arguments) -> &'static str {
    match command.main.instead {
        Some((flag, value, file)) if arguments.values(flag).iter().any(|v| v == value) => file,
        _ => command.main.file,
    }
}

/// Each `{STAGE.FLAG}` must be a file that the stage writes.
fn check_outputs(recipe: &Recipe, drafts: &Drafts, faults: &mut Faults) {
    let mut look = |value: &Value| {
        value.texts(&mut |text| {
            for piece in pieces(text).unwrap_or_default() {
                let Piece::Name(name) = piece else { continue };
                let Some((stage, output)) = name.split_once('.') else {
                    continue;
                };
                let output = output.replace('-', "_");
                let Some(draft) = drafts.all.iter().find(|d| d.stage.name == stage) else {
                    continue;
                };
                let mut written = draft.arguments.outputs.iter();
                if written.any(|(flag, _)| *flag == output) {
                    continue;
                }
                let fault = match draft.command.outputs().any(|flag| flag == output) {
                    true => format!("{{{name}}} is not written: set {output} = true in {stage}"),
                    false => {
                        let near = nearest(&output, draft.command.outputs());
                        format!(
                            "{{{name}}}: {} writes no {output}{near}",
                            draft.command.name()
                        )
                    }
                };
                faults.add(value.line, fault);
            }
        });
    };
    for stage in &recipe.stages {
        stage.flags.iter().for_each(|flag| look(&flag.value));
        stage.reads.iter().for_each(&mut look);
    }
    for run in &recipe.runs {
        run.fields.values().for_each(&mut look);
    }
}

/// The stage with its key, its folder and its whole command. `before` are those planned so far.
fn planned(
    draft: &Draft,
    drafts: &Drafts,
    before: &[Planned],
    stages: &Path,
    hashes: &mut Hashes,
) -> Result<Planned> {
    let Draft {
        stage,
        command,
        cell,
        arguments,
        needs,
    } = draft;
    // Every stage that a text names is planned: the drafts are in order.
    let of = |name: &str| drafts.find(name, cell).and_then(|at| before.get(at));
    let key_of = |name: &str| of(name).map_or(String::new(), |stage| stage.key.clone());
    let (key, inputs) = key::of(&command.name(), arguments, hashes, key_of)?;
    let name = cell.name(&stage.name);
    let folder = folder(stages, &name, &key);
    let place = |file: &str| folder.join(file);
    let output_of = |name: &str, output: &Option<String>| {
        let output = output.as_deref().unwrap_or("main");
        let path = of(name).and_then(|stage| stage.outputs.get(output));
        path.cloned().unwrap_or_default()
    };
    let main = main_file(command, arguments);
    let others = arguments.outputs.iter();
    let outputs = std::iter::once(("main".to_owned(), place(main)))
        .chain(others.map(|(flag, file)| (flag.clone(), place(file))))
        .collect();
    let reads = |word: &&Word| {
        let mut parts = word.text.parts.iter();
        parts.any(|part| matches!(part, Part::Stage { .. }))
    };
    let behind = arguments.all_words().filter(reads);
    let behind = behind.map(|word| {
        let unnamed = Word {
            prefix: String::new(),
            ..word.clone()
        };
        PathBuf::from(text(&unnamed, &output_of))
    });
    Ok(Planned {
        command: line(command, arguments, &place, &output_of),
        words: command.words.clone(),
        stage: stage.name.clone(),
        cell: cell.clone(),
        needs: needs.clone(),
        printed: command.main.flag.is_none(),
        resume: command.resume,
        behind: behind.collect(),
        name,
        inputs,
        outputs,
        key,
        folder,
    })
}

/// Hexadecimal digits of a key that stand in a folder's name.
const SHORT: usize = 12;

/// The folder of a stage: one of its key that is there, whatever the stage was called, else that of its name.
fn folder(stages: &Path, name: &str, key: &str) -> PathBuf {
    let short = &key[..SHORT];
    let own = stages.join(format!("{}-{short}", safe(name)));
    if own.exists() {
        return own;
    }
    let entries = fs::read_dir(stages).into_iter().flatten().flatten();
    let mut others: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(&format!("-{short}")) && path.join(FILE).exists()
        })
        .collect();
    others.sort();
    others.into_iter().next().unwrap_or(own)
}

/// The variables' values over all combinations.
fn values(scopes: &[Scope]) -> BTreeMap<String, Vec<String>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for scope in scopes {
        for (name, value) in scope.values() {
            let text = match &value.kind {
                super::document::Kind::List(items) => {
                    let items: Vec<_> = items.iter().filter_map(Value::scalar).collect();
                    format!("[{}]", items.join(", "))
                }
                _ => value.scalar().unwrap_or_default(),
            };
            let all = values.entry(name.to_owned()).or_default();
            if !all.contains(&text) {
                all.push(text);
            }
        }
    }
    values
}
