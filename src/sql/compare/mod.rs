//! When two results are the same: as bags of SQLite's text, as sets, as bags under any order of the columns, or by their columns
//! alone; and how far they agree.

pub mod columns;
mod inferred;
mod permuted;
mod soft;

pub use permuted::same_under_permutation;
pub use soft::{soft_f1, soft_f1_of_all};

use super::value::{Row, Value};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

/// Whether both results hold the same rows equally often, in any order, cells compared as SQLite's text of them.
pub fn same_text(left: &[Row], right: &[Row]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let sides = [left, right];
    same_bag(left.len(), |side, row, key| {
        text_key(&sides[side][row], key)
    })
}

/// What two results share where [`same_text`] holds of them, and no others do.
pub fn text_digest(rows: &[Row]) -> [u8; 32] {
    let mut key = Vec::new();
    let digest = |row| {
        text_key(row, &mut key);
        <[u8; 32]>::from(Sha256::digest(&key))
    };
    let mut digests: Vec<[u8; 32]> = rows.iter().map(digest).collect();
    digests.sort_unstable();
    Sha256::digest(digests.as_flattened()).into()
}

/// Whether rows 0 to `count` of two sides are the same bag; `key_of(side, row, key)` makes `key` what a row is compared by.
fn same_bag<T: Copy + Eq + Hash>(
    count: usize,
    mut key_of: impl FnMut(usize, usize, &mut Vec<T>),
) -> bool {
    let mut counts: HashMap<Box<[T]>, usize> = HashMap::with_capacity(count);
    // One buffer for all lookups: a row met before costs no memory.
    let mut key = Vec::new();
    for row in 0..count {
        key_of(0, row, &mut key);
        match counts.get_mut(&key[..]) {
            Some(count) => *count += 1,
            None => drop(counts.insert(key[..].into(), 1)),
        }
    }
    (0..count).all(|row| {
        key_of(1, row, &mut key);
        match counts.get_mut(&key[..]) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    })
}

/// Whether both results hold the same rows, in any order and however often, cells compared as Python does.
pub fn same_set(left: &[Row], right: &[Row]) -> bool {
    // Whether each row of the left was met on the right.
    let mut met: HashMap<Box<[u8]>, bool> = HashMap::with_capacity(left.len());
    let mut key = Vec::new();
    for row in left {
        python_key(row, &mut key);
        if !met.contains_key(&key[..]) {
            met.insert(key[..].into(), false);
        }
    }
    let known = right.iter().all(|row| {
        python_key(row, &mut key);
        met.get_mut(&key[..]).map(|met| *met = true).is_some()
    });
    known && met.into_values().all(|met| met)
}

/// Makes `key` the texts of a row in one string of bytes that no other row has.
fn text_key(row: &Row, key: &mut Vec<u8>) {
    key.clear();
    for value in row {
        match value.text() {
            None => key.push(0),
            Some(text) => push(key, 1, &text),
        }
    }
}

/// Makes `key` the values of a row in one string of bytes that only rows have that Python takes for the same.
fn python_key(row: &Row, key: &mut Vec<u8>) {
    key.clear();
    for value in row {
        match Key::of(value) {
            Key::Null => key.push(0),
            Key::Integer(integer) => push(key, 1, &integer.to_le_bytes()),
            Key::Real(bits) => push(key, 2, &bits.to_le_bytes()),
            Key::Text(text) => push(key, 3, &text),
            Key::Blob(bytes) => push(key, 4, bytes),
        }
    }
}

/// Adds a cell with its length before it, so that cells keep their ends.
fn push(key: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    key.push(kind);
    key.extend((bytes.len() as u32).to_le_bytes());
    key.extend_from_slice(bytes);
}

const TWO_TO_63: f64 = (1u64 << 63) as f64;

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
        // 2^63 itself is one too large for an integer, -2^63 is the smallest.
        let integral = real.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&real);
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
    fn digests_agree_where_bags_of_text_do() {
        let results = [
            vec![],
            column([Null]),
            column([text("")]),
            column([Integer(1), Integer(2), Integer(1)]),
            column([Integer(2), Integer(1), Integer(1)]),
            column([Integer(1), Integer(2), Integer(2)]),
            column([text("1"), Integer(2), Integer(1)]),
            column([Real(1.0)]),
            vec![vec![Integer(1), Integer(2)]],
            vec![vec![Integer(2), Integer(1)]],
            vec![vec![text("a"), text("bc")]],
            vec![vec![text("ab"), text("c")]],
            vec![vec![text("a")], vec![text("bc")]],
        ];
        let mut equal = 0;
        for left in &results {
            for right in &results {
                let same = same_text(left, right);
                assert_eq!(same, text_digest(left) == text_digest(right));
                equal += usize::from(same);
            }
        }
        // Each is itself, and three are one bag.
        assert_eq!(equal, results.len() + 6);
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
        assert_eq!(one(Integer(i64::MAX), Real(TWO_TO_63)), [false, false]);
        assert_eq!(one(Integer(i64::MIN), Real(-TWO_TO_63)), [false, true]);
    }
}
