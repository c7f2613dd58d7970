//! Spider 2.0-lite's accuracy: each column of a gold result is some column of the prediction, numbers within 0.01. Any of
//! several gold results will do. The reply is run as it stands, or what its first block marked as sql holds.
//!
//! Unlike the original, one lettered gold file is compared in all columns that `condition_cols` names, and a gold result that
//! lacks one of them matches nothing instead of ending the comparison.

use super::{Execution, Metric, Mode, Texts, Verdict};
use crate::eval::gold_files;
use crate::eval::session::{Outcome, Session};
use crate::sql::compare::columns::Columns;
use crate::sql::error::SqlError;

pub(super) struct Spider2Lite;

/// A result that is right, and the columns of it that count, all where none are named.
struct Gold<'a> {
    result: Outcome,
    wanted: Option<&'a [usize]>,
}

impl Mode for Spider2Lite {
    fn name(&self) -> &'static str {
        "spider2-lite"
    }

    fn takes_files(&self) -> bool {
        true
    }

    fn metrics(&self) -> &'static [Metric] {
        &[Metric {
            column: "spider2_lite_match",
            mean: "execution_accuracy",
        }]
    }

    fn gold_fault(&self, texts: &Texts, session: &mut Session) -> Option<SqlError> {
        golds(texts, session).err()
    }

    fn score(&self, texts: &Texts, session: &mut Session) -> Verdict {
        let sorted = texts.standard.is_some_and(|standard| standard.ignore_order);
        let files = match session.locate(texts.db) {
            Ok(files) => files,
            Err(error) => return failed(Outcome::new(Err(error.clone())), error),
        };
        let predicted = session.predicted(&files[0], query(texts.predicted));
        let golds = match golds(texts, session) {
            Ok(golds) => golds,
            Err(error) => return failed(predicted, error),
        };
        let matched = predicted.as_ref().as_ref().ok().and_then(|rows| {
            let predicted = Columns::of(rows, sorted);
            golds.iter().find(|gold| match gold.result.as_ref() {
                Ok(rows) => Columns::of(rows, sorted).are_in(&predicted, gold.wanted),
                Err(_) => false,
            })
        });
        Verdict {
            passed: vec![matched.is_some()],
            execution: matched.or(golds.first()).map(|gold| Execution {
                predicted,
                gold: gold.result.clone(),
            }),
            ..Verdict::default()
        }
    }
}

fn failed(predicted: Outcome, gold: SqlError) -> Verdict {
    Verdict {
        passed: vec![false],
        execution: Some(Execution {
            predicted,
            gold: Outcome::new(Err(gold)),
        }),
        ..Verdict::default()
    }
}

/// The gold results of a row, at least one: its files, else what its reference query returns.
fn golds<'a>(texts: &Texts<'a>, session: &mut Session) -> Result<Vec<Gold<'a>>, SqlError> {
    let standard = texts.standard;
    let results = match standard.and_then(|standard| standard.gold_csv.as_deref()) {
        Some(name) => of_files(name, session)?,
        None => {
            let files = session.locate(texts.db)?;
            let result = session.gold(&files[0], texts.gold, false);
            if let Err(error) = result.as_ref() {
                return Err(error.clone());
            }
            vec![result]
        }
    };
    let wanted = match standard {
        Some(standard) => standard.wanted(results.len()),
        None => vec![None],
    };
    let golds = results.into_iter().zip(wanted);
    let golds: Vec<_> = golds
        .map(|(result, wanted)| Gold { result, wanted })
        .collect();
    if !golds.iter().any(has_all_that_count) {
        let what = "condition_cols names a column that no gold result has (they count from 0)";
        return Err(SqlError::Gold(what.to_owned()));
    }
    Ok(golds)
}

fn of_files(name: &str, session: &Session) -> Result<Vec<Outcome>, SqlError> {
    let options = session.options();
    let Some(folder) = &options.gold_dir else {
        let what = "a row with gold_csv needs the folder of the gold results (--gold-dir)";
        return Err(SqlError::Gold(what.to_owned()));
    };
    let files = gold_files::find(folder, name, options.rules.follow_links)?;
    let read = |file| Ok(Outcome::new(Ok(gold_files::read(file)?)));
    files.iter().map(|file| read(file)).collect()
}

fn has_all_that_count(gold: &Gold) -> bool {
    let wanted = gold.wanted.unwrap_or_default();
    let first = gold.result.as_ref().as_ref().map(|rows| rows.first());
    match first {
        Ok(Some(row)) => wanted.iter().all(|&column| column < row.len()),
        // Without rows nobody knows how many columns there are.
        _ => true,
    }
}

/// The query of a reply, as the original takes it.
fn query(reply: &str) -> &str {
    let fenced = reply.split_once("```sql\n");
    let fenced = fenced.and_then(|(_, rest)| rest.split_once("\n```"));
    fenced.map_or(reply, |(query, _)| query).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::scored;
    use serde_json::{Value, json};

    const SCHEMA: &str = "CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y');";

    fn passes(mut fields: Value) -> bool {
        fields["db"] = "x".into();
        let (_, row) = scored(SCHEMA, fields, &["spider2-lite"]);
        row.verdict("spider2_lite_match").unwrap()
    }

    #[test]
    fn the_block_marked_as_sql_is_run_or_the_whole_reply() {
        for (reply, expected) in [
            ("select 1 ", "select 1"),
            (
                "So:\n```sql\nselect 1\n```\n```sql\nselect 2\n```",
                "select 1",
            ),
            ("```sql\nselect 1", "```sql\nselect 1"),
            ("```\nselect 1\n```", "```\nselect 1\n```"),
        ] {
            assert_eq!(query(reply), expected);
        }
    }

    #[test]
    fn a_reference_query_is_the_gold_result_where_there_is_no_file() {
        let gold =
            |predicted: &str| json!({"gold_sql": "select a from t", "predicted_sql": predicted});
        assert!(passes(gold("select b, a + 0.001 from t")));
        assert!(!passes(gold("select b from t")));
        assert!(!passes(gold("select a from t order by a desc")));
        let mut any_order = gold("select a from t order by a desc");
        any_order["ignore_order"] = true.into();
        assert!(passes(any_order));
        let columns = |columns: Value| {
            let fields = json!({"gold_sql": "select a, 'z' from t", "predicted_sql": "select a from t", "condition_cols": columns});
            passes(fields)
        };
        assert!(columns(json!([0])) && !columns(json!([1])) && !columns(json!([])));
    }

    #[test]
    fn a_column_that_is_nowhere_is_the_references_fault() {
        let fields = json!({"db": "x", "gold_sql": "select a from t", "predicted_sql": "select a from t", "condition_cols": [1]});
        let (_, row) = scored(SCHEMA, fields, &["spider2-lite"]);
        let error = row.scores.gold_error.unwrap();
        assert!(
            error.starts_with("condition_cols names a column"),
            "{error}"
        );
        let fields = json!({"db": "x", "gold_csv": "x", "predicted_sql": "select a from t"});
        let (_, row) = scored(SCHEMA, fields, &["spider2-lite"]);
        assert!(row.scores.gold_error.unwrap().contains("--gold-dir"));
    }
}
