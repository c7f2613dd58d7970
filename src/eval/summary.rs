//! Means over scored rows, for all of them and for each slice, and counts of failures; as lines and as JSON.

use super::example::Example;
use super::modes::Mode;
use super::sampled::Passes;
use super::score::{NO_ANSWER, ScoredRow};
use super::{clean, slices, stats};
use crate::db::sqlite::Now;
use crate::sql::extract::Extraction;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// The means of one mode over the rows that it scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// The mode's label, with the slice's name in brackets.
    pub label: String,
    /// Each metric's name and how many rows passed it.
    pub passed: Vec<(&'static str, usize)>,
    /// The name of the mode's points and their sum, for modes that give any.
    pub points: Option<(&'static str, f64)>,
    /// How many rows the mode scored.
    pub rows: usize,
}

impl Tally {
    /// Each metric and the points, by name, as a mean over the rows.
    fn means(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let passed = self.passed.iter();
        let sums = passed.map(|&(name, passed)| (name, passed as f64));
        let rows = self.rows.max(1) as f64;
        sums.chain(self.points)
            .map(move |(name, sum)| (name, sum / rows))
    }
}

/// `sql: execution_accuracy=0.667 exact_match=0.167 (n=6)`
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:", self.label)?;
        for (name, mean) in self.means() {
            write!(f, " {name}={mean:.3}")?;
        }
        write!(f, " (n={})", self.rows)
    }
}

/// One tally a mode over all rows, then one a mode for each value of the rows' `slice` field, sorted by it.
///
/// `rows` are the scored `examples`, in their order.
pub fn tallies(examples: &[Example], rows: &[ScoredRow], modes: &[&dyn Mode]) -> Vec<Tally> {
    let mut slices: BTreeMap<&str, Vec<&ScoredRow>> = BTreeMap::new();
    for (example, row) in examples.iter().zip(rows) {
        if let Some(slice) = example.text("slice") {
            slices.entry(slice).or_default().push(row);
        }
    }
    let slices = slices.into_iter().map(|(slice, rows)| (Some(slice), rows));
    std::iter::once((None, rows.iter().collect()))
        .chain(slices)
        .flat_map(|(slice, rows)| modes.iter().map(move |mode| tally(*mode, slice, &rows)))
        .collect()
}

/// How often each kind of failure occurred: the most frequent first, equals by name.
pub fn failures(rows: &[ScoredRow]) -> Vec<(&str, usize)> {
    let mut counts = BTreeMap::new();
    for kind in rows
        .iter()
        .filter_map(|row| row.scores.failure_type.as_deref())
    {
        *counts.entry(kind).or_insert(0) += 1;
    }
    let mut counts = Vec::from_iter(counts);
    // The sort is stable, so the map's order by name stays among equals.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
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
        points: mode.points().map(|points| {
            let earned = rows.iter().filter_map(|row| row.points(points.column));
            (points.mean, earned.sum())
        }),
        rows: metrics
            .first()
            .map_or(0, |metric| answers(metric.column).count()),
    }
}

/// What a summary says beside its rows.
pub struct Run {
    /// The time of day that all queries saw.
    pub now: Now,
    /// How queries were found in replies.
    pub extract: Extraction,
    /// How many rows no mode could score, by reason.
    pub dropped: BTreeMap<&'static str, usize>,
    /// What all samples of the rows are worth, if that was asked for.
    pub samples: Option<Passes>,
}

/// The means of each mode over the rows that were answered, where rows were left without an answer on purpose; and how many those are.
pub fn answered(
    examples: &[Example],
    rows: &[ScoredRow],
    modes: &[&dyn Mode],
) -> Option<(Vec<Tally>, usize)> {
    let both = examples.iter().zip(rows);
    let answered: Vec<_> = both
        .filter(|(example, _)| !example.abstained())
        .map(|(_, row)| row)
        .collect();
    let abstained = rows.len() - answered.len();
    let tallies = || {
        modes
            .iter()
            .map(|mode| tally(*mode, Some("answered"), &answered))
            .collect()
    };
    (abstained > 0).then(|| (tallies(), abstained))
}

