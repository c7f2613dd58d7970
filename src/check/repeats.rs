//! Rows that say what another says, and rows that answer the same question otherwise.

use super::finding::{Finding, Kind};
use super::rows::{Row, Side};
use std::collections::BTreeMap;

/// What is known of a question.
#[derive(Default)]
struct Known<'a> {
    /// The first two answers that differ, each with its first row: whatever a row answers, one of them is another.
    answers: Vec<(&'a str, &'a Row)>,
    /// The first row of each side with each answer, none counting as one.
    sides: BTreeMap<(Side, Option<&'a str>), &'a Row>,
}

/// Adds a finding for each row that repeats one of its side, and for each that contradicts one of either. The same words asked
/// of two databases are two questions.
pub fn find(rows: &[Row], findings: &mut Vec<Finding>) {
    let mut known: BTreeMap<(&str, Option<&str>), Known> = BTreeMap::new();
    for (row, ask) in rows.iter().flat_map(Row::asked) {
        let question = known.entry((&ask.given, row.db.as_deref())).or_default();
        let answer = ask.answer.as_deref();
        let first = question.sides.entry((row.side, answer)).or_insert(row);
        if !std::ptr::eq(*first, row) {
            let first = &first.place;
            findings.push(Finding::pair(Kind::Duplicates, &row.place, first, ""));
        }
        let Some(answer) = answer else { continue };
        let other = question.answers.iter().find(|(own, _)| *own != answer);
        if let Some((_, other)) = other {
            let kind = Kind::Contradictions;
            findings.push(Finding::pair(kind, &row.place, &other.place, ""));
        }
        let new = question.answers.iter().all(|(own, _)| *own != answer);
        if new && question.answers.len() < 2 {
            question.answers.push((answer, row));
        }
    }
}
