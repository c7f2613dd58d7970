//! Several runs beside each other: a ladder, and a matrix.

mod read;
mod table;

use super::decision::named;
use super::gates::Gate;
use super::page;
use super::say;
use crate::eval::judge::Verdict;
use crate::eval::spread::Spread;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use table::Table;

pub use read::{references, rung};

/// What an overview shows. Whoever has the runs fills it in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Overview {
    pub title: String,
    pub description: Option<String>,
    /// In their order, the base first.
    pub rungs: Vec<Rung>,
    /// Numbers of others, a column each.
    #[serde(default)]
    pub references: Vec<Reference>,
    pub matrix: Option<Matrix>,
}

/// A run of the ladder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rung {
    /// The name that references know it by.
    pub name: String,
    /// Where its report is, from the overview's place.
    pub link: Option<String>,
    /// Base model, or base and adapter.
    pub model: String,
    /// The recipe in a few words.
    pub recipe: Option<String>,
    pub gates: Vec<Verdict>,
    pub decision: Option<String>,
    /// What makes the run again.
    pub command: Option<String>,
}

/// What others report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Whose numbers these are.
    pub name: String,
    /// By rung, then by gate.
    pub values: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Runs that differ in a few variables: their means, spreads and tests, by gate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Matrix {
    pub gates: Vec<MatrixGate>,
    /// What else is said of a setting, such as its adapter's geometry.
    #[serde(default)]
    pub beside: Vec<Beside>,
}

/// A gate of the matrix.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MatrixGate {
    pub name: String,
    pub spread: Spread,
}

/// What else is said of the setting with these variables.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Beside {
    pub variables: BTreeMap<String, String>,
    /// Names and texts.
    pub facts: Vec<(String, String)>,
}

/// The overview as one page that needs nothing else.
pub fn html(overview: &Overview) -> Result<String> {
    page::html(page::OVERVIEW, &Page::of(overview))
}

/// The overview as Markdown.
pub fn markdown(overview: &Overview) -> Result<String> {
    page::markdown(page::OVERVIEW_TEXT, &Page::of(overview))
}

/// What the templates are given.
#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    description: Option<&'a str>,
    /// Names of all gates, and of whom the references are.
    gates: Vec<&'a str>,
    references: Vec<&'a str>,
    rungs: Vec<Line<'a>>,
    matrix: Option<Table>,
}

#[derive(Serialize)]
struct Line<'a> {
    rung: &'a Rung,
    headline: String,
    tone: &'static str,
    gates: Vec<Option<Gate>>,
    /// Of each reference: gates and values.
    references: Vec<Vec<(&'a str, String)>>,
}

impl<'a> Page<'a> {
    fn of(overview: &'a Overview) -> Self {
        let mut gates: Vec<&str> = Vec::new();
        for gate in overview.rungs.iter().flat_map(|rung| &rung.gates) {
            if !gates.contains(&gate.name.as_str()) {
                gates.push(&gate.name);
            }
        }
        let line = |rung: &'a Rung| {
            let (headline, tone) = named(rung.decision.as_deref());
            let gate = |name: &&str| {
                rung.gates
                    .iter()
                    .find(|gate| gate.name == *name)
                    .map(Gate::of)
            };
            let reference = |reference: &'a Reference| {
                let values = reference.values.get(&rung.name).into_iter().flatten();
                values
                    .map(|(gate, value)| (gate.as_str(), say::value(*value)))
                    .collect()
            };
            Line {
                rung,
                headline,
                tone,
                gates: gates.iter().map(gate).collect(),
                references: overview.references.iter().map(reference).collect(),
            }
        };
        Self {
            title: &overview.title,
            description: overview.description.as_deref(),
            rungs: overview.rungs.iter().map(line).collect(),
            references: overview
                .references
                .iter()
                .map(|reference| reference.name.as_str())
                .collect(),
            matrix: overview.matrix.as_ref().map(Table::of),
            gates,
        }
    }
}
