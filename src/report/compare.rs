//! Base against candidate, number by number.

use super::fact::{Fact, State, word};
use super::say;
use serde::Serialize;
use serde_json::Value;

/// A line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub what: &'static str,
    pub baseline: Fact,
    pub candidate: Fact,
    /// Candidate − baseline.
    pub change: Option<String>,
}

/// Most suites of a frontier model that are shown.
const MOST: usize = 20;

type Show = fn(f64) -> String;

/// By eval-baseline.json and eval-candidate.json, which may be null.
pub fn compare(baseline: &Value, candidate: &Value) -> Vec<Line> {
    let change = |key: &str, show: Show| {
        let number = |record: &Value| record[key].as_f64().or(record[key]["value"].as_f64());
        Some(show(number(candidate)? - number(baseline)?))
    };
    let line = |what, key: &str, show: Show, change| Line {
        what,
        baseline: fact(baseline, key, show),
        candidate: fact(candidate, key, show),
        change,
    };
    let plain: Show = |number| number.to_string();
    let points: Show = |difference| format!("{} points", say::points(difference));
    let signed: Show = |difference| format!("{difference:+.1}");
    let mut passed = line("passes its gate", "passed", plain, None);
    if passed.baseline.value.is_none() {
        passed.baseline = Fact::none(State::NotApplicable, "a baseline has none to pass");
    }
    vec![
        line("model", "model_id", plain, None),
        line("suite", "suite", plain, None),
        line("score", "score", say::value, change("score", points)),
        Line {
            what: "95% interval",
            baseline: interval(baseline),
            candidate: interval(candidate),
            change: None,
        },
        line("rows", "n", plain, None),
        passed,
        line(
            "milliseconds an answer",
            "latency_ms",
            |ms| format!("{ms:.1}"),
            change("latency_ms", signed),
        ),
        line(
            "tokens a second",
            "tokens_per_second",
            |rate| format!("{rate:.1}"),
            change("tokens_per_second", signed),
        ),
        line(
            "largest memory",
            "peak_rss_mb",
            say::megabytes,
            change("peak_rss_mb", |mb| format!("{mb:+.0} MB")),
        ),
        line("date", "date", plain, None),
        Line {
            what: "notes",
            baseline: notes(baseline),
            candidate: notes(candidate),
            change: None,
        },
    ]
}

/// What another, much larger model reached on each suite, by eval-validity.json, which may be null.
pub fn frontier(validity: &Value) -> Vec<(String, Fact)> {
    let frontier = &validity["frontier"];
    let said = [&frontier["model"], &frontier["date"]]
        .into_iter()
        .filter_map(word);
    let said = said.collect::<Vec<_>>().join(", ");
    let suites = frontier["by_suite"]
        .as_object()
        .into_iter()
        .flatten()
        .take(MOST);
    let suite = |(suite, value): (&String, &Value)| {
        let fact = Fact {
            value: Some(say::value(value.as_f64()?)),
            state: State::Historical,
            note: Some(said.clone()),
        };
        Some((suite.clone(), fact))
    };
    suites.filter_map(suite).collect()
}

/// A field, with what the record's notes say of it: `latency_ms: derived from …`.
fn fact(record: &Value, key: &str, show: Show) -> Fact {
    let fact = Fact::of(record, key, show);
    let notes = record["notes"].as_str().unwrap_or_default().split("; ");
    let note = notes
        .filter_map(|note| note.strip_prefix(key)?.strip_prefix(": "))
        .next();
    match note {
        Some(note) => fact.noted(note),
        None => fact,
    }
}

/// The notes that are not about a field.
fn notes(record: &Value) -> Fact {
    let notes = word(&record["notes"]).unwrap_or_default();
    let of_field = |note: &&str| {
        note.split_once(": ")
            .is_some_and(|(key, _)| record.get(key).is_some())
    };
    let notes: Vec<_> = notes
        .split("; ")
        .filter(|note| !note.is_empty() && !of_field(note))
        .collect();
    match notes.is_empty() {
        true => Fact::measured("none".to_owned()),
        false => Fact::measured(notes.join("; ")),
    }
}

fn interval(record: &Value) -> Fact {
    match [&record["interval"][0], &record["interval"][1]].map(Value::as_f64) {
        [Some(low), Some(high)] => Fact::measured(say::interval([low, high])),
        _ => Fact::none(State::Missing, "not in the run's records"),
    }
}
