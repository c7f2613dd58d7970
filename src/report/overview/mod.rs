//! Several runs beside each other: a ladder, and a matrix.

mod read;
mod recipe;
mod shape;
mod table;

use super::decision::named;
use super::gates::Gate;
use super::page;
use super::say;
use anyhow::Result;
use serde::Serialize;
use table::Table;

pub use read::{references, rung};
pub use recipe::{of, others};
pub use shape::{Beside, Matrix, MatrixGate, Overview, Reference, Rung};

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
                let mut values: Vec<_> = values.collect();
                // As the columns stand.
                values.sort_by_key(|(gate, _)| gates.iter().position(|name| name == gate));
                values
                    .into_iter()
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
