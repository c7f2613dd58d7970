//! Equality of results under any order of their columns: Spider's test-suite semantics.
//!
//! Trying all orders is out of the question at twelve columns. Instead columns and rows are told apart by colours that
//! refine each other until nothing changes: a row's colour is its cells with the colours of their columns, a column's its
//! cells with the colours of their rows. Where every column has a colour of its own, only one order is left. Columns
//! that stay alike are tried one by one. Colours are numbers given to whole contents, never hashes: nothing is approximate.
//!
//! Only what was told apart is looked at again, and of each colour that splits all parts but the largest (Hopcroft, 1971):
//! what is left of the old colour follows from the others. So a try costs what it tells apart, not the whole table.

use super::{Key, same_bag};
use crate::sql::value::{Row, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
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
    let mut numbers = Numbers::default();
    let columns = [&left, &right].map(|table| {
        let colour = |column: &Column| {
            let mut cells = column.cells.clone();
            cells.sort_unstable();
            numbers.of((column.copies, cells))
        };
        table.iter().map(colour).collect()
    });
    let rows = [&left, &right].map(|table| vec![0; first_cells(table)]);
    let all = [&left, &right].map(|table| (0..table.len()).collect());
    let mut search = Search {
        tables: [&left, &right],
        left: MAX_LOOKS,
    };
    search.same(Colours { columns, rows }, all)
}

