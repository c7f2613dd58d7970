//! A row as the page shows it, in as many characters as there is room for.

use super::pair::{Outcome, Pair, name};
use crate::eval::score::ScoredRow;
use crate::eval::shown::Shown;
use crate::report::say::short;
use serde::Serialize;

/// How much of the rows is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// How many rows, and whether right ones are among them.
    pub rows: usize,
    pub right: bool,
    /// Characters of a text and of a cell; rows and columns of a result.
    text: usize,
    cell: usize,
    lines: usize,
    columns: usize,
}

/// From much to nothing.
pub fn most() -> impl Iterator<Item = Most> {
    let much = Most {
        rows: usize::MAX,
        right: true,
        text: 4_000,
        cell: 120,
        lines: 10,
        columns: 12,
    };
    let less = Most {
        text: 1_000,
        cell: 60,
        lines: 4,
        columns: 8,
        ..much
    };
    let wrong = Most {
        right: false,
        text: 600,
        cell: 40,
        lines: 2,
        columns: 6,
        ..much
    };
    let few = move |rows| Most {
        rows,
        text: 300,
        lines: 0,
        ..wrong
    };
    let halves = std::iter::successors(Some(1_024), |rows| (*rows > 0).then_some(rows / 2));
    [much, less, wrong].into_iter().chain(halves.map(few))
}

impl Most {
    /// Whether nothing less can be asked for.
    pub fn is_least(&self) -> bool {
        self.rows == 0
    }
}

/// A row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its place among all rows of the report.
    at: usize,
    gate: String,
    name: String,
    outcome: Outcome,
    /// Whether it is compared with a baseline.
    compared: bool,
    failure: Option<String>,
    db: Option<String>,
    question: Option<String>,
    reference: String,
    reference_error: Option<String>,
    reference_rows: Option<Table>,
    /// The baseline, where there is one, and the candidate.
    sides: Vec<Side>,
}

/// What a model said.
#[derive(Clone, Debug, Serialize)]
struct Side {
    who: &'static str,
    passed: bool,
    failure: Option<String>,
    /// The query that was scored, in three parts: the middle one is not as in the reference.
    sql: [String; 3],
    /// The whole reply, where it is more than the query.
    reply: Option<String>,
    error: Option<String>,
    rows: Option<Table>,
}

/// The first rows of a result.
#[derive(Clone, Debug, Serialize)]
struct Table {
    rows: Vec<Vec<Option<String>>>,
    /// Whether more of it was seen.
    cut: bool,
}

impl Row {
    pub fn of(at: usize, pair: &Pair, most: &Most) -> Self {
        let row = &pair.candidate;
        let text = |text: &str| short(text, most.text);
        let baseline = pair.baseline.as_ref();
        // Only a row that was not matched holds the reference's result.
        let reference = [Some(row), baseline].into_iter().flatten();
        let reference = reference
            .filter_map(|row| Table::of(row.scores.gold_rows.as_ref()?, row, most))
            .next();
        let error = row.scores.gold_error.as_deref();
        let mut sides = Vec::from_iter(baseline.map(|row| Side::of("baseline", pair, row, most)));
        sides.push(Side::of("candidate", pair, row, most));
        Self {
            at,
            gate: pair.gate.clone(),
            name: short(&name(row), 120),
            outcome: pair.outcome,
            compared: pair.baseline.is_some(),
            failure: pair.failure(),
            db: row.db.as_deref().map(|db| short(db, 120)),
            question: row.question.as_deref().map(text),
            reference: text(&row.gold_sql),
            reference_error: error.map(text),
            reference_rows: reference,
            sides,
        }
    }
}

impl Side {
    fn of(who: &'static str, pair: &Pair, row: &ScoredRow, most: &Most) -> Self {
        let text = |text: &str| short(text, most.text);
        let scores = &row.scores;
        let reply = row.predicted_sql.trim();
        let sql = row.scored_sql.trim();
        Self {
            who,
            passed: !pair.fails(row),
            failure: pair.kind(row),
            sql: different(&pair.candidate.gold_sql, &text(sql)).map(str::to_owned),
            reply: (reply != sql && !reply.is_empty()).then(|| text(reply)),
            error: scores.predicted_error.as_deref().map(text),
            rows: scores
                .predicted_rows
                .as_ref()
                .and_then(|rows| Table::of(rows, row, most)),
        }
    }
}

impl Table {
    fn of(shown: &Shown, row: &ScoredRow, most: &Most) -> Option<Self> {
        if most.lines == 0 {
            return None;
        }
        let all = shown.rows();
        let wide = all.iter().any(|line| line.len() > most.columns);
        let cell = |cell: Option<String>| cell.map(|text| short(&text, most.cell));
        let line = |line: Vec<_>| line.into_iter().take(most.columns).map(cell).collect();
        Some(Self {
            cut: row.scores.rows_cut || wide || all.len() > most.lines,
            rows: all.into_iter().take(most.lines).map(line).collect(),
        })
    }
}

/// `sql` before, where, and behind where it differs from the reference, by words; whole in the first part where they have little
/// in common.
fn different<'a>(reference: &str, sql: &'a str) -> [&'a str; 3] {
    let (one, other) = (words(reference), words(sql));
    let same = |(a, b): &(&&str, &&str)| a.eq_ignore_ascii_case(b);
    let head = one.iter().zip(&other).take_while(same).count();
    let rest = one.len().min(other.len()) - head;
    let tail = one
        .iter()
        .rev()
        .zip(other.iter().rev())
        .take(rest)
        .take_while(same)
        .count();
    let length = |words: &[&str]| words.iter().map(|word| word.len()).sum::<usize>();
    let (start, end) = (length(&other[..head]), length(&other[..other.len() - tail]));
    match (start + sql.len() - end) * 3 < sql.len() {
        true => [sql, "", ""],
        false => [&sql[..start], &sql[start..end], &sql[end..]],
    }
}

/// The text in words, spaces and single signs.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is = |c: char| c.is_alphanumeric() || c == '_';
        let length = match is(first) {
            true => rest.find(|c| !is(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        words.push(&rest[..length]);
        rest = &rest[length..];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found_by_words() {
        let of = |one, other| different(one, other).map(str::to_owned);
        assert_eq!(
            of(
                "select name from t where a = 'x';",
                "SELECT name FROM t WHERE b = 'x';"
            ),
            ["SELECT name FROM t WHERE ", "b", " = 'x';"]
        );
        assert_eq!(of("select a", "select a"), ["select a", "", ""]);
        assert_eq!(of("select a from b", "no idea"), ["no idea", "", ""]);
        assert_eq!(
            of("select é, é", "select é, é, é"),
            ["select é, é", ", é", ""]
        );
        assert_eq!(of("", ""), ["", "", ""]);
        // A word that is longer is another word.
        assert_eq!(
            of("select max(a) from b", "select max(ab) from b"),
            ["select max(", "ab", ") from b"]
        );
    }

    #[test]
    fn less_and_less_is_asked_for() {
        let all: Vec<_> = most().collect();
        assert!(all[0].right && all.last().unwrap().is_least());
        assert!(
            all.windows(2)
                .all(|pair| pair[1].rows <= pair[0].rows && pair[1].text <= pair[0].text)
        );
        assert_eq!(all.iter().filter(|most| most.is_least()).count(), 1);
    }
}
