//! Quantized weights as numbers: whole, or the part that is multiplied next.

use super::super::{fetch, wide};
use super::tiles::{Bits, Tile, Tiles};
use super::{BLOCK, GROUP, ROWS};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

type Unwritten<const N: usize> = [MaybeUninit<f32>; N];

/// Columns of a block whose quants are the low halves of bytes, where they have 4 bits.
const HALF: usize = BLOCK / 2;

impl Tile<'_> {
    /// The weights of the block `b` of some rows, a row at a time.
    #[inline(always)]
    fn write_rows<'a>(
        &self,
        rows: Range<usize>,
        b: usize,
        to: impl Iterator<Item = &'a mut Unwritten<BLOCK>>,
    ) {
        let scales = numbers(&self.scales[b]);
        let to = rows.zip(to.map(|weights| weights.as_chunks_mut::<GROUP>().0));
        match self.bits {
            Bits::Eight => {
                let groups = &self.groups(b).as_chunks::<{ BLOCK / GROUP }>().0[0];
                for (row, weights) in to {
                    for (weights, group) in weights.iter_mut().zip(groups) {
                        let weight = |quant| scales[row] * (f32::from(quant) - 128.0);
                        *weights = group[row].map(|quant| MaybeUninit::new(weight(quant)));
                    }
                }
            }
            Bits::Four => {
                let groups = &self.groups(b).as_chunks::<{ HALF / GROUP }>().0[0];
                let minima = numbers(&self.minima[b]);
                for (row, weights) in to {
                    let (low, high) = weights.split_at_mut(HALF / GROUP);
                    for ((low, high), group) in low.iter_mut().zip(high).zip(groups) {
                        let weight = |quant| scales[row] * f32::from(quant) + minima[row];
                        *low = group[row].map(|quants| MaybeUninit::new(weight(quants & 15)));
                        *high = group[row].map(|quants| MaybeUninit::new(weight(quants >> 4)));
                    }
                }
            }
        }
    }

    /// The weights of the block `b` of all rows from a column on, a column at a time.
    #[inline(always)]
    fn write_columns<'a>(
        &self,
        b: usize,
        first: usize,
        to: impl Iterator<Item = &'a mut Unwritten<ROWS>>,
    ) {
        let groups = self.groups(b);
        let scales = numbers(&self.scales[b]);
        let to = (first..BLOCK).zip(to);
        // A group has a word for each row: vectors of words need no sorting.
        match self.bits {
            Bits::Eight => {
                for (column, weights) in to {
                    let words = groups[column / GROUP].map(u32::from_le_bytes);
                    let shift = column % GROUP * 8;
                    let quants = words.map(|word| (word >> shift & 255) as i32);
                    for row in 0..ROWS {
                        weights[row].write(scales[row] * (quants[row] as f32 - 128.0));
                    }
                }
            }
            Bits::Four => {
                let minima = numbers(&self.minima[b]);
                for (column, weights) in to {
                    let words = groups[column % HALF / GROUP].map(u32::from_le_bytes);
                    let shift = column % GROUP * 8 + column / HALF * 4;
                    let quants = words.map(|word| (word >> shift & 15) as i32);
                    for row in 0..ROWS {
                        weights[row].write(scales[row] * quants[row] as f32 + minima[row]);
                    }
                }
            }
        }
    }
}

impl Tiles {
    /// The weights of a row.
    pub fn row(&self, at: usize) -> Vec<f32> {
        // It has four bytes of each line of its tile.
        fetch(self.tile(at / ROWS).quants);
        let mut row = self.part(at..at + 1, 0..self.width);
        row.truncate(self.width);
        row
    }

    /// All weights, row by row, by all threads.
    pub fn numbers(&self) -> Vec<f32> {
        let width = self.width.next_multiple_of(BLOCK);
        let numbers = written(self.rows * width, |numbers| {
            let tiles = numbers.par_chunks_mut(ROWS * width).enumerate();
            tiles.for_each(|(at, to)| {
                let rows = at * ROWS..self.rows.min((at + 1) * ROWS);
                self.write_part(rows, 0..self.width, to)
            });
        });
        match width == self.width {
            true => numbers,
            false => {
                let rows = numbers.chunks_exact(width);
                rows.flat_map(|row| &row[..self.width]).copied().collect()
            }
        }
    }

    /// The weights of some rows in some columns, row by row, by this thread. The first column begins a block, and each row ends with
    /// one.
    pub fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Vec<f32> {
        let width = columns.len().next_multiple_of(BLOCK);
        written(rows.len() * width, |numbers| {
            self.write_part(rows, columns, numbers)
        })
    }

    /// [`Self::part`] column by column, from any column on. The first row begins a tile, and each column ends with one.
    pub fn columns(&self, rows: Range<usize>, columns: Range<usize>) -> Vec<f32> {
        let height = rows.len().next_multiple_of(ROWS);
        written(columns.len() * height, |numbers| {
            wide(
                #[inline(always)]
                || {
                    for (i, at) in tiles(&rows).enumerate() {
                        let (tile, next) = (self.tile(at), self.tile_behind(at));
                        for b in blocks(&columns) {
                            next.fetch(b);
                            let first = columns.start.max(b * BLOCK);
                            let to = numbers[(first - columns.start) * height..]
                                .chunks_exact_mut(height);
                            let to = to.map(|to| &mut to.as_chunks_mut().0[i]);
                            tile.write_columns(b, first % BLOCK, to);
                        }
                    }
                },
            )
        })
    }

