//! A recipe as its file has it: stages, runs, variables, a matrix. Names in texts are not looked up yet.

use super::document::{self, Entry, Faults, Kind, Value, nearest};
use crate::run::files::folder_of;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A recipe.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub path: PathBuf,
    pub name: String,
    pub description: Option<String>,
    pub variables: Vec<Variable>,
    pub matrix: Vec<Axis>,
    pub stages: Vec<Stage>,
    pub runs: Vec<Run>,
    /// The file's text.
    pub text: String,
}

/// A variable of `[vars]`.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub line: usize,
    pub help: Option<String>,
    /// None where it must be set.
    pub default: Option<Value>,
}

/// A variable of `[matrix]` and the values that it takes.
#[derive(Clone, Debug)]
pub struct Axis {
    pub name: String,
    pub line: usize,
    pub values: Vec<Value>,
}

/// A command with its flags.
#[derive(Clone, Debug)]
pub struct Stage {
    pub name: String,
    pub line: usize,
    /// Such as `sft` or `adapter merge`, with its line.
    pub command: Value,
    /// Stages that must be done before, though nothing of theirs is read.
    pub after: Vec<Value>,
    /// Files that it reads beside those that its flags name.
    pub reads: Vec<Value>,
    pub flags: Vec<Entry>,
}

/// What becomes a run folder.
#[derive(Clone, Debug)]
pub struct Run {
    pub name: String,
    pub line: usize,
    pub fields: BTreeMap<&'static str, Value>,
    pub gates: Vec<Gate>,
}

/// A gate of a run.
#[derive(Clone, Debug)]
pub struct Gate {
    pub line: usize,
    pub fields: BTreeMap<&'static str, Value>,
}

const RECIPE: &[&str] = &[
    "name",
    "description",
    "vars",
    "matrix",
    "stages",
    "runs",
    // Read where it is shown: beside the runs.
    "reference",
];
const VARIABLE: &[&str] = &["help", "default"];
const RUN: &[&str] = &[
    "target",
    "owner_goal",
    "training",
    "heldout",
    "artifact",
    "parent",
    "follows",
    "allow_overlap",
    "gates",
];
const GATE: &[&str] = &[
    "name",
    "candidate",
    "baseline",
    "mode",
    "metric",
    "min",
    "margin",
    "max_drop",
    "role",
    "where",
];

/// Reads the recipe at `path`; what is wrong with it is added to `faults`. Errors where it cannot be read.
pub fn read(path: &Path, faults: &mut Faults) -> Result<Recipe> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut fields = fields(document::parse(&text, faults), RECIPE, "the recipe", faults);
    let mut recipe = Recipe {
        path: path.to_owned(),
        name: String::new(),
        description: None,
        variables: Vec::new(),
        matrix: Vec::new(),
        stages: Vec::new(),
        runs: Vec::new(),
        text,
    };
    if !faults.is_empty() && fields.is_empty() {
        return Ok(recipe);
    }
    match fields.remove("name") {
        Some(value) => {
            recipe.name = plain_text(&value, "name", faults);
            check_name(&recipe.name, value.line, faults);
        }
        None => faults.add(0, "the recipe has no name"),
    }
    let description = fields.remove("description");
    recipe.description = description.map(|value| plain_text(&value, "description", faults));
    let mut named = |key: &str, faults: &mut Faults| {
        let entries = fields.remove(key).map(|value| table(value, key, faults));
        entries.unwrap_or_default()
    };
    for entry in named("vars", faults) {
        recipe.variables.push(variable(entry, faults));
    }
    for entry in named("matrix", faults) {
        recipe.matrix.push(axis(entry, faults));
    }
    for entry in named("stages", faults) {
        recipe.stages.extend(stage(entry, faults));
    }
    for entry in named("runs", faults) {
        recipe.runs.push(run(entry, faults));
    }
    if recipe.stages.is_empty() {
        faults.add(0, "the recipe has no stages");
    }
    for stage in &recipe.stages {
        let variables = recipe.variables.iter().map(|v| &v.name);
        let taken = variables
            .chain(recipe.matrix.iter().map(|axis| &axis.name))
            .any(|name| *name == stage.name);
        if taken {
            let name = &stage.name;
            faults.add(stage.line, format!("{name} is a variable and a stage"));
        }
    }
    Ok(recipe)
}

