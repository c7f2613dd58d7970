//! The overview of a recipe: its runs as rungs, what others report beside them, and the table of its matrix.

use super::read::{references, rung};
use super::shape::{Beside, Matrix, MatrixGate, Overview, Reference};
use crate::eval::judge::metric;
use crate::eval::score::ScoredRow;
use crate::eval::spread::{Cell, spread};
use crate::recipe::done::Done;
use crate::recipe::folders::Concluded;
use crate::recipe::matrix;
use crate::recipe::plan::Plan;
use crate::recipe::rows;
use crate::report::say;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The variable whose values are repetitions.
const SEED: &str = "seed";

/// The runs of `plan` that are decided, without what others report. `done` are its stages by their places, `beside` is the folder that the overview lies
/// in.
pub fn of(
    plan: &Plan,
    runs: &[Concluded],
    done: &[Option<Done>],
    beside: &Path,
) -> Result<Overview> {
    let rungs = runs
        .iter()
        .map(|run| rung(&run.folder, Some(&plan.runs[run.at].name), beside));
    Ok(Overview {
        title: plan.recipe.name.clone(),
        description: plan.recipe.description.clone(),
        rungs: rungs.collect::<Result<_>>()?,
        references: Vec::new(),
        matrix: table(plan, runs, done)?,
    })
}

/// A recipe's `[reference]`: what others report, by the names of its runs and gates.
///
/// Errors where it has another form.
pub fn others(text: &str) -> Result<Vec<Reference>> {
    let recipe: toml::Table = toml::from_str(text)?;
    match recipe.get("reference") {
        Some(toml::Value::Table(table)) => references(table),
        _ => Ok(Vec::new()),
    }
}

/// The scored rows of one gate of a run, by the combination of variables.
type Cells = Vec<(BTreeMap<String, String>, Vec<ScoredRow>)>;

fn table(plan: &Plan, runs: &[Concluded], done: &[Option<Done>]) -> Result<Option<Matrix>> {
    let in_cells = |run: &&Concluded| !plan.runs[run.at].cell.0.is_empty();
    let runs: Vec<&Concluded> = runs.iter().filter(in_cells).collect();
    if runs.is_empty() {
        return Ok(None);
    }
    // By the run's name in the recipe and the gate's, in their order.
    let mut gates: Vec<((&str, &str, &'static str), Cells)> = Vec::new();
    for run in &runs {
        let planned = &plan.runs[run.at];
        for verdict in &run.verdicts {
            let column = metric(&verdict.mode, &verdict.metric)?.column;
            let scored = rows::of_run(&run.folder, &verdict.name, "candidate")?;
            let scored = scored
                .with_context(|| format!("{}: gate {} has no rows", planned.name, verdict.name))?;
            let key = (&*planned.run, &*verdict.name, column);
            let at = match gates.iter().position(|(own, _)| *own == key) {
                Some(at) => at,
                None => {
                    gates.push((key, Vec::new()));
                    gates.len() - 1
                }
            };
            gates[at].1.push((variables(&planned.cell), scored));
        }
    }
    let several = gates.iter().any(|((run, ..), _)| *run != gates[0].0.0);
    let gates = gates.iter().map(|((run, gate, column), cells)| {
        let cells: Vec<Cell> = cells
            .iter()
            .map(|(variables, rows)| Cell {
                variables: variables.clone(),
                rows,
            })
            .collect();
        Ok(MatrixGate {
            name: match several {
                true => format!("{run}: {gate}"),
                false => (*gate).to_owned(),
            },
            spread: spread(&cells, SEED, column)?,
        })
    });
    Ok(Some(Matrix {
        gates: gates.collect::<Result<_>>()?,
        beside: geometries(plan, done)?,
    }))
}

/// What `adapter inspect --geometry --json` said, where it is a stage of a combination: means over the seeds of a setting.
fn geometries(plan: &Plan, done: &[Option<Done>]) -> Result<Vec<Beside>> {
    let mut settings: Vec<(BTreeMap<String, String>, Vec<Value>)> = Vec::new();
    for (stage, done) in plan.stages.iter().zip(done) {
        let Some(done) = done else { continue };
        if stage.words != ["adapter", "inspect"] || stage.cell.0.is_empty() {
            continue;
        }
        let text = std::fs::read_to_string(done.main()?)?;
        // Without --json it is for people, and stays where it is.
        let Ok(found) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        let mut setting = variables(&stage.cell);
        setting.remove(SEED);
        match settings.iter_mut().find(|(own, _)| *own == setting) {
            Some((_, all)) => all.push(found),
            None => settings.push((setting, vec![found])),
        }
    }
    let beside = settings.into_iter().map(|(variables, found)| Beside {
        variables,
        facts: facts(&found),
    });
    Ok(beside.collect())
}

/// The norm, and for each type of module its share of the squared norm and its stable rank.
fn facts(found: &[Value]) -> Vec<(String, String)> {
    let mean = |place: &str| {
        let numbers = found.iter().map(|one| one.pointer(place)?.as_f64());
        match numbers.collect::<Option<Vec<f64>>>() {
            Some(all) => say::value(all.iter().sum::<f64>() / all.len() as f64),
            None => "?".to_owned(),
        }
    };
    let mut facts = vec![("norm".to_owned(), mean("/norm"))];
    let types = found[0]["by_type"].as_array().into_iter().flatten();
    for (at, kind) in types.enumerate() {
        let [share, rank] =
            ["share", "stable_rank"].map(|field| mean(&format!("/by_type/{at}/{field}")));
        let name = kind["name"].as_str().unwrap_or("?");
        facts.push((
            name.to_owned(),
            format!("share {share}, stable rank {rank}"),
        ));
    }
    facts
}

fn variables(cell: &matrix::Cell) -> BTreeMap<String, String> {
    cell.0.iter().cloned().collect()
}
