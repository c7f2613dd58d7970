//! What a row of mode spider2-lite says of its gold results, beside its texts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Component, Path};

/// The fields of a row that a [`Standard`] is made of.
pub const FIELDS: [&str; 3] = ["gold_csv", "condition_cols", "ignore_order"];

/// What a row says of its gold results, by the names of the benchmark's own spider2lite_eval.jsonl.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Standard {
    /// Their name: NAME.csv, or any of NAME_a.csv to NAME_z.csv. Without it the reference query gives the one gold result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold_csv: Option<String>,
    /// The columns that count; all where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition_cols: Option<Wanted>,
    /// Whether each column is compared in an order of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_order: bool,
}

/// Columns of gold results, from 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// The same of every gold result.
    Same(Vec<usize>),
    /// A list for each; one without a list counts for nothing.
    Each(Vec<Vec<usize>>),
}

impl Standard {
    /// What the fields of a row say. The error names the field and what it may be.
    pub fn of(fields: &Map<String, Value>) -> Result<Self, String> {
        let there = |field| fields.get(field).filter(|value| !value.is_null());
        let wrong = |field: &str, may_be: &str| format!("field \"{field}\" must be {may_be}");
        let gold_csv = there("gold_csv").map(|value| {
            let name = value.as_str().filter(|name| is_file_name(name));
            name.map(str::to_owned).ok_or_else(|| {
                wrong(
                    "gold_csv",
                    "a name: NAME stands for NAME.csv, or NAME_a.csv, NAME_b.csv, … in --gold-dir",
                )
            })
        });
        let condition_cols = there("condition_cols").map(|value| {
            Wanted::deserialize(value).map_err(|_| {
                wrong(
                    "condition_cols",
                    "a list of columns, from 0, or a list of such lists, one for each gold file",
                )
            })
        });
        let ignore_order = there("ignore_order").map(|value| {
            let order = value.as_bool();
            order.ok_or_else(|| wrong("ignore_order", "true or false"))
        });
        Ok(Self {
            gold_csv: gold_csv.transpose()?,
            condition_cols: condition_cols.transpose()?,
            ignore_order: ignore_order.transpose()?.unwrap_or_default(),
        })
    }

    /// The columns that count of each of so many gold results, `None` where all do; fewer where some count for nothing.
    pub fn wanted(&self, golds: usize) -> Vec<Option<&[usize]>> {
        match &self.condition_cols {
            Some(Wanted::Same(same)) => vec![some(same); golds],
            // One empty list is none at all.
            Some(Wanted::Each(each)) if !matches!(&each[..], [only] if only.is_empty()) => {
                let each = each.iter().take(golds);
                each.map(|columns| some(columns)).collect()
            }
            _ => vec![None; golds],
        }
    }
}

fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let first = parts.next();
    matches!(first, Some(Component::Normal(part)) if part == name) && parts.next().is_none()
}

fn some(columns: &[usize]) -> Option<&[usize]> {
    (!columns.is_empty()).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(fields: Value) -> Result<Standard, String> {
        Standard::of(fields.as_object().unwrap())
    }

    #[test]
    fn fields_are_those_of_the_benchmark() {
        let standard = of(
            json!({"gold_csv": "local003", "condition_cols": [[1, 2], [0]], "ignore_order": true}),
        );
        let expected = Standard {
            gold_csv: Some("local003".to_owned()),
            condition_cols: Some(Wanted::Each(vec![vec![1, 2], vec![0]])),
            ignore_order: true,
        };
        assert_eq!(standard, Ok(expected));
        assert_eq!(of(json!({"gold_csv": null})), Ok(Standard::default()));
        for (fields, field) in [
            (json!({"gold_csv": "../x"}), "gold_csv"),
            (json!({"gold_csv": "a/b"}), "gold_csv"),
            (json!({"gold_csv": ["a", "b"]}), "gold_csv"),
            (json!({"condition_cols": 1}), "condition_cols"),
            (json!({"condition_cols": [-1]}), "condition_cols"),
            (json!({"condition_cols": [[0], 1]}), "condition_cols"),
            (json!({"ignore_order": "yes"}), "ignore_order"),
        ] {
            let error = of(fields).unwrap_err();
            assert!(error.starts_with(&format!("field \"{field}\" ")), "{error}");
        }
    }

    #[test]
    fn columns_are_for_all_gold_results_or_for_each() {
        let wanted = |columns: Value, golds| {
            let standard = of(json!({"condition_cols": columns})).unwrap();
            let wanted = standard.wanted(golds).into_iter();
            wanted.map(|one| one.map(<[_]>::to_vec)).collect::<Vec<_>>()
        };
        let all: Vec<Option<Vec<usize>>> = vec![None, None];
        for none in [json!(null), json!([]), json!([[]])] {
            assert_eq!(wanted(none, 2), all);
        }
        let (zero, one) = (Some(vec![0]), Some(vec![1]));
        assert_eq!(wanted(json!([1]), 2), [one.clone(), one.clone()]);
        assert_eq!(wanted(json!([[0], [1]]), 2), [zero.clone(), one]);
        assert_eq!(wanted(json!([[0], []]), 3), [zero.clone(), None]);
        assert_eq!(wanted(json!([[0], [1]]), 1), [zero]);
        assert_eq!(wanted(json!([[], []]), 3), all);
    }
}
