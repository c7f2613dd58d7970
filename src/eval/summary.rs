//! Means over scored rows, for all of them and for each slice, and counts of failures.

use super::example::Example;
use super::modes::Mode;
use super::score::ScoredRow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The means of one mode over the rows that it scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// The mode's label, with the slice's name in brackets.
    pub label: String,
    /// Each metric's name and how many rows passed it.
    pub passed: Vec<(&'static str, usize)>,
    /// How many rows the mode scored.
    pub rows: usize,
}

/// `sql: execution_accuracy=0.667 exact_match=0.167 (n=6)`
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:", self.label)?;
        for (name, passed) in &self.passed {
            let mean = *passed as f64 / self.rows.max(1) as f64;
            write!(f, " {name}={mean:.3}")?;
        }
        write!(f, " (n={})", self.rows)
    }
}

/// One tally a mode over all rows, then one a mode for each value of the rows' `slice` field, sorted by it.
///
/// `rows` are the scored `examples`, in their order.
pub fn tallies(examples: &[Example], rows: &[ScoredRow], modes: &[&dyn Mode]) -> Vec<Tally> {
    let slices: BTreeSet<_> = examples.iter().filter_map(slice).collect();
    let wanted = std::iter::once(None).chain(slices.into_iter().map(Some));
    wanted
        .flat_map(|wanted| {
            let inside: Vec<_> = examples
                .iter()
                .zip(rows)
                .filter(|(example, _)| wanted.is_none() || slice(example) == wanted)
                .map(|(_, row)| row)
                .collect();
            modes.iter().map(move |mode| tally(*mode, wanted, &inside))
        })
        .collect()
}

/// How often each kind of failure occurred: the most frequent first, equals by name.
pub fn failures(rows: &[ScoredRow]) -> Vec<(&'static str, usize)> {
    let mut counts = BTreeMap::new();
    for kind in rows.iter().filter_map(|row| row.failure_type) {
        *counts.entry(kind).or_insert(0) += 1;
    }
    let mut counts = Vec::from_iter(counts);
    // The sort is stable, so the map's order by name stays among equals.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn slice(example: &Example) -> Option<&str> {
    example.text("slice")
}

fn tally(mode: &dyn Mode, slice: Option<&str>, rows: &[&ScoredRow]) -> Tally {
    let answers = |column| rows.iter().filter_map(move |row| row.verdict(column));
    let metrics = mode.metrics();
    Tally {
        label: match slice {
            Some(slice) => format!("{}[{slice}]", mode.label()),
            None => mode.label().to_owned(),
        },
        passed: metrics
            .iter()
            .map(|metric| {
                (
                    metric.mean,
                    answers(metric.column).filter(|&yes| yes).count(),
                )
            })
            .collect(),
        rows: metrics
            .first()
            .map_or(0, |metric| answers(metric.column).count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::modes;
    use crate::eval::score::score;
    use crate::sql::execute::Sandbox;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn failures_come_by_count_then_by_name() {
        let mode = [modes::named("public-exact").unwrap()];
        let mut sandbox = Sandbox::new("unused", Duration::from_secs(1));
        let rows = ["none", "select 2", "none", "select max(1)", "select 1"].map(|predicted| {
            let fields = json!({"predicted_sql": predicted, "gold_sql": "select max(1)"});
            let example = Example {
                index: 0,
                line: 0,
                fields: fields.as_object().unwrap().clone(),
            };
            score(&example, &mode, &mut sandbox)
        });
        assert_eq!(
            failures(&rows),
            [("sql_no_select", 2), ("sql_wrong_aggregation", 2)]
        );
        assert_eq!(
            failures(&rows[1..]),
            [("sql_wrong_aggregation", 2), ("sql_no_select", 1)]
        );
    }

    #[test]
    fn no_rows_make_a_mean_of_zero() {
        let tally = &tallies(&[], &[], &modes::ALL[..1])[0];
        assert_eq!(
            tally.to_string(),
            "sql: execution_accuracy=0.000 exact_match=0.000 (n=0)"
        );
    }
}