    fn write_part(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [MaybeUninit<f32>]) {
        let width = columns.len().next_multiple_of(BLOCK);
        wide(
            #[inline(always)]
            || {
                let mut left = to;
                for at in tiles(&rows) {
                    let (tile, next) = (self.tile(at), self.tile_behind(at));
                    let first = at * ROWS;
                    let own = rows.start.max(first) - first..rows.end.min(first + ROWS) - first;
                    let (part, rest) = left.split_at_mut(own.len() * width);
                    left = rest;
                    for (i, b) in blocks(&columns).enumerate() {
                        next.fetch(b);
                        let to = part.chunks_exact_mut(width);
                        tile.write_rows(own.clone(), b, to.map(|to| &mut to.as_chunks_mut().0[i]));
                    }
                }
            },
        )
    }

    /// The tile behind that one, or the last.
    #[inline(always)]
    fn tile_behind(&self, at: usize) -> Tile<'_> {
        self.tile((at + 1).min((self.rows - 1) / ROWS))
    }
}

#[inline(always)]
fn tiles(rows: &Range<usize>) -> Range<usize> {
    rows.start / ROWS..rows.end.div_ceil(ROWS)
}

#[inline(always)]
fn blocks(columns: &Range<usize>) -> Range<usize> {
    columns.start / BLOCK..columns.end.div_ceil(BLOCK)
}

#[inline(always)]
fn numbers(of: &[u16; ROWS]) -> [f32; ROWS] {
    let mut numbers = [0.0; ROWS];
    of.map(f16::from_bits).convert_to_f32_slice(&mut numbers);
    numbers
}

/// So many numbers, all of which `write` writes: zeros before them would be as many bytes again.
fn written(length: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(length);
    write(&mut numbers.spare_capacity_mut()[..length]);
    // SAFETY: they were written.
    unsafe { numbers.set_len(length) };
    numbers
}

#[cfg(test)]
mod tests {
    use super::super::tests::{blocks, values};
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// Rows that are no whole tiles; parts from any row and columns from any column on.
    #[test]
    fn are_those_of_the_file_whole_and_in_parts() {
        let mut rng = StdRng::seed_from_u64(5);
        let (rows, width) = (37, 160);
        let half = |bytes: &[u8], at| f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32();
        for bits in [Bits::Four, Bits::Eight] {
            let bytes = blocks(&mut rng, bits, rows * width / BLOCK);
            let (tiles, size) = match bits {
                Bits::Four => (Tiles::from_q4_1(&bytes, rows, width), 20),
                Bits::Eight => (Tiles::from_q8_0(&bytes, rows, width), 34),
            };
            let of_block = |block: &[u8]| -> Vec<f32> {
                let scale = half(block, 0);
                match bits {
                    Bits::Eight => {
                        let quants = block[2..].iter();
                        quants.map(|q| scale * f32::from(*q as i8)).collect()
                    }
                    Bits::Four => {
                        let (low, high) = (block[4..].iter(), block[4..].iter());
                        let quants = low.map(|q| q & 15).chain(high.map(|q| q >> 4));
                        let minimum = half(block, 2);
                        quants.map(|q| scale * f32::from(q) + minimum).collect()
                    }
                }
            };
            let expected: Vec<f32> = bytes.chunks(size).flat_map(of_block).collect();
            let tiles = tiles.unwrap();
            assert_eq!(tiles.numbers(), expected, "{bits:?}");
            assert_eq!(tiles.row(35), expected[35 * width..][..width], "{bits:?}");
            for (of, from) in [(0..37, 0..160), (5..6, 32..64), (17..37, 96..160)] {
                let wanted = of
                    .clone()
                    .flat_map(|row| &expected[row * width..][from.clone()]);
                let wanted: Vec<f32> = wanted.copied().collect();
                assert_eq!(tiles.part(of, from), wanted, "{bits:?}");
            }
            for (of, from) in [(0..37, 0..160), (16..32, 33..34), (32..37, 50..150)] {
                let found = tiles.columns(of.clone(), from.clone());
                let height = of.len().next_multiple_of(ROWS);
                assert_eq!(found.len(), from.len() * height, "{bits:?}");
                for (column, found) in from.zip(found.chunks(height)) {
                    let wanted: Vec<f32> = of
                        .clone()
                        .map(|row| expected[row * width + column])
                        .collect();
                    assert_eq!(found[..of.len()], wanted, "{bits:?} {column}");
                }
            }
        }
    }

    #[test]
    fn of_rows_that_are_no_whole_blocks_nothing_is_added() {
        let mut rng = StdRng::seed_from_u64(6);
        let (rows, width) = (20, 40);
        let all = values(&mut rng, rows * width);
        let tiles = Tiles::from_f32(&all, rows, width).unwrap();
        let found = tiles.numbers();
        assert_eq!(found.len(), rows * width);
        for (found, wanted) in found.iter().zip(&all) {
            assert!((found - wanted).abs() < 0.01, "{found} {wanted}");
        }
        assert_eq!(tiles.row(19), found[19 * width..]);
        assert_eq!(tiles.part(19..20, 32..40)[..8], found[19 * width + 32..]);
    }
}
