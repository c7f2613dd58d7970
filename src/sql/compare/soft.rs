//! How far two results agree: BIRD's soft F1.

use super::{Key, python_key};
use crate::sql::value::Row;
use std::collections::HashSet;

/// Soft F1 from 0 to 1, as BIRD's mini-dev has it. Rows are held against each other by their place, without those that repeat
/// an earlier one; of two rows the cells that the other has too count, wherever they stand in it, as shares of the
/// reference's columns. Cells compare as Python's values do. Two results without rows agree.
pub fn soft_f1(predicted: &[Row], gold: &[Row]) -> f64 {
    of_distinct(&distinct(predicted), &distinct(gold))
}

/// [`soft_f1`], less by the share by which rows repeat more or less often than the reference's do, which it passes over.
pub fn soft_f1_of_all(predicted: &[Row], gold: &[Row]) -> f64 {
    let [(own, often), (other, wanted)] = [predicted, gold].map(|rows| {
        let distinct = distinct(rows);
        // How often a row stands there, on average.
        let often = rows.len().max(1) as f64 / distinct.len().max(1) as f64;
        (distinct, often)
    });
    of_distinct(&own, &other) * often.min(wanted) / often.max(wanted)
}

/// [`soft_f1`] of rows none of which repeats.
fn of_distinct(predicted: &[&Row], gold: &[&Row]) -> f64 {
    if predicted.is_empty() && gold.is_empty() {
        return 1.0;
    }
    // A row without another is wholly wrong, or wholly missing.
    let mut extra = predicted.len().saturating_sub(gold.len()) as f64;
    let mut missing = gold.len().saturating_sub(predicted.len()) as f64;
    let mut both = 0.0;
    for (predicted, gold) in predicted.iter().zip(gold) {
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
    fn rows_that_repeat_cost_their_share_of_all() {
        let once = rows([[1], [2]]);
        let twice = rows([[1], [2], [1], [2]]);
        assert_eq!(soft_f1(&twice, &once), 1.0);
        assert_eq!(soft_f1_of_all(&twice, &once), 0.5);
        assert_eq!(soft_f1_of_all(&once, &twice), 0.5);
        assert_eq!(soft_f1_of_all(&twice, &twice), 1.0);
        assert_eq!(soft_f1_of_all(&[], &[]), 1.0);
        assert_eq!(soft_f1_of_all(&once, &[]), 0.0);
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
