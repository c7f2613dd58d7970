//! The data: where it is from, how much there is, how long it is, whether the sets overlap.

use super::fact::{Fact, State, word, words};
use super::rows::Pair;
use serde::Serialize;
use serde_json::Value;

/// Most files that are listed.
const MOST: usize = 100;

/// What is said of the data.
#[derive(Clone, Debug, Serialize)]
pub struct Data {
    pub id: Option<String>,
    pub sources: Vec<Source>,
    /// Counts and how the rows were processed.
    pub counts: Vec<(String, Fact)>,
    pub lengths: Vec<Length>,
    /// `no-overlap`, `overlap-detected`, with its note.
    pub overlap: Fact,
    pub limitations: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Source {
    pub kind: String,
    pub path: String,
    pub rows: Option<String>,
    pub sha256: Option<String>,
}

/// Characters of the held-out rows' texts.
#[derive(Clone, Debug, Serialize)]
pub struct Length {
    pub what: &'static str,
    pub least: usize,
    pub median: usize,
    pub most: usize,
}

impl Data {
    /// By dataset.json, provenance.json and eval-validity.json, which may be null, and the rows.
    pub fn of(dataset: &Value, provenance: &Value, validity: &Value, pairs: &[Pair]) -> Self {
        let list = |value: &Value, kind: &str| {
            let all = value.as_array().into_iter().flatten().take(MOST);
            let source = |one: &Value| Source {
                kind: word(&one["kind"]).unwrap_or_else(|| kind.to_owned()),
                path: word(&one["path"]).unwrap_or_default(),
                rows: word(&one["rows"]),
                sha256: word(&one["sha256"]),
            };
            all.map(source).collect::<Vec<_>>()
        };
        let mut sources = list(&dataset["sources"], "source");
        for other in list(&provenance["datasets"], "dataset") {
            if !sources
                .iter()
                .any(|source| source.path == other.path && source.sha256 == other.sha256)
            {
                sources.push(other);
            }
        }
        let named = [
            ("counts", "train_rows", "training rows"),
            ("counts", "heldout_rows", "held-out rows"),
            ("counts", "dropped_rows", "dropped rows"),
            ("processing", "dedupe", "duplicates"),
            ("processing", "quality_filter", "quality filter"),
            ("processing", "heldout_split", "held-out split"),
        ];
        let count = |(part, key, what): (&str, &str, &str)| {
            (
                what.to_owned(),
                Fact::of(&dataset[part], key, |number| number.to_string()),
            )
        };
        Self {
            id: word(&dataset["dataset_id"]),
            sources,
            counts: named.into_iter().map(count).collect(),
            lengths: lengths(pairs),
            overlap: overlap(&validity["overlap_check"]),
            limitations: words(&validity["known_limitations"]),
        }
    }
}

fn overlap(check: &Value) -> Fact {
    match word(&check["result"]) {
        Some(result) => Fact {
            note: word(&check["note"]),
            ..Fact::measured(result)
        },
        None => Fact::none(State::Missing, "eval-validity.json has no overlap check"),
    }
}

/// Of the rows of all gates.
fn lengths(pairs: &[Pair]) -> Vec<Length> {
    type Text = fn(&Pair) -> Option<&str>;
    let texts: [(&str, Text); 4] = [
        ("question", |pair| pair.candidate.question.as_deref()),
        ("reference", |pair| Some(&pair.candidate.gold_sql)),
        ("baseline's answer", |pair| {
            Some(&pair.baseline.as_ref()?.predicted_sql)
        }),
        ("candidate's answer", |pair| {
            Some(&pair.candidate.predicted_sql)
        }),
    ];
    let of = |(what, text): (&'static str, Text)| {
        let mut all: Vec<usize> = pairs
            .iter()
            .filter_map(text)
            .map(|text| text.chars().count())
            .collect();
        all.sort();
        Some(Length {
            what,
            least: *all.first()?,
            median: all[all.len() / 2],
            most: *all.last()?,
        })
    };
    texts.into_iter().filter_map(of).collect()
}
