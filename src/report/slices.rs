//! What the candidate reaches on parts of the set.

use super::gates::percent;
use super::say;
use crate::eval::stats::share;
use serde::Serialize;
use serde_json::Value;

/// Most slices that are shown.
const MOST: usize = 200;

/// A table of slices.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Slices {
    pub metrics: Vec<String>,
    /// All rows first.
    pub slices: Vec<Slice>,
    pub more: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct Slice {
    pub name: String,
    pub rows: usize,
    /// Of each metric, where the slice has it.
    pub cells: Vec<Option<Cell>>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub value: String,
    pub interval: String,
    pub at: f64,
}

impl Slices {
    /// By slice-metrics.json, which may be null.
    pub fn of(record: &Value) -> Self {
        let overall = [("all rows", &record["overall"])];
        let named = record["slices"].as_object().into_iter().flatten();
        let named = named.map(|(name, slice)| (name.as_str(), slice));
        let all: Vec<_> = overall
            .into_iter()
            .chain(named)
            .filter(|(_, slice)| slice.is_object())
            .collect();
        let mut metrics: Vec<String> = Vec::new();
        for key in all
            .iter()
            .take(MOST)
            .flat_map(|(_, slice)| slice.as_object())
            .flatten()
            .map(|(key, _)| key)
        {
            if key != "rows" && !metrics.contains(key) && metrics.len() < 6 {
                metrics.push(key.clone());
            }
        }
        let slice = |(name, slice): &(&str, &Value)| {
            let rows = slice["rows"].as_u64().unwrap_or(0) as usize;
            let cell = |metric: &String| {
                let value = slice[metric]
                    .as_f64()
                    .filter(|value| (0.0..=1.0).contains(value))?;
                // The record holds the mean to some decimals; the count behind it is whole.
                let share = share((value * rows as f64).round() as usize, rows);
                Some(Cell {
                    value: say::value(value),
                    interval: say::interval(share.wilson95),
                    at: percent(value),
                })
            };
            Slice {
                name: say::short(name, 120),
                rows,
                cells: metrics.iter().map(cell).collect(),
            }
        };
        Self {
            slices: all.iter().take(MOST).map(slice).collect(),
            more: all.len().saturating_sub(MOST),
            metrics,
        }
    }
}
