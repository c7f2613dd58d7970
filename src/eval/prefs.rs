//! Preference pairs from failed rows: the reference query over what the model wrote.

use super::example::Example;
use super::score::{NO_ANSWER, ScoredRow};
use crate::sql::normalize::plain;
use serde::Serialize;
use std::collections::BTreeMap;

/// One pair for preference training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preference {
    /// The failed row's id with `-failure-pref` behind it.
    pub id: String,
    /// The failed row's domain; left out where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The kind of failure.
    pub failure_type: String,
    /// The prompt that the model answered.
    pub prompt: String,
    /// The reference query.
    pub chosen: String,
    /// The model's query, or its whole reply where that held none.
    pub rejected: String,
}

/// The pairs, and why failed rows gave none.
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    /// In the order of the rows.
    pub pairs: Vec<Preference>,
    /// How many failed rows were left out, by reason.
    pub dropped: BTreeMap<&'static str, usize>,
}

/// One pair for each failed row that teaches something. `rows` are the scored `examples`, in their order.
pub fn preferences(examples: &[Example], rows: &[ScoredRow]) -> Preferences {
    let mut preferences = Preferences::default();
    for (example, row) in examples.iter().zip(rows) {
        let Some(failure_type) = &row.scores.failure_type else {
            continue;
        };
        match pair(example, row, failure_type) {
            Ok(pair) => preferences.pairs.push(pair),
            Err(reason) => *preferences.dropped.entry(reason).or_insert(0) += 1,
        }
    }
    preferences
}

fn pair(
    example: &Example,
    row: &ScoredRow,
    failure_type: &str,
) -> Result<Preference, &'static str> {
    // Another text than the one the model saw would teach something else.
    let prompt = example.text("prompt").ok_or("without prompt")?;
    if row.gold_sql.is_empty() {
        return Err("without gold_sql");
    }
    if row.scores.gold_error.is_some() {
        return Err("gold_sql fails");
    }
    if failure_type == NO_ANSWER {
        return Err("without an answer");
    }
    let rejected = match row.scored_sql.as_str() {
        "" => &row.predicted_sql,
        _ => &row.scored_sql,
    };
    if plain(rejected) == plain(&row.gold_sql) {
        return Err("chosen equals rejected");
    }
    let id = match &row.id {
        Some(id) => id.clone(),
        None => format!("row-{}", row.index),
    };
    Ok(Preference {
        id: format!("{id}-failure-pref"),
        domain: example.text("domain").map(str::to_owned),
        failure_type: failure_type.to_owned(),
        prompt: prompt.to_owned(),
        chosen: row.gold_sql.clone(),
        rejected: rejected.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::scored;
    use serde_json::{Value, json};

    fn of(fields: Value) -> Preferences {
        of_mode(fields, "factory")
    }

    fn of_mode(fields: Value, mode: &str) -> Preferences {
        let mut fields = fields;
        fields["db"] = "x.db".into();
        let (example, row) = scored(
            "CREATE TABLE t(a); INSERT INTO t VALUES ('x');",
            fields,
            &[mode],
        );
        preferences(
            &[Example {
                index: 5,
                ..example
            }],
            &[ScoredRow { index: 5, ..row }],
        )
    }

    fn dropped(fields: Value) -> Vec<&'static str> {
        let preferences = of(fields);
        assert!(preferences.pairs.is_empty());
        preferences.dropped.into_keys().collect()
    }

    #[test]
    fn a_failed_row_gives_one_pair() {
        let preferences = of(json!({
            "id": "r", "domain": "d", "prompt": "P", "gold_sql": "select a from t;",
            "predicted_sql": "Answer: select b from t; done",
        }));
        assert_eq!(
            serde_json::to_string(&preferences.pairs).unwrap(),
            concat!(
                r#"[{"id":"r-failure-pref","domain":"d","failure_type":"sql_wrong_schema","prompt":"P","#,
                r#""chosen":"select a from t;","rejected":"select b from t;"}]"#
            )
        );
    }

    #[test]
    fn a_reply_without_a_query_is_rejected_whole() {
        let preferences =
            of(json!({"prompt": "P", "gold_sql": "select a from t", "predicted_sql": "No."}));
        assert_eq!(preferences.pairs[0].rejected, "No.");
        assert_eq!(preferences.pairs[0].id, "row-5-failure-pref");
    }

    #[test]
    fn a_passed_row_gives_none() {
        let preferences = of(
            json!({"prompt": "P", "gold_sql": "select a from t", "predicted_sql": "select a from t"}),
        );
        assert!(preferences.pairs.is_empty() && preferences.dropped.is_empty());
    }

    #[test]
    fn rows_that_teach_nothing_are_dropped_and_counted() {
        // A mode that runs the reply as it stands fails it, though the query in it is right.
        let fenced = json!({"prompt": "P", "gold_sql": "select a from t", "predicted_sql": "```\nSELECT a FROM t\n```"});
        let preferences = of_mode(fenced, "bird-ex");
        assert!(preferences.pairs.is_empty());
        assert_eq!(preferences.dropped, [("chosen equals rejected", 1)].into());
        assert_eq!(
            dropped(json!({"gold_sql": "select a from t", "predicted_sql": "select 2"})),
            ["without prompt"]
        );
        assert_eq!(
            dropped(
                json!({"prompt": "P", "gold_sql": "select b from t", "predicted_sql": "select 2"})
            ),
            ["gold_sql fails"]
        );
    }
}
