//! Combinations of the matrix's values, and what was done for each.

use super::document::{Faults, Value};
use super::done::Done;
use super::file::Axis;
use std::collections::{BTreeMap, BTreeSet};

/// The values of some variables of the matrix, in the matrix's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell(pub Vec<(String, String)>);

impl Cell {
    /// Its part for some of the variables.
    pub fn of(&self, axes: &BTreeSet<String>) -> Self {
        let own = self.0.iter().filter(|(name, _)| axes.contains(name));
        Self(own.cloned().collect())
    }

    /// `train[rank=4,seed=1]`; a name alone where the matrix does not matter to it.
    pub fn name(&self, of: &str) -> String {
        let values = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        match self.0.is_empty() {
            true => of.to_owned(),
            false => format!("{of}[{}]", values.collect::<Vec<_>>().join(",")),
        }
    }
}

/// A name as that of a folder: `train-rank-4-seed-1`.
pub fn safe(name: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let safe: String = name
        .chars()
        .map(|c| if fine(c) { c } else { '-' })
        .collect();
    safe.trim_end_matches('-').chars().take(120).collect()
}

/// Most combinations of a matrix: each is a training, and the plan is held in memory.
const MOST: usize = 512;

/// Whether a matrix has not too many combinations; that is a fault.
pub fn check(matrix: &[Axis], faults: &mut Faults) -> bool {
    let count = |all: usize, axis: &Axis| all.saturating_mul(axis.values.len());
    let all = matrix.iter().fold(1, count);
    match matrix.first() {
        Some(first) if all > MOST => {
            let fault = format!("[matrix] has {all} combinations, and may have {MOST}");
            faults.add(first.line, fault);
            false
        }
        _ => true,
    }
}

/// Every combination of the matrix's values, the last variable the fastest.
pub fn combinations(matrix: &[Axis]) -> Vec<BTreeMap<String, Value>> {
    let mut all = vec![BTreeMap::new()];
    for axis in matrix {
        let with = |cell: &BTreeMap<String, Value>| {
            let one = |value: &Value| {
                let mut cell = cell.clone();
                cell.insert(axis.name.clone(), value.clone());
                cell
            };
            axis.values.iter().map(one).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

/// What a matrix made: for each of its combinations the stages that are done.
#[derive(Clone, Debug)]
pub struct Cells {
    /// The variables, in the matrix's order.
    pub variables: Vec<String>,
    pub cells: Vec<(Cell, BTreeMap<String, Done>)>,
}