/// The whole as JSON: each metric with n and its 95% interval, failures, clean replies; and what is not among the rows.
pub fn to_json(examples: &[Example], rows: &[ScoredRow], modes: &[&dyn Mode], run: &Run) -> Value {
    let all: Vec<&ScoredRow> = rows.iter().collect();
    let shares = |tally: Tally| -> Value {
        let shares = tally
            .passed
            .iter()
            .map(|(name, passed)| (name.to_string(), json!(stats::share(*passed, tally.rows))));
        let points = tally.means().skip(tally.passed.len());
        let points = points.map(|(name, mean)| {
            let points = json!({"value": mean, "n": tally.rows});
            (name.to_owned(), points)
        });
        Value::Object(shares.chain(points).collect())
    };
    let metrics = |mode: &&dyn Mode| (mode.name().to_owned(), shares(tally(*mode, None, &all)));
    let failures = failures(rows);
    let counts = failures
        .iter()
        .map(|(kind, count)| (kind.to_string(), json!(count)));
    let replies = clean::cleanness(rows);
    let mut classes = BTreeMap::new();
    for reply in &replies {
        *classes.entry(reply.clean_output).or_insert(0usize) += 1;
    }
    let dropped: usize = run.dropped.values().sum();
    let mut summary = json!({
        "now": run.now,
        "extract": run.extract,
        "rows": rows.len(),
        "dropped_rows": {"count": dropped, "reasons": run.dropped},
        "unanswered_rows": unanswered(rows),
        "modes": Value::Object(modes.iter().map(metrics).collect()),
        "failed_rows": failures.iter().map(|(_, count)| count).sum::<usize>(),
        "failure_counts": Value::Object(counts.collect()),
        "cut_rows": cut(rows),
        "gold_errors": rows.iter().filter(|row| row.scores.gold_error.is_some()).count(),
        "clean_output": {
            "rate": decimals(clean::clean_rate(&replies), 3),
            "counts": classes,
        },
    });
    if let Some((tallies, abstained)) = answered(examples, rows, modes) {
        let of_modes = modes.iter().zip(tallies);
        let of_modes = of_modes.map(|(mode, tally)| (mode.name().to_owned(), shares(tally)));
        summary["answered"] = json!({
            "coverage": stats::share(rows.len() - abstained, rows.len()),
            "modes": Value::Object(of_modes.collect()),
        });
    }
    if let Some(samples) = &run.samples {
        summary["samples"] = json!(samples);
    }
    summary
}

/// Rows that the model gave no answer to.
pub fn unanswered(rows: &[ScoredRow]) -> usize {
    let none = |row: &&ScoredRow| row.scores.failure_type.as_deref() == Some(NO_ANSWER);
    rows.iter().filter(none).count()
}

/// Rows that show only a part of a result because it is too large.
pub fn cut(rows: &[ScoredRow]) -> usize {
    rows.iter().filter(|row| row.scores.rows_cut).count()
}

/// `{overall, slices: {name: …}}`, means to 4 decimals. Modes beside the first put their name before the metric's.
pub fn slices_to_json(examples: &[Example], rows: &[ScoredRow], modes: &[&dyn Mode]) -> Value {
    let slices = slices::by_slice(examples, rows).into_iter();
    let slices = slices.map(|(name, rows)| (name, slice_to_json(&rows, modes)));
    json!({
        "overall": slice_to_json(&rows.iter().collect::<Vec<_>>(), modes),
        "slices": Value::Object(slices.collect()),
    })
}

