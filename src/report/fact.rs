//! One number or word of a report, with where it comes from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a fact comes from. What was skipped, is missing or not applicable has no value, but a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// By this run.
    Measured,
    /// Computed here from what was measured.
    Derived,
    /// By an earlier run or another program.
    Historical,
    Skipped,
    Missing,
    NotApplicable,
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    pub value: Option<String>,
    pub state: State,
    pub note: Option<String>,
}

impl Fact {
    pub fn measured(value: String) -> Self {
        Self {
            value: Some(value),
            state: State::Measured,
            note: None,
        }
    }

    pub fn derived(value: String) -> Self {
        Self {
            state: State::Derived,
            ..Self::measured(value)
        }
    }

    pub fn none(state: State, note: &str) -> Self {
        Self {
            value: None,
            state,
            note: Some(note.to_owned()),
        }
    }

    /// What a record says under `key`: a number or text, or `{state, value, note}`; `KEY_note` beside it is its note.
    pub fn of(record: &Value, key: &str, show: impl Fn(f64) -> String) -> Self {
        let found = &record[key];
        let note = |value: &Value| value.as_str().map(str::to_owned);
        let beside = note(&record[format!("{key}_note")]);
        let (value, state, inner) = match found {
            Value::Object(parts) if parts.contains_key("state") => {
                let state = State::deserialize(&found["state"]).unwrap_or(State::Missing);
                (&found["value"], Some(state), note(&found["note"]))
            }
            _ => (found, None, None),
        };
        let value = match value {
            Value::Number(number) => number.as_f64().map(show),
            other => word(other),
        };
        let note = inner.or(beside);
        let fact = match (value, state) {
            (Some(value), state) => Self {
                value: Some(value),
                state: state.unwrap_or(State::Measured),
                note: None,
            },
            (None, state) => {
                Self::none(state.unwrap_or(State::Missing), "not in the run's records")
            }
        };
        match note {
            Some(note) => fact.noted(&note),
            None => fact,
        }
    }

    /// With a note, which may begin with a state, as in `missing: nobody measured it`.
    pub fn noted(self, note: &str) -> Self {
        let named = STATES.iter().find_map(|(name, state)| {
            let rest = note.strip_prefix(name)?;
            let ends = rest.is_empty() || rest.starts_with([':', ',', ' ']);
            ends.then(|| (*state, rest.trim_start_matches([':', ',', ' '])))
        });
        let (state, rest) = named.unwrap_or((self.state, note));
        let note = (!rest.is_empty()).then(|| super::say::short(rest, super::say::TEXT));
        Self {
            state,
            note,
            ..self
        }
    }
}

const STATES: [(&str, State); 6] = [
    ("measured", State::Measured),
    ("derived", State::Derived),
    ("historical", State::Historical),
    ("skipped", State::Skipped),
    ("missing", State::Missing),
    ("not-applicable", State::NotApplicable),
];

/// A scalar as text; `None` where it is null, empty, or none.
pub fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(super::say::short(text, super::say::TEXT)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        _ => None,
    }
}

/// The texts of a list; a text alone is a list of one.
pub fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) => all.iter().filter_map(word).take(MOST_WORDS).collect(),
        one => word(one).into_iter().collect(),
    }
}

/// Most entries of a list that are shown.
const MOST_WORDS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_says_where_a_value_comes_from() {
        let record = json!({
            "a": 1.5, "b": {"state": "historical", "value": 2, "note": "of May"}, "c": null, "c_note": "no meter",
            "d": {"state": "skipped", "value": null, "note": "too long"}, "e": {"state": "odd"}, "f": "text",
        });
        let of = |key| Fact::of(&record, key, super::super::say::value);
        let parts = |fact: Fact| (fact.value, fact.state, fact.note);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(parts(of("a")), (text("1.500"), State::Measured, None));
        assert_eq!(
            parts(of("b")),
            (text("2.000"), State::Historical, text("of May"))
        );
        assert_eq!(parts(of("c")), (None, State::Missing, text("no meter")));
        assert_eq!(parts(of("d")), (None, State::Skipped, text("too long")));
        assert_eq!(of("e").state, State::Missing);
        assert_eq!(parts(of("f")), (text("text"), State::Measured, None));
        assert_eq!(
            parts(of("g")),
            (None, State::Missing, text("not in the run's records"))
        );
        for (name, state) in STATES {
            assert_eq!(serde_json::to_value(state).unwrap(), name);
        }
        let noted = |note| parts(of("a").noted(note));
        assert_eq!(
            noted("derived from two"),
            (text("1.500"), State::Derived, text("from two"))
        );
        assert_eq!(
            noted("missing: no"),
            (text("1.500"), State::Missing, text("no"))
        );
        assert_eq!(
            noted("measuredly"),
            (text("1.500"), State::Measured, text("measuredly"))
        );
    }
}
