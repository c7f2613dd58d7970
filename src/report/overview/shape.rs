//! What an overview shows. Whoever has the runs fills it in.

use crate::eval::judge::Verdict;
use crate::eval::spread::Spread;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Several runs of one recipe.
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