fn slice_to_json(rows: &[&ScoredRow], modes: &[&dyn Mode]) -> Value {
    let mut fields = Map::new();
    fields.insert("rows".to_owned(), rows.len().into());
    for (at, mode) in modes.iter().enumerate() {
        let tally = tally(*mode, None, rows);
        // Rows without a database have no execution accuracy.
        for (name, mean) in tally.means().filter(|_| tally.rows > 0) {
            let name = match at {
                0 => name.to_owned(),
                _ => format!("{}_{name}", mode.name().replace('-', "_")),
            };
            fields.insert(name, decimals(mean, 4).into());
        }
    }
    Value::Object(fields)
}

fn decimals(value: f64, places: i32) -> f64 {
    let scale = 10f64.powi(places);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::modes;
    use crate::eval::testing::scored;

    fn rows(predicted: &[&str]) -> (Vec<Example>, Vec<ScoredRow>) {
        let fields = |text: &&str| json!({"predicted_sql": text, "gold_sql": "select max(1)", "domain": "d"});
        let rows = predicted
            .iter()
            .map(|text| scored("", fields(text), &["public-exact"]));
        rows.unzip()
    }

    #[test]
    fn failures_come_by_count_then_by_name() {
        let (_, rows) = rows(&["none", "select 2", "none", "select max(1)", "select 1"]);
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

    #[test]
    fn points_are_a_mean_beside_the_metrics() {
        let fields = |predicted: &str| json!({"db": "x", "gold_sql": "select 1, 2", "predicted_sql": predicted});
        let rows = ["select 2, 1", "select 1, 3", "none"];
        let rows = rows.map(|predicted| scored("", fields(predicted), &["soft-f1"]));
        let (examples, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let modes = [modes::named("soft-f1").unwrap()];
        let line = tallies(&examples, &rows, &modes)[0].to_string();
        assert_eq!(line, "soft-f1: perfect=0.333 soft_f1=0.500 (n=3)");
        let run = Run {
            extract: Extraction::default(),
            now: Now::current(),
            dropped: BTreeMap::new(),
            samples: None,
        };
        let whole = to_json(&examples, &rows, &modes, &run);
        let points = &whole["modes"]["soft-f1"]["soft_f1"];
        assert_eq!(*points, json!({"value": 0.5, "n": 3}));
        let sliced = slices_to_json(&examples, &rows, &modes);
        let overall = json!({"rows": 3, "perfect": 0.3333, "soft_f1": 0.5});
        assert_eq!(sliced["overall"], overall);
    }

    #[test]
    fn the_whole_and_its_slices_as_json() {
        let (examples, rows) = rows(&["select max(1)", "select 2; select 3", "No."]);
        let modes = [modes::named("public-exact").unwrap()];
        let run = Run {
            extract: Extraction::default(),
            now: "2026-01-02T03:04:05Z".parse().unwrap(),
            dropped: [("a reason", 2), ("another", 1)].into(),
            samples: None,
        };
        let whole = to_json(&examples, &rows, &modes, &run);
        assert_eq!(whole["now"], "2026-01-02T03:04:05Z");
        assert_eq!(
            whole["dropped_rows"],
            json!({"count": 3, "reasons": {"a reason": 2, "another": 1}})
        );
        let metric = &whole["modes"]["public-exact"]["exact_match"];
        assert_eq!((&metric["passed"], &metric["n"]), (&json!(1), &json!(3)));
        assert_eq!(whole["failed_rows"], 2);
        assert_eq!(whole["clean_output"]["rate"], 0.333);
        assert_eq!(
            whole["clean_output"]["counts"],
            json!({"clean": 1, "multiple_statements": 1, "no_select_prefix": 1})
        );
        let sliced = slices_to_json(&examples, &rows, &modes);
        assert_eq!(sliced["overall"], json!({"rows": 3, "exact_match": 0.3333}));
        assert_eq!(
            sliced["slices"]["clean_output"],
            json!({"rows": 1, "exact_match": 1.0})
        );
        assert_eq!(sliced["slices"]["domain:d"]["rows"], 3);
        assert_eq!(sliced["slices"]["aggregate"]["rows"], 3);
    }
}
