//! A recipe made out: every stage for every combination of the matrix, with its command line, its key and its folder. All that
//! can be wrong with it is found here, before anything runs.

use super::commands::Commands;
use super::document::{Faults, Kind, Value, nearest};
use super::done::Done;
use super::file::{self, Recipe};
use super::hashes::Hashes;
use super::matrix::{self, Cell, Cells, combinations};
use super::planned::{self, Planned};
use super::rungs::{self, PlannedRun};
use super::vars::Scope;
use super::{draft, set};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
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

/// Makes out the recipe at `path`.
///
/// # Errors
/// [`Faults`] with every fault of the recipe, and others where a file cannot be read.
pub fn plan(path: &Path, settings: &Settings, commands: &Commands) -> Result<Plan> {
    let mut faults = Faults::new(path);
    let mut recipe = file::read(path, &mut faults)?;
    let set = set::take(&mut recipe, &settings.set, &mut faults);
    let combinations = match matrix::check(&recipe.matrix, &mut faults) {
        true => combinations(&recipe.matrix),
        false => Vec::new(),
    };
    let folder = recipe.folder();
    let cells: Vec<Cell> = combinations
        .iter()
        .map(|cell| as_cell(&recipe, cell))
        .collect();
    let mut scopes = Vec::new();
    for cell in &combinations {
        scopes.push(Scope::new(&recipe, &set, cell, &mut faults));
    }
    let making = draft::Making {
        recipe: &recipe,
        commands,
        scopes: &scopes,
        cells: &cells,
        folder: &folder,
    };
    let drafts = draft::make(&making, &mut faults);
    let runs = rungs::drafts(&making, &drafts, &mut faults);
    faults.refuse()?;

    let stages_folder = settings.runs.join("stages");
    let mut hashes = Hashes::open(&stages_folder);
    let mut stages: Vec<Planned> = Vec::new();
    for draft in &drafts.all {
        let planned = planned::plan(draft, &drafts, &stages, &stages_folder, &mut hashes)?;
        stages.push(planned);
    }
    let runs = runs
        .into_iter()
        .map(|run| run.finish(&drafts, &stages))
        .collect();
    if stages_folder.exists() {
        // They only save time.
        let _ = hashes.save();
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
    pub fn cells(&self, done: &[Option<Done>]) -> Cells {
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

/// The variables' values over all combinations.
fn values(scopes: &[Scope]) -> BTreeMap<String, Vec<String>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for scope in scopes {
        for (name, value) in scope.values() {
            let text = match &value.kind {
                Kind::List(items) => {
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
