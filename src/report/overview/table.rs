//! A matrix as a table: a line for each setting.

use super::shape::Matrix;
use crate::eval::spread::Group;
use crate::report::gates::percent;
use crate::report::say;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub struct Table {
    /// Names of the variables, of the gates and of what is said beside.
    variables: Vec<String>,
    gates: Vec<String>,
    facts: Vec<String>,
    lines: Vec<Line>,
}

/// A setting.
#[derive(Serialize)]
struct Line {
    variables: Vec<String>,
    /// Of each gate, where it was measured.
    cells: Vec<Option<Cell>>,
    facts: Vec<String>,
}

/// What the runs of a setting reach on a gate.
#[derive(Serialize)]
struct Cell {
    mean: String,
    /// Standard deviation of several runs.
    deviation: Option<String>,
    /// Of each run: `0.840, 0.860, 0.820`.
    values: String,
    /// Against the first setting.
    against: Option<String>,
    /// Mean, least and most, on a bar.
    at: f64,
    low: f64,
    high: f64,
}

impl Table {
    pub fn of(matrix: &Matrix) -> Self {
        let mut settings: Vec<&BTreeMap<String, String>> = Vec::new();
        for group in matrix.gates.iter().flat_map(|gate| &gate.spread.groups) {
            if !settings.contains(&&group.variables) {
                settings.push(&group.variables);
            }
        }
        let mut variables: Vec<String> = Vec::new();
        for name in settings.iter().flat_map(|setting| setting.keys()) {
            if !variables.contains(name) {
                variables.push(name.clone());
            }
        }
        let mut facts: Vec<String> = Vec::new();
        for (name, _) in matrix.beside.iter().flat_map(|beside| &beside.facts) {
            if !facts.contains(name) {
                facts.push(name.clone());
            }
        }
        let line = |setting: &&BTreeMap<String, String>| {
            let group = |groups: &[Group]| {
                groups
                    .iter()
                    .find(|group| group.variables == **setting)
                    .map(Cell::of)
            };
            let beside = matrix
                .beside
                .iter()
                .find(|beside| beside.variables == **setting);
            let fact = |name: &String| {
                let found = beside?.facts.iter().find(|(known, _)| known == name)?;
                Some(found.1.clone())
            };
            Line {
                variables: variables
                    .iter()
                    .map(|name| setting.get(name).cloned().unwrap_or_default())
                    .collect(),
                cells: matrix
                    .gates
                    .iter()
                    .map(|gate| group(&gate.spread.groups))
                    .collect(),
                facts: facts
                    .iter()
                    .map(|name| fact(name).unwrap_or_default())
                    .collect(),
            }
        };
        Self {
            lines: settings.iter().map(line).collect(),
            gates: matrix.gates.iter().map(|gate| gate.name.clone()).collect(),
            variables,
            facts,
        }
    }
}

impl Cell {
    fn of(group: &Group) -> Self {
        let values: Vec<_> = group
            .values
            .values()
            .map(|value| say::value(*value))
            .collect();
        Self {
            mean: say::value(group.mean),
            deviation: group.standard_deviation.map(say::value),
            values: values.join(", "),
            against: group.against_first.map(|against| {
                let [low, high] = against.interval.map(say::points);
                let points = say::points(against.difference);
                format!("{points} points [{low}, {high}], {}", say::p(against.p))
            }),
            at: percent(group.mean),
            low: percent(group.min),
            high: percent(group.max),
        }
    }
}
