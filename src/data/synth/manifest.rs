//! What a set's manifest says.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::data::set::tally;
use crate::sql::shape::shape;

use super::db::Paraphrased;
use super::rows::{PreferenceRow, Rows};

/// The manifest of a set.
#[derive(Serialize)]
pub struct Manifest {
    seed: u64,
    counts: Counts,
    domains: BTreeMap<String, Counts>,
    slices: BTreeMap<String, usize>,
    failure_types: BTreeMap<String, usize>,
    /// Rows of each kind of question in train and dev, where the kinds are known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    kinds: BTreeMap<&'static str, [usize; 2]>,
    /// Who rewrote the questions, where somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paraphrased: Option<Paraphrased>,
    /// Distinct query shapes: in each split, and in dev alone.
    shapes: Shapes,
    /// Of everything that went in and came out, but the manifest.
    sha256: BTreeMap<String, String>,
}

#[derive(Serialize, Default)]
struct Counts {
    train: usize,
    dev: usize,
    preferences: usize,
}

#[derive(Serialize)]
struct Shapes {
    train: usize,
    dev: usize,
    dev_only: usize,
}

impl Manifest {
    pub fn of(
        rows: &Rows,
        preferences: &[PreferenceRow],
        seed: u64,
        sha256: BTreeMap<String, String>,
    ) -> Self {
        let mut domains: BTreeMap<String, Counts> = BTreeMap::new();
        for row in &rows.train {
            domains.entry(row.domain.clone()).or_default().train += 1;
        }
        for row in &rows.dev {
            domains.entry(row.domain.clone()).or_default().dev += 1;
        }
        for row in preferences {
            domains.entry(row.domain.clone()).or_default().preferences += 1;
        }
        let mut kinds: BTreeMap<&'static str, [usize; 2]> = BTreeMap::new();
        for origin in rows.train.iter().filter_map(|row| row.origin.as_ref()) {
            kinds.entry(origin.kind.name()).or_default()[0] += 1;
        }
        for origin in rows.dev.iter().filter_map(|row| row.origin.as_ref()) {
            kinds.entry(origin.kind.name()).or_default()[1] += 1;
        }
        let train: BTreeSet<String> = rows.train.iter().map(|row| shape(&row.response)).collect();
        let dev: BTreeSet<String> = rows.dev.iter().map(|row| shape(&row.gold_sql)).collect();
        Self {
            seed,
            counts: Counts {
                train: rows.train.len(),
                dev: rows.dev.len(),
                preferences: preferences.len(),
            },
            domains,
            slices: tally(rows.dev.iter().map(|row| row.slice.clone())),
            kinds,
            paraphrased: None,
            failure_types: tally(preferences.iter().map(|row| row.failure_type.clone())),
            shapes: Shapes {
                train: train.len(),
                dev: dev.len(),
                dev_only: dev.difference(&train).count(),
            },
            sha256,
        }
    }

    /// Rows of each kind of question in train and dev.
    pub fn kinds(&self) -> &BTreeMap<&'static str, [usize; 2]> {
        &self.kinds
    }

    /// One line for a person.
    pub fn summary(&self) -> String {
        let slices: Vec<String> = self
            .slices
            .iter()
            .map(|(slice, rows)| format!("{rows} {slice}"))
            .collect();
        format!(
            "{} train rows of {} shapes, {} dev rows ({}), {} preferences",
            self.counts.train,
            self.shapes.train,
            self.counts.dev,
            slices.join(", "),
            self.counts.preferences
        )
    }
}
