//! Spider 2.0's comparison: each column of the reference is some column of the prediction, numbers within 0.01, whatever else
//! the prediction returns.
//!
//! The original compares what pandas reads from CSV files, so values are read here as [`super::inferred`] says.

use super::inferred::{Cell, read};
use crate::sql::value::Row;

/// How far two numbers may be apart, and how far in proportion to the larger.
const APART: f64 = 1e-2;
const IN_PROPORTION: f64 = 1e-9;

/// A result by its columns.
pub struct Columns<'a>(Vec<Vec<Cell<'a>>>);

impl<'a> Columns<'a> {
    /// The columns of a result; with `sorted`, each in an order of its own.
    pub fn of(rows: &'a [Row], sorted: bool) -> Self {
        let count = rows.first().map_or(0, Vec::len);
        let column = |at| {
            let mut cells = read(rows.iter().map(|row: &Row| &row[at]));
            if sorted {
                // By their texts, even of numbers: what the original pairs decides what it finds equal.
                cells.sort_by_cached_key(|cell| (cell.text().into_owned(), cell.is_number()));
            }
            cells
        };
        Self((0..count).map(column).collect())
    }

    /// Whether each of these columns, or of `wanted` of them, is some column of the prediction. Two results without rows have the
    /// same columns. A column of `wanted` that is not there is none of the prediction's.
    pub fn are_in(&self, predicted: &Columns, wanted: Option<&[usize]>) -> bool {
        if self.0.is_empty() || predicted.0.is_empty() {
            return self.0.is_empty() && predicted.0.is_empty();
        }
        let found = |column: &Vec<Cell>| predicted.0.iter().any(|other| same(column, other));
        match wanted {
            None => self.0.iter().all(found),
            Some(wanted) => wanted.iter().all(|&at| self.0.get(at).is_some_and(found)),
        }
    }
}

fn same(left: &[Cell], right: &[Cell]) -> bool {
    let pairs = || left.iter().zip(right);
    left.len() == right.len() && pairs().all(|(left, right)| same_cell(left, right))
}

fn same_cell(left: &Cell, right: &Cell) -> bool {
    match (left.number(), right.number()) {
        (Some(left), Some(right)) => close(left, right),
        (None, None) => left.text() == right.text(),
        _ => false,
    }
}

fn close(left: f64, right: f64) -> bool {
    let apart = (left - right).abs();
    let larger = left.abs().max(right.abs());
    // Two infinities are the same or not at all.
    left == right || (larger.is_finite() && apart <= APART.max(IN_PROPORTION * larger))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::value::Value::{Integer, Null, Real, Text};

    fn text(text: &str) -> crate::sql::value::Value {
        Text(text.as_bytes().to_vec())
    }

    fn matches(gold: &[Row], predicted: &[Row], sorted: bool, wanted: Option<&[usize]>) -> bool {
        Columns::of(gold, sorted).are_in(&Columns::of(predicted, sorted), wanted)
    }

    #[test]
    fn each_column_of_the_reference_is_somewhere_in_the_prediction() {
        let gold = [vec![Integer(1), text("a")], vec![Integer(2), text("b")]];
        let more = [
            vec![text("a"), Null, Real(1.0)],
            vec![text("b"), Null, Real(2.0)],
        ];
        assert!(matches(&gold, &more, false, None));
        assert!(!matches(&more, &gold, false, None), "the middle is missing");
        assert!(matches(&more, &gold, false, Some(&[0, 2])));
        assert!(!matches(&more, &gold, false, Some(&[0, 3])), "no column 3");
        assert!(!matches(&gold, &more[..1], false, None), "a row too few");
    }

    #[test]
    fn order_counts_unless_columns_are_sorted_each_for_itself() {
        let gold = [vec![Integer(1), text("a")], vec![Integer(2), text("b")]];
        let turned = [vec![Integer(2), text("a")], vec![Integer(1), text("b")]];
        assert!(!matches(&gold, &turned, false, None));
        assert!(matches(&gold, &turned, true, None));
    }

    #[test]
    fn numbers_are_the_same_within_a_hundredth() {
        let one = |left, right| matches(&[vec![left]], &[vec![right]], false, None);
        assert!(one(Real(0.004), Integer(0)) && one(Real(1.009), Real(1.0)));
        assert!(!one(Real(1.02), Real(1.0)));
        assert!(one(Real(1e12), Real(1e12 + 900.0)), "in proportion");
        assert!(one(Null, Integer(0)) && one(text(""), Null) && one(text("NULL"), Null));
        assert!(one(text("7"), Integer(7)) && !one(text("x"), Integer(7)));
        assert!(one(Real(f64::INFINITY), text("inf")) && !one(Real(f64::INFINITY), Real(1e308)));
    }

    #[test]
    fn nothing_is_the_same_as_nothing() {
        assert!(matches(&[], &[], true, None));
        assert!(!matches(&[], &[vec![Null]], true, None));
        assert!(!matches(&[vec![Null]], &[], true, Some(&[])));
    }
}
