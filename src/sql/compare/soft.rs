//! How far two results agree: BIRD's soft F1.

use super::{Key, python_key};
use crate::sql::value::Row;
use std::collections::HashSet;

/// Soft F1 from 0 to 1, as BIRD's mini-dev has it. Rows are held against each other by their place, without those that repeat
/// an earlier one; of two rows the cells that the other has too count, wherever they stand in it, as shares of the
/// reference's columns. Cells compare as Python's values do. Two results without rows agree.
pub fn soft_f1(predicted: &[Row], gold: &[Row]) -> f64 {
    if predicted.is_empty() && gold.is_empty() {
        return 1.0;
    }
    let (predicted, gold) = (distinct(predicted), distinct(gold));
    // A row without another is wholly wrong, or wholly missing.
    let mut extra = predicted.len().saturating_sub(gold.len()) as f64;
    let mut missing = gold.len().saturating_sub(predicted.len()) as f64;
    let mut both = 0.0;
    for (predicted, gold) in predicted.into_iter().zip(gold) {
        // A row has columns; if an engine returns one without, nothing of it is shared.
        let columns = gold.len().max(1) as f64;
        let shared = shared(predicted, gold);
        both += shared as f64 / columns;
        extra += (predicted.len() - shared) as f64 / columns;
        missing += (gold.len() - self::shared(gold, predicted)) as f64 / columns;
    }
    if both == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (both / (both + extra), both / (both + missing));
    2.0 * precision * recall / (precision + recall)
}

/// How often a row stands in a result, on average; 1 for one without rows.
pub fn repeats(rows: &[Row]) -> f64 {
    match rows.is_empty() {
        true => 1.0,
        false => rows.len() as f64 / distinct(rows).len() as f64,
    }
}

/// How many cells of a row another has too.
fn shared(row: &Row, other: &Row) -> usize {
    let other: HashSet<Key> = other.iter().map(Key::of).collect();
    let met = row.iter().filter(|value| other.contains(&Key::of(value)));
    met.count()
}

/// The rows that repeat no earlier one.
fn distinct(rows: &[Row]) -> Vec<&Row> {
    let (mut seen, mut key) = (HashSet::new(), Vec::new());
    let new = |row: &&Row| {
        python_key(row, &mut key);
        seen.insert(key.clone())
    };
    rows.iter().filter(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::value::Value::{self, Integer, Null, Real};

    #[test]
    fn rows_that_repeat_are_counted() {
        assert_eq!(repeats(&rows([[1], [2]])), 1.0);
        assert_eq!(repeats(&rows([[1], [2], [1], [2]])), 2.0);
        assert_eq!(repeats(&Vec::new()), 1.0);
    }

    fn rows<const C: usize, const R: usize>(cells: [[i64; C]; R]) -> Vec<Row> {
        cells.map(|row| row.map(Integer).to_vec()).to_vec()
    }

    /// Values of `calculate_f1_score` of BIRD's mini-dev, which `scripts/check_bird_f1.py` holds against ours.
    #[test]
    fn rows_count_by_their_place_and_cells_wherever_they_stand() {
        for (predicted, gold, expected) in [
            (rows([[1, 2], [3, 4]]), rows([[1, 2], [3, 4]]), 1.0),
            (rows([[2, 1], [4, 3]]), rows([[1, 2], [3, 4]]), 1.0),
            (rows([[3, 4], [1, 2]]), rows([[1, 2], [3, 4]]), 0.0),
            (rows([[1, 2], [1, 2]]), rows([[1, 2]]), 1.0),
            (rows([[1, 9]]), rows([[1, 2]]), 0.5),
            (rows([[1, 2], [3, 4]]), rows([[1, 2]]), 2.0 / 3.0),
            (rows([[1, 2]]), rows([[1, 2], [3, 4]]), 2.0 / 3.0),
        ] {
            let found = soft_f1(&predicted, &gold);
            assert!((found - expected).abs() < 1e-12, "{predicted:?}: {found}");
        }
        // More columns than the reference: one of three is extra, all that is wanted is there.
        let found = soft_f1(&rows([[1, 2, 7]]), &rows([[1, 2]]));
        assert!((found - 0.8).abs() < 1e-12, "{found}");
    }

    #[test]
    fn no_rows_agree_with_no_rows_alone() {
        let none: Vec<Row> = Vec::new();
        assert_eq!(soft_f1(&none, &none), 1.0);
        assert_eq!(soft_f1(&none, &rows([[1]])), 0.0);
        assert_eq!(soft_f1(&rows([[1]]), &none), 0.0);
    }

    #[test]
    fn cells_compare_as_pythons_values() {
        let one = |left: Value, right: Value| soft_f1(&[vec![left]], &[vec![right]]);
        assert_eq!(one(Integer(1), Real(1.0)), 1.0);
        assert_eq!(one(Null, Null), 1.0);
        assert_eq!(one(Integer(1), Value::Text(b"1".to_vec())), 0.0);
    }
}
