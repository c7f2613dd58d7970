//! When two results are the same: as bags of SQLite's text, as sets, or as bags under any order of the columns.

mod permuted;

pub use permuted::same_under_permutation;

use super::value::{Row, Value};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Whether both results hold the same rows equally often, in any order, cells compared as SQLite's text of them.
pub fn same_text(left: &[Row], right: &[Row]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut counts: HashMap<Vec<u8>, usize> = HashMap::with_capacity(left.len());
    for row in left {
        *counts.entry(text_key(row)).or_insert(0) += 1;
    }
    right
        .iter()
        .all(|row| match counts.get_mut(&text_key(row)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        })
}

/// The texts of a row in one string of bytes that no other row has: each has its length before it.
fn text_key(row: &Row) -> Vec<u8> {
    let mut key = Vec::with_capacity(row.len() * 12);
    for value in row {
        match value.text() {
            None => key.push(0),
            Some(text) => {
                key.push(1);
                key.extend((text.len() as u64).to_le_bytes());
                key.extend_from_slice(&text);
            }
        }
    }
    key
}

/// Whether both results hold the same rows, in any order and however often, cells compared as Python does.
pub fn same_set(left: &[Row], right: &[Row]) -> bool {
    fn set(rows: &[Row]) -> HashSet<Vec<Key<'_>>> {
        rows.iter()
            .map(|row| row.iter().map(Key::of).collect())
            .collect()
    }
    set(left) == set(right)
}

/// A value as Python's `==` and `hash` see it: `1 == 1.0`, but no text is a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key<'a> {
    Null,
    Integer(i64),
    /// The bits of a real that is no integer of 64 bits.
    Real(u64),
    Text(Cow<'a, [u8]>),
    Blob(&'a [u8]),
}

impl<'a> Key<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Key::Null,
            Value::Integer(integer) => Key::Integer(*integer),
            Value::Real(real) => Self::of_real(*real),
            Value::Text(bytes) => Key::Text(Cow::Borrowed(bytes)),
            Value::Blob(bytes) => Key::Blob(bytes),
        }
    }

    fn of_real(real: f64) -> Self {
        // 2^63 itself is one too large; -2^63 is the smallest integer.
        let integral = real.fract() == 0.0
            && (-9.223372036854775808e18..9.223372036854775808e18).contains(&real);
        match integral {
            true => Key::Integer(real as i64),
            false => Key::Real(real.to_bits()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Value::{Blob, Integer, Null, Real};

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    fn column(values: impl IntoIterator<Item = Value>) -> Vec<Row> {
        values.into_iter().map(|value| vec![value]).collect()
    }

    fn one(left: Value, right: Value) -> [bool; 2] {
        let (left, right) = (column([left]), column([right]));
        [same_text(&left, &right), same_set(&left, &right)]
    }

    #[test]
    fn order_is_ignored_and_duplicates_count_in_bags_only() {
        let rows = |numbers: [i64; 3]| column(numbers.map(Integer));
        assert!(same_text(&rows([1, 2, 1]), &rows([2, 1, 1])));
        assert!(!same_text(&rows([1, 1, 2]), &rows([1, 2, 2])));
        assert!(same_set(&rows([1, 1, 2]), &rows([1, 2, 2])));
        assert!(same_set(&rows([1, 1, 1]), &column([Integer(1)])));
        assert!(!same_set(&rows([1, 2, 3]), &rows([1, 2, 2])));
    }

    #[test]
    fn null_differs_from_empty_text_and_from_no_row() {
        assert_eq!(one(Null, text("")), [false, false]);
        assert!(!same_text(&column([Null]), &[]) && !same_set(&column([Null]), &[]));
        assert!(same_text(&[], &[]) && same_set(&[], &[]));
    }

    #[test]
    fn column_order_and_count_matter() {
        let [ab, ba, a] = [
            vec![Integer(1), Integer(2)],
            vec![Integer(2), Integer(1)],
            vec![Integer(1)],
        ];
        for (left, right) in [(&ab, &ba), (&ab, &a)] {
            let (left, right) = ([left.clone()], [right.clone()]);
            assert!(!same_text(&left, &right) && !same_set(&left, &right));
        }
        let joined = [vec![text("a"), text("bc")], vec![text("ab"), text("c")]];
        assert!(
            !same_text(&joined[..1], &joined[1..]),
            "cells keep their ends"
        );
    }

    #[test]
    fn cells_compare_as_text_or_as_pythons_values() {
        assert_eq!(one(Integer(1), text("1")), [true, false]);
        assert_eq!(one(Integer(1), Real(1.0)), [false, true]);
        assert_eq!(one(Real(0.1 + 0.2), Real(0.3)), [true, false]);
        assert_eq!(one(Blob(vec![255]), Value::Text(vec![255])), [true, false]);
        assert_eq!(one(Real(0.0), Real(-0.0)), [true, true]);
        // Python compares the integer with the real exactly.
        assert_eq!(
            one(Integer(9007199254740993), Real(9007199254740992.0)),
            [false, false]
        );
        assert_eq!(
            one(Integer(i64::MAX), Real(9.223372036854775808e18)),
            [false, false]
        );
        assert_eq!(
            one(Integer(i64::MIN), Real(-9.223372036854775808e18)),
            [false, true]
        );
    }
}