impl Recipe {
    /// Where its relative paths begin; none is the current folder.
    pub fn folder(&self) -> PathBuf {
        match folder_of(&self.path) {
            here if here == Path::new(".") => PathBuf::new(),
            folder => folder.to_owned(),
        }
    }
}

fn variable(entry: Entry, faults: &mut Faults) -> Variable {
    check_word(&entry.key, "a variable", entry.line, faults);
    let (help, default) = match entry.value.kind {
        Kind::Table(inner) => {
            let mut fields = fields(inner, VARIABLE, &entry.key, faults);
            let help = fields.remove("help");
            let help = help.map(|help| plain_text(&help, "help", faults));
            (help, fields.remove("default"))
        }
        _ => (None, Some(entry.value)),
    };
    Variable {
        name: entry.key,
        line: entry.line,
        help,
        default,
    }
}

fn axis(entry: Entry, faults: &mut Faults) -> Axis {
    check_word(&entry.key, "a variable", entry.line, faults);
    let name = entry.key;
    let values = match entry.value.kind {
        Kind::List(values) if !values.is_empty() => values,
        _ => {
            faults.add(
                entry.line,
                format!("{name} of [matrix] is no list of values"),
            );
            Vec::new()
        }
    };
    let mut seen = BTreeSet::new();
    for value in &values {
        match value.scalar() {
            Some(text) if seen.contains(&text) => {
                faults.add(value.line, format!("{name} has {text} twice"));
            }
            Some(text) => drop(seen.insert(text)),
            None => faults.add(value.line, format!("{name} holds {}", value.what())),
        }
    }
    Axis {
        name,
        line: entry.line,
        values,
    }
}

fn stage(entry: Entry, faults: &mut Faults) -> Option<Stage> {
    check_word(&entry.key, "a stage", entry.line, faults);
    let name = entry.key;
    let mut flags = table(entry.value, &name, faults);
    let mut take = |key: &str| {
        let at = flags.iter().position(|flag| flag.key == key)?;
        Some(flags.remove(at).value)
    };
    let (command, after, reads) = (take("command"), take("after"), take("reads"));
    let Some(command) = command else {
        faults.add(entry.line, format!("stage {name} has no command"));
        return None;
    };
    Some(Stage {
        name,
        line: entry.line,
        command,
        after: after.map_or(Vec::new(), list),
        reads: reads.map_or(Vec::new(), list),
        flags,
    })
}

fn run(entry: Entry, faults: &mut Faults) -> Run {
    check_name(&entry.key, entry.line, faults);
    let inner = table(entry.value, &entry.key, faults);
    let mut fields = fields(inner, RUN, &format!("run {}", entry.key), faults);
    let mut gates = Vec::new();
    for value in fields.remove("gates").map_or(Vec::new(), list) {
        let line = value.line;
        let inner = table(value, "a gate", faults);
        let fields = self::fields(inner, GATE, "a gate", faults);
        gates.push(Gate { line, fields });
    }
    Run {
        name: entry.key,
        line: entry.line,
        fields,
        gates,
    }
}

/// A value that may be a list, as one.
pub fn list(value: Value) -> Vec<Value> {
    match value.kind {
        Kind::List(items) => items,
        _ => vec![value],
    }
}

