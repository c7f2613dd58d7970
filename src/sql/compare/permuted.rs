//! Equality of results under any order of their columns: Spider's test-suite semantics.
//!
//! Trying all orders is out of the question at twelve columns. Instead columns and rows are told apart by colours that
//! refine each other until nothing changes: a row's colour is its cells with the colours of their columns, a column's its
//! cells with the colours of their rows. Where every column has a colour of its own, only one order is left. Columns
//! that stay alike are tried one by one. Colours are numbers given to whole contents, never hashes: nothing is approximate.

use super::{Key, same_bag};
use crate::sql::value::{Row, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

/// Most cells that one comparison may look at, every look counted.
const MAX_LOOKS: usize = 60_000_000;

/// Whether some order of `right`'s columns makes both results the same bag of rows, or the same sequence where `ordered`.
/// Two results without rows are the same. Cells compare as Python's values do; text drops its bytes that are no UTF-8.
///
/// `None` where the columns are so alike that the answer would take too long.
pub fn same_under_permutation(left: &[Row], right: &[Row], ordered: bool) -> Option<bool> {
    let (Some(first), Some(second)) = (left.first(), right.first()) else {
        return Some(left.is_empty() && right.is_empty());
    };
    if left.len() != right.len() || first.len() != second.len() {
        return Some(false);
    }
    let mut values = Numbers::default();
    let [left, right] = [left, right].map(|rows| columns(rows, &mut values));
    let [left, right] = [left, right].map(collapsed);
    if ordered {
        // The same columns, each equally often.
        return Some(left == right);
    }
    if left.len() != right.len() {
        return Some(false);
    }
    let mut search = Search {
        tables: [&left, &right],
        left: MAX_LOOKS,
    };
    let mut numbers = Numbers::default();
    let colours = [&left, &right].map(|table| {
        let colour = |column: &Column| {
            let mut cells = column.cells.clone();
            cells.sort_unstable();
            numbers.of((column.copies, cells))
        };
        table.iter().map(colour).collect()
    });
    search.same(colours)
}

/// A column that may stand there several times: which copy is which makes no difference.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Column {
    /// A number for each row's value.
    cells: Vec<u32>,
    copies: u32,
}

/// The columns of a result, with its values as numbers.
fn columns<'a>(rows: &'a [Row], values: &mut Numbers<Key<'a>>) -> Vec<Vec<u32>> {
    let mut columns = vec![Vec::with_capacity(rows.len()); rows[0].len()];
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(values.of(lossy(value)));
        }
    }
    columns
}

fn lossy(value: &Value) -> Key<'_> {
    match value {
        Value::Text(bytes) if str::from_utf8(bytes).is_err() => {
            let valid = bytes.utf8_chunks().flat_map(|chunk| chunk.valid().bytes());
            Key::Text(Cow::Owned(valid.collect()))
        }
        other => Key::of(other),
    }
}

/// Sorted, equal columns as one.
fn collapsed(mut columns: Vec<Vec<u32>>) -> Vec<Column> {
    columns.sort_unstable();
    let mut distinct: Vec<Column> = Vec::new();
    for cells in columns {
        match distinct.last_mut() {
            Some(last) if last.cells == cells => last.copies += 1,
            _ => distinct.push(Column { cells, copies: 1 }),
        }
    }
    distinct
}

/// The colour of each column, for both results; colours of both mean the same.
type Colours = [Vec<u32>; 2];

struct Search<'a> {
    tables: [&'a [Column]; 2],
    /// Looks at cells that are left.
    left: usize,
}