fn first_cells(table: &[Column]) -> usize {
    table.first().map_or(0, |column| column.cells.len())
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

/// For both results.
type Both<T> = [Vec<T>; 2];

/// The colour of each column and of each row; colours of both results mean the same.
#[derive(Clone)]
struct Colours {
    columns: Both<u32>,
    rows: Both<u32>,
}

/// Which lines of a table: columns or rows.
#[derive(Clone, Copy)]
enum Lines {
    Columns,
    Rows,
}

struct Search<'a> {
    tables: [&'a [Column]; 2],
    /// Looks at cells that are left.
    left: usize,
}

impl Search<'_> {
    /// `changed` are columns whose colours tell more than those of the rows know.
    fn same(&mut self, mut colours: Colours, mut changed: Both<usize>) -> Option<bool> {
        if !alike(&colours.columns) {
            return Some(false);
        }
        while !changed[0].is_empty() {
            if smallest_class(&colours.columns[0]).is_none() {
                return Some(self.same_rows(&colours.columns));
            }
            let Colours { columns, rows } = &mut colours;
            changed = match self.refine(Lines::Rows, rows, columns, &changed)? {
                Some(changed) => changed,
                None => return Some(false),
            };
            changed = match self.refine(Lines::Columns, columns, rows, &changed)? {
                Some(changed) => changed,
                None => return Some(false),
            };
        }
        let Some(repeated) = smallest_class(&colours.columns[0]) else {
            return Some(self.same_rows(&colours.columns));
        };
        let of = |side: &[u32]| -> Vec<usize> {
            (0..side.len()).filter(|&i| side[i] == repeated).collect()
        };
        let first = of(&colours.columns[0])[0];
        let fresh = colours.columns[0].iter().max().map_or(0, |max| max + 1);
        for candidate in of(&colours.columns[1]) {
            let mut tried = colours.clone();
            tried.columns[0][first] = fresh;
            tried.columns[1][candidate] = fresh;
            if self.same(tried, [vec![first], vec![candidate]])? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Whether the rows are the same bag when columns are matched by their colours, of which each has its own.
    fn same_rows(&self, colours: &Both<u32>) -> bool {
        let matched = [0, 1].map(|side| {
            let mut columns: Vec<_> = colours[side].iter().zip(self.tables[side]).collect();
            columns.sort_unstable_by_key(|(colour, _)| **colour);
            columns
        });
        same_bag(first_cells(self.tables[0]), |side, row, key| {
            key.clear();
            key.extend(matched[side].iter().map(|(_, column)| column.cells[row]));
        })
    }

    /// Gives the lines finer colours, by their cells in those lines across them whose colours changed. Returns the lines that
    /// changed themselves; inside, `None` where the two results differ already, outside, where no look is left.
    fn refine(
        &mut self,
        lines: Lines,
        colours: &mut Both<u32>,
        across: &Both<u32>,
        changed: &Both<usize>,
    ) -> Option<Option<Both<usize>>> {
        let looks = 2 * colours[0].len() * (1 + changed[0].len());
        self.left = self.left.checked_sub(looks)?;
        let mut numbers = Numbers::default();
        let finer = [0, 1].map(|side| -> Vec<u32> {
            let cell = |line: usize, other: usize| match lines {
                Lines::Columns => self.tables[side][line].cells[other],
                Lines::Rows => self.tables[side][other].cells[line],
            };
            let colour = |line: usize| {
                let cells = changed[side].iter();
                let mut seen: Vec<(u32, u32)> = cells
                    .map(|&other| (across[side][other], cell(line, other)))
                    .collect();
                seen.sort_unstable();
                numbers.of((colours[side][line], seen))
            };
            (0..colours[side].len()).map(colour).collect()
        });
        if !alike(&finer) {
            return Some(None);
        }
        let largest = largest_parts(&colours[0], &finer[0]);
        let changed = [0, 1].map(|side| {
            let lines = 0..finer[side].len();
            let is_changed = |line: &usize| largest[&colours[side][*line]] != finer[side][*line];
            lines.filter(is_changed).collect()
        });
        *colours = finer;
        Some(Some(changed))
    }
}

/// Of each colour, the finer one that most of its lines have, the first of equals.
fn largest_parts(colours: &[u32], finer: &[u32]) -> HashMap<u32, u32> {
    let mut counts: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for pair in colours.iter().zip(finer) {
        *counts.entry((*pair.0, *pair.1)).or_insert(0) += 1;
    }
    let mut largest: HashMap<u32, (u32, usize)> = HashMap::new();
    for ((colour, finer), count) in counts {
        let part = largest.entry(colour).or_insert((finer, 0));
        if count > part.1 {
            *part = (finer, count);
        }
    }
    largest
        .into_iter()
        .map(|(colour, (finer, _))| (colour, finer))
        .collect()
}

/// Whether both sides have the same colours equally often.
fn alike(colours: &Both<u32>) -> bool {
    let sorted = |side: &Vec<u32>| {
        let mut side = side.clone();
        side.sort_unstable();
        side
    };
    sorted(&colours[0]) == sorted(&colours[1])
}

/// Of the colours that several lines have the one that fewest have.
fn smallest_class(colours: &[u32]) -> Option<u32> {
    let mut colours = colours.to_vec();
    colours.sort_unstable();
    let classes = colours.chunk_by(|a, b| a == b);
    let several = classes.filter(|class| class.len() > 1);
    several
        .min_by_key(|class| class.len())
        .map(|class| class[0])
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
    fn many_groups_of_columns_alike_are_little_work() {
        // 24 rings of 20 vertices: 480 columns, a row for each edge.
        let rings = |turn: usize| -> Vec<Row> {
            let place = |ring: usize, v: usize| {
                ((ring + turn) % 24) * 20 + (v * (1 + 2 * turn) + turn) % 20
            };
            let row = |ends: [usize; 2]| {
                let mut row = vec![Value::Integer(0); 480];
                for end in ends {
                    row[end] = Value::Integer(1);
                }
                row
            };
            let edges =
                (0..24).flat_map(|ring| (0..20).map(move |v| [(ring, v), (ring, (v + 1) % 20)]));
            edges
                .map(|ends| row(ends.map(|(ring, v)| place(ring, v))))
                .collect()
        };
        assert_eq!(
            same_under_permutation(&rings(0), &rings(1), false),
            Some(true)
        );
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