/// The values of a table by their keys, all of which must be `known`.
fn fields(
    entries: Vec<Entry>,
    known: &'static [&'static str],
    what: &str,
    faults: &mut Faults,
) -> BTreeMap<&'static str, Value> {
    let mut fields = BTreeMap::new();
    for entry in entries {
        match known.iter().find(|known| **known == entry.key) {
            Some(known) => {
                fields.insert(*known, entry.value);
            }
            None => {
                let near = nearest(&entry.key, known.iter().copied());
                faults.add(
                    entry.line,
                    format!("{what}: unknown key {}{near}", entry.key),
                );
            }
        }
    }
    fields
}

fn table(value: Value, what: &str, faults: &mut Faults) -> Vec<Entry> {
    match value.kind {
        Kind::Table(entries) => entries,
        _ => {
            let found = value.what();
            faults.add(value.line, format!("{what} is {found}, expected a table"));
            Vec::new()
        }
    }
}

/// A text that has no variables.
fn plain_text(value: &Value, what: &str, faults: &mut Faults) -> String {
    match &value.kind {
        Kind::Text(text) => text.clone(),
        _ => {
            let found = value.what();
            faults.add(value.line, format!("{what} is {found}, expected text"));
            String::new()
        }
    }
}

fn check_name(name: &str, line: usize, faults: &mut Faults) {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !(name.chars().all(fine) && name.starts_with(|c: char| c.is_ascii_alphanumeric())) {
        faults.add(line, format!("{name:?}: a name is letters, digits, - _ ."));
    }
}

/// A name that stands in braces, where a full stop separates it from a flag.
fn check_word(name: &str, what: &str, line: usize, faults: &mut Faults) {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !(name.chars().all(fine) && name.starts_with(|c: char| c.is_ascii_alphanumeric())) {
        faults.add(
            line,
            format!("{name:?}: the name of {what} is letters, digits, - _"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Recipe, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.toml");
        fs::write(&path, text).unwrap();
        let mut faults = Faults::new(Path::new("r.toml"));
        let recipe = read(&path, &mut faults).unwrap();
        (recipe, faults.to_string())
    }

    #[test]
    fn a_recipe_is_read_in_its_order() {
        let (recipe, faults) = read_text(
            "name = 'x'\n[vars]\nbase = { help = 'the base' }\nrank = 8\n[stages.b]\ncommand = 'sft'\nlr = 1e-3\nafter = 'a'\n[stages.a]\ncommand = 'data synth'\n[runs.first]\ntarget = 't'\n[[runs.first.gates]]\nname = 'g'\n[matrix]\nseed = [0, 1]\n",
        );
        assert_eq!(faults, "");
        let stages: Vec<_> = recipe.stages.iter().map(|s| (&*s.name, s.line)).collect();
        assert_eq!(stages, [("b", 5), ("a", 9)]);
        let b = &recipe.stages[0];
        assert_eq!((b.after.len(), b.flags.len()), (1, 1));
        assert!(recipe.variables[0].default.is_none() && recipe.variables[1].default.is_some());
        assert_eq!(recipe.runs[0].gates[0].fields["name"].line, 14);
        assert_eq!(recipe.matrix[0].values.len(), 2);
    }

    #[test]
    fn every_fault_of_a_file_is_named() {
        let (_, faults) = read_text(
            "name = 'a b'\nstagse = 1\n[vars]\na = { hlep = '' }\n[stages.a]\nlr = 1\n[matrix]\nseed = [1, 1]\nx = 3\n[runs.r]\ntarget = 1\ngate = 2\n",
        );
        let wanted = [
            "r.toml:1: \"a b\": a name is",
            "r.toml:2: the recipe: unknown key stagse; did you mean stages?",
            "r.toml:4: a: unknown key hlep; did you mean help?",
            "r.toml:5: stage a has no command",
            "r.toml:8: seed has 1 twice",
            "r.toml:9: x of [matrix] is no list",
            "r.toml:12: run r: unknown key gate; did you mean gates?",
        ];
        for fault in wanted {
            assert!(faults.contains(fault), "{fault:?} is not in {faults:?}");
        }
    }
}