impl Search<'_> {
    fn same(&mut self, mut colours: Colours) -> Option<bool> {
        let mut classes = 0;
        let repeated = loop {
            if !alike(&colours) {
                return Some(false);
            }
            let Some(repeated) = repeated(&colours[0]) else {
                return Some(self.same_rows(&colours));
            };
            let now = count(&colours[0]);
            if now == classes {
                break repeated;
            }
            classes = now;
            match self.refined(&colours)? {
                Some(finer) => colours = finer,
                None => return Some(false),
            }
        };
        let fresh = colours[0].iter().max().map_or(0, |max| max + 1);
        let of = |colours: &[u32]| -> Vec<usize> {
            (0..colours.len())
                .filter(|&i| colours[i] == repeated)
                .collect()
        };
        let first = of(&colours[0])[0];
        for candidate in of(&colours[1]) {
            let mut tried = colours.clone();
            tried[0][first] = fresh;
            tried[1][candidate] = fresh;
            if self.same(tried)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Whether the rows are the same bag when columns are matched by their colours, of which each has its own.
    fn same_rows(&self, colours: &Colours) -> bool {
        let matched = [0, 1].map(|side| {
            let mut columns: Vec<_> = colours[side].iter().zip(self.tables[side]).collect();
            columns.sort_unstable_by_key(|(colour, _)| **colour);
            columns
        });
        let rows = self.tables[0]
            .first()
            .map_or(0, |column| column.cells.len());
        same_bag(rows, |side, row, key| {
            key.clear();
            key.extend(matched[side].iter().map(|(_, column)| column.cells[row]));
        })
    }

    /// Finer colours of the columns; inside, `None` where the rows differ already. Outside, `None` where no look is left.
    fn refined(&mut self, colours: &Colours) -> Option<Option<Colours>> {
        let cells = |table: &[Column]| table.iter().map(|c| c.cells.len()).sum::<usize>();
        self.left = self.left.checked_sub(4 * cells(self.tables[0]))?;
        let mut numbers = Numbers::default();
        let rows = [0, 1].map(|side| row_colours(self.tables[side], &colours[side], &mut numbers));
        if !alike(&rows) {
            return Some(None);
        }
        let mut numbers = Numbers::default();
        Some(Some([0, 1].map(|side| {
            let columns = self.tables[side].iter().zip(&colours[side]);
            let finer = columns.map(|(column, colour)| {
                let mut seen: Vec<(u32, u32)> = rows[side]
                    .iter()
                    .copied()
                    .zip(column.cells.iter().copied())
                    .collect();
                seen.sort_unstable();
                numbers.of((*colour, seen))
            });
            finer.collect()
        })))
    }
}

fn row_colours(
    table: &[Column],
    colours: &[u32],
    numbers: &mut Numbers<Vec<(u32, u32)>>,
) -> Vec<u32> {
    let rows = table.first().map_or(0, |column| column.cells.len());
    let colour = |row| {
        let mut seen: Vec<(u32, u32)> = table
            .iter()
            .zip(colours)
            .map(|(column, colour)| (*colour, column.cells[row]))
            .collect();
        seen.sort_unstable();
        numbers.of(seen)
    };
    (0..rows).map(colour).collect()
}

/// Whether both sides have the same colours equally often.
fn alike(colours: &Colours) -> bool {
    let sorted = |side: &Vec<u32>| {
        let mut side = side.clone();
        side.sort_unstable();
        side
    };
    sorted(&colours[0]) == sorted(&colours[1])
}

fn count(colours: &[u32]) -> usize {
    let mut colours = colours.to_vec();
    colours.sort_unstable();
    colours.dedup();
    colours.len()
}

/// A colour of several columns.
fn repeated(colours: &[u32]) -> Option<u32> {
    let mut colours = colours.to_vec();
    colours.sort_unstable();
    colours
        .windows(2)
        .find(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
}

/// Numbers contents in the order they are met.
struct Numbers<T>(HashMap<T, u32>);

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Hash + Eq> Numbers<T> {
    fn of(&mut self, content: T) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(content).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&[i64]]) -> Vec<Row> {
        let row = |row: &&[i64]| row.iter().copied().map(Value::Integer).collect();
        rows.iter().map(row).collect()
    }

    fn same(left: &[Row], right: &[Row]) -> bool {
        same_under_permutation(left, right, false).unwrap()
    }

    fn same_ordered(left: &[Row], right: &[Row]) -> bool {
        same_under_permutation(left, right, true).unwrap()
    }

    #[test]
    fn columns_may_swap_and_rows_too_unless_ordered() {
        let (a, b) = (table(&[&[1, 2], &[3, 4]]), table(&[&[4, 3], &[2, 1]]));
        assert!(same(&a, &b));
        assert!(!same_ordered(&a, &b));
        assert!(same_ordered(&a, &table(&[&[2, 1], &[4, 3]])));
    }

    #[test]
    fn one_order_must_hold_for_every_row() {
        // Every row alone is a permutation, and every column has the same values.
        let (a, b) = (
            table(&[&[1, 2], &[2, 1], &[1, 1]]),
            table(&[&[1, 2], &[1, 2], &[1, 1]]),
        );
        assert!(!same(&a, &b));
        let (a, b) = (
            table(&[&[1, 2], &[2, 3], &[3, 1]]),
            table(&[&[2, 1], &[3, 2], &[1, 3]]),
        );
        assert!(same(&a, &b));
    }

    #[test]
    fn counts_of_rows_columns_and_copies_matter() {
        assert!(!same(&table(&[&[1]]), &table(&[&[1], &[1]])));
        assert!(!same(&table(&[&[1, 1]]), &table(&[&[1]])));
        assert!(!same(&table(&[&[1, 1, 2]]), &table(&[&[1, 2, 2]])));
        assert!(same(&table(&[&[1, 1, 2]]), &table(&[&[2, 1, 1]])));
        assert!(!same(
            &table(&[&[1], &[1], &[2]]),
            &table(&[&[1], &[2], &[2]])
        ));
        assert!(same(&[], &[]) && !same(&[], &table(&[&[1]])));
    }

    #[test]
    fn twelve_columns_alike_are_no_work() {
        let ones: [&[i64]; 3] = [&[1; 12]; 3];
        assert!(same(&table(&ones), &table(&ones)));
        // Twelve columns with the same values, all different: a permutation matrix against a rotated one.
        let unit = |shift: usize| -> Vec<Row> {
            let cell = |r: usize, c: usize| Value::Integer(((c + shift) % 12 == r) as i64);
            (0..12)
                .map(|r| (0..12).map(|c| cell(r, c)).collect())
                .collect()
        };
        assert!(same(&unit(0), &unit(5)));
    }

    #[test]
    fn columns_that_colours_cannot_tell_apart_are_tried() {
        // Rows are the edges of graphs, cells say whether a vertex is an end: two triangles against a hexagon,
        // which no refinement tells apart.
        let graph = |edges: [[usize; 2]; 6]| -> Vec<Row> {
            let cell = |edge: [usize; 2], v| Value::Integer(edge.contains(&v) as i64);
            edges
                .map(|edge| (0..6).map(|v| cell(edge, v)).collect())
                .to_vec()
        };
        let triangles = graph([[0, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3]]);
        let hexagon = graph([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0]]);
        let renamed = graph([[0, 2], [2, 4], [4, 1], [1, 3], [3, 5], [5, 0]]);
        assert!(!same(&triangles, &hexagon));
        assert!(same(&hexagon, &renamed));
    }

    #[test]
    fn numbers_are_pythons_and_text_drops_what_is_no_utf8() {
        let cells = |a: Value, b: Value| same(&[vec![a]], &[vec![b]]);
        let bytes = |b: &[u8]| Value::Text(b.to_vec());
        assert!(cells(Value::Integer(3), Value::Real(3.0)));
        assert!(!cells(Value::Integer(3), bytes(b"3")));
        assert!(cells(bytes(b"a\xffb"), bytes(b"ab")));
        assert!(!cells(bytes(b"ab"), Value::Blob(b"ab".to_vec())));
    }
}
