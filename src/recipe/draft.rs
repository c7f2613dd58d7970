//! The stages of a recipe for every combination of the matrix, with what they are told: before anything is known of what files
//! hold. What can be wrong with a stage is found here.

use super::arguments::{self, Arguments, Word};
use super::commands::{Command, Commands};
use super::document::{Faults, Value, nearest};
use super::file::{Recipe, Stage};
use super::matrix::Cell;
use super::order;
use super::vars::{Part, Piece, Scope, pieces};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What stages and runs are made out of.
pub struct Making<'a> {
    pub recipe: &'a Recipe,
    pub commands: &'a Commands,
    /// One a combination of the matrix.
    pub scopes: &'a [Scope],
    pub cells: &'a [Cell],
    /// Where paths begin.
    pub folder: &'a Path,
}

/// A stage for one combination, before keys and folders are known.
pub struct Draft<'a> {
    pub stage: &'a Stage,
    pub command: &'a Command,
    pub cell: Cell,
    pub arguments: Arguments,
    /// What it reads of, or comes behind.
    pub needs: Vec<usize>,
}

/// What runs are made out of, too.
pub struct Drafts<'a> {
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

/// Makes out all stages, each behind what it needs.
pub fn make<'a>(making: &Making<'a>, faults: &mut Faults) -> Drafts<'a> {
    let Making {
        recipe,
        commands,
        scopes,
        cells,
        folder,
    } = *making;
    let known = known_commands(recipe, commands, faults);
    let needs = needs(recipe, faults);
    let lines: Vec<(&str, usize)> = recipe.stages.iter().map(|s| (&*s.name, s.line)).collect();
    let sorted = order::sorted(&lines, &needs, faults);
    let mut drafts = Drafts {
        all: Vec::new(),
        axes: BTreeMap::new(),
    };
    // Those in a circle, or behind one, are looked at for their own faults alone.
    let rest = (0..recipe.stages.len()).filter(|at| !sorted.contains(at));
    for at in sorted.iter().copied().chain(rest) {
        let stage = &recipe.stages[at];
        let Some(command) = known.get(&*stage.name) else {
            // Those behind it still find something there.
            drafts.axes.insert(&stage.name, BTreeSet::new());
            continue;
        };
        let mut read = |at: usize| {
            let scope = &scopes[at];
            let before = faults.added();
            let read = arguments::read(stage, command, commands, scope, folder, faults);
            if faults.added() == before && !read.unknown {
                check(stage, command, commands, &read, faults);
            }
            read
        };
        let Some(mut first) = (!cells.is_empty()).then(|| read(0)) else {
            continue;
        };
        if !sorted.contains(&at) {
            continue;
        }
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
    check_outputs(recipe, &drafts, faults);
    drafts
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
pub fn line(
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

pub fn text(word: &Word, stage: &dyn Fn(&str, &Option<String>) -> PathBuf) -> String {
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
pub fn main_file(command: &Command, arguments: &Arguments) -> &'static str {
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
