//! Two scorings of the same rows, row against row: what a change gained and lost, and whether that may be chance.

use super::score::ScoredRow;
use super::stats::{self, Share};
use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The comparison of one column.
#[derive(Clone, Debug, Serialize)]
pub struct Paired {
    pub column: String,
    pub a: Share,
    pub b: Share,
    /// b − a.
    pub difference: f64,
    /// McNemar's exact two-sided p.
    pub p: f64,
    /// Rows that b passes and a fails, by id.
    pub gained: Vec<String>,
    /// Rows that a passes and b fails.
    pub lost: Vec<String>,
}

/// Compares the rows of two scorings, matched by id, or by place where no row has one.
///
/// Errors where one has rows that the other lacks, or rows that are not the same, or where no row has the column.
pub fn compare(a: &[ScoredRow], b: &[ScoredRow], column: &str) -> Result<Paired> {
    let (a, b) = (by_name(a)?, by_name(b)?);
    if let Some(name) = a.keys().find(|name| !b.contains_key(*name)) {
        bail!("row {name} is in the first file only: compare scorings of the same rows");
    }
    if let Some(name) = b.keys().find(|name| !a.contains_key(*name)) {
        bail!("row {name} is in the second file only: compare scorings of the same rows");
    }
    let (mut passed, mut n) = ([0, 0], 0);
    let (mut gained, mut lost) = (Vec::new(), Vec::new());
    for (name, first) in &a {
        let second = b[name];
        if let Some(field) = difference(first, second) {
            bail!(
                "row {name} has another {field} in the second file: compare scorings of the same rows"
            );
        }
        let (Some(x), Some(y)) = (answer(first, name, column)?, answer(second, name, column)?)
        else {
            continue;
        };
        n += 1;
        passed[0] += usize::from(x);
        passed[1] += usize::from(y);
        match (x, y) {
            (false, true) => gained.push(name.clone()),
            (true, false) => lost.push(name.clone()),
            _ => {}
        }
    }
    if n == 0 {
        bail!("no row has \"{column}\" in both files: {}", columns(&a, &b));
    }
    let [a, b] = passed.map(|passed| stats::share(passed, n));
    Ok(Paired {
        column: column.to_owned(),
        difference: b.value - a.value,
        a,
        b,
        p: stats::mcnemar_exact(gained.len(), lost.len()),
        gained,
        lost,
    })
}

/// The field that shows two rows to be different ones, or scored against different databases. A row without id is known by
/// nothing else.
fn difference(a: &ScoredRow, b: &ScoredRow) -> Option<&'static str> {
    [
        ("gold_sql", a.gold_sql == b.gold_sql),
        ("db", a.db == b.db),
        ("question", a.question == b.question),
        ("gold_error", a.scores.gold_error == b.scores.gold_error),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}

/// The row's answer in a column; `None` where its mode could not score the row.
fn answer(row: &ScoredRow, name: &str, column: &str) -> Result<Option<bool>> {
    match row.scores.verdicts.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(answer)) => Ok(Some(*answer)),
        Some(other) => bail!("row {name}: {column} is {other}, expected true or false"),
    }
}

type Named<'a> = BTreeMap<String, &'a ScoredRow>;

fn by_name(rows: &[ScoredRow]) -> Result<Named<'_>> {
    let mut named = BTreeMap::new();
    for row in rows {
        // Padded, so that places sort as numbers.
        let name = row
            .id
            .clone()
            .unwrap_or_else(|| format!("#{:06}", row.index));
        if named.insert(name.clone(), row).is_some() {
            bail!("two rows are called {name}");
        }
    }
    Ok(named)
}

/// What could be compared.
fn columns(a: &Named, b: &Named) -> String {
    let of = |rows: &Named| -> Vec<String> {
        let first = rows.values().next();
        first.map_or(Vec::new(), |row| {
            row.scores.verdicts.keys().cloned().collect()
        })
    };
    let other = of(b);
    let both: Vec<_> = of(a)
        .into_iter()
        .filter(|column| other.contains(column))
        .collect();
    format!("they have {}", both.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::row;

    fn rows(answers: &[(&str, bool)]) -> Vec<ScoredRow> {
        let row = |(id, passed): &(&str, bool)| row(id, *passed);
        answers.iter().map(row).collect()
    }

    #[test]
    fn rows_are_matched_by_id() {
        let a = rows(&[("x", true), ("y", false), ("z", false), ("w", true)]);
        let b = rows(&[("w", true), ("z", true), ("y", true), ("x", false)]);
        let paired = compare(&a, &b, "exec_match").unwrap();
        assert_eq!((paired.a.passed, paired.b.passed, paired.a.n), (2, 3, 4));
        assert_eq!(
            (paired.gained, paired.lost),
            (vec!["y".to_owned(), "z".to_owned()], vec!["x".to_owned()])
        );
        assert_eq!((paired.difference, paired.p), (0.25, 1.0));
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let (a, b) = (rows(&[("x", true)]), rows(&[("y", true)]));
        let error = |a: &[ScoredRow], b: &[ScoredRow], column| {
            compare(a, b, column).unwrap_err().to_string()
        };
        assert!(error(&a, &b, "exec_match").contains("row x is in the first file only"));
        let two = rows(&[("x", true), ("y", true)]);
        assert!(error(&a, &two, "exec_match").contains("row y is in the second file only"));
        assert!(error(&a, &a, "nope").contains("they have exec_match"));
        assert!(
            error(&rows(&[("x", true), ("x", true)]), &a, "exec_match")
                .contains("two rows are called x")
        );
        let mut other = a.clone();
        other[0].gold_sql = "h".to_owned();
        assert!(error(&a, &other, "exec_match").contains("another gold_sql"));
        let change = |change: fn(&mut ScoredRow)| {
            let mut other = a.clone();
            change(&mut other[0]);
            error(&a, &other, "exec_match")
        };
        assert!(change(|row| row.db = Some("y".to_owned())).contains("another db"));
        assert!(change(|row| row.question = Some("Q".to_owned())).contains("another question"));
        assert!(
            change(|row| row.scores.gold_error = Some("no".to_owned()))
                .contains("another gold_error")
        );
        assert!(
            change(|row| drop(
                row.scores
                    .verdicts
                    .insert("exec_match".to_owned(), 1.into())
            ))
            .contains("row x: exec_match is 1, expected true or false")
        );
    }
}
