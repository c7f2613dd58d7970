//! Activations in blocks of 8-bit integers.

use super::super::wide;
use super::BLOCK;
use rayon::prelude::*;
use std::ops::Range;

/// Elements of which a thread of its own is worth while.
const MIN_SPLIT: usize = 64 * 1024;

/// Rows of activations, each block with its scale.
pub struct Activations {
    pub rows: usize,
    /// Of a row.
    pub blocks: usize,
    /// `[rows, blocks, 32]`
    pub quants: Vec<i8>,
    /// `[rows, blocks]`: what a quant is multiplied by.
    pub scales: Vec<f32>,
    /// `[rows, blocks]`: the sum of the quants times -128, which products with 8-bit weights from 0 to 255 begin with.
    pub excess: Vec<i32>,
    /// `[rows, blocks]`: the sum times the scale.
    pub scaled_sums: Vec<f32>,
}

impl Activations {
    /// Quantizes the rows of `x` `[rows, width]`; what a row lacks in its last block is 0.
    pub fn of(x: &[f32], width: usize) -> Self {
        let (rows, blocks) = (x.len() / width, width.div_ceil(BLOCK));
        let mut all = Self {
            rows,
            blocks,
            quants: vec![0; rows * blocks * BLOCK],
            scales: vec![0.0; rows * blocks],
            excess: vec![0; rows * blocks],
            scaled_sums: vec![0.0; rows * blocks],
        };
        let parts = (
            x.par_chunks(width),
            all.quants.par_chunks_mut(blocks * BLOCK),
            all.scales.par_chunks_mut(blocks),
            all.excess.par_chunks_mut(blocks),
            all.scaled_sums.par_chunks_mut(blocks),
        );
        let least = (MIN_SPLIT / width).max(1);
        let parts = parts.into_par_iter().with_min_len(least);
        parts.for_each(|(x, quants, scales, excess, scaled_sums)| {
            wide(
                #[inline(always)]
                || {
                    let (quants, _) = quants.as_chunks_mut::<BLOCK>();
                    let (whole, rest) = x.as_chunks::<BLOCK>();
                    let mut last = [0f32; BLOCK];
                    last[..rest.len()].copy_from_slice(rest);
                    let last = (!rest.is_empty()).then_some(&last);
                    for (b, x) in whole.iter().chain(last).enumerate() {
                        let (scale, sum) = block(x, &mut quants[b]);
                        (scales[b], excess[b]) = (scale, -128 * sum);
                        scaled_sums[b] = scale * sum as f32;
                    }
                },
            )
        });
        all
    }

    /// Blocks of the next tiles to be fetched while some rows are multiplied: memory reads evenly while the core multiplies.
    pub fn share(&self, rows: Range<usize>) -> Range<usize> {
        let until = |row: usize| self.blocks * row / self.rows;
        until(rows.start)..until(rows.end)
    }

    /// The `g`-th four quants of the block `at`, counted over all rows, as the bytes of one number.
    ///
    /// # Safety
    /// The block is there.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub unsafe fn group(&self, at: usize, g: usize) -> i32 {
        let first = at * BLOCK + g * super::GROUP;
        // SAFETY: the caller's.
        unsafe {
            self.quants
                .as_ptr()
                .add(first)
                .cast::<i32>()
                .read_unaligned()
        }
    }
}

/// Quantizes a block: its scale, and the sum of its quants. The scale of what has no largest value is no number.
#[inline(always)]
fn block(x: &[f32; BLOCK], quants: &mut [i8; BLOCK]) -> (f32, i32) {
    // Without their sign, numbers are ordered as their bits are, and what is no number comes last: a loop of integers, which
    // compilers turn into vectors.
    let size = |x: &f32| x.to_bits() & !SIGN;
    let most = f32::from_bits(x.iter().map(size).fold(0, u32::max));
    let inverse = if most > 0.0 { 127.0 / most } else { 0.0 };
    let mut sum = 0;
    for (quant, x) in quants.iter_mut().zip(x) {
        let rounded = (x * inverse + ROUND)
            .to_bits()
            .wrapping_sub(ROUND.to_bits());
        *quant = rounded as i8;
        sum += i32::from(*quant);
    }
    match most.is_finite() {
        true => (most / 127.0, sum),
        false => (f32::NAN, sum),
    }
}

const SIGN: u32 = 1 << 31;
/// 1.5 · 2²³: what is added to it is rounded to a whole number, which is then in the low bits.
const ROUND: f32 = 12_582_912.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_its_own_scale() {
        let mut x = vec![0f32; 40];
        (x[0], x[1], x[2], x[33]) = (12.7, -12.7, 0.26, -1e-30);
        let found = Activations::of(&x, 40);
        assert_eq!((found.rows, found.blocks), (1, 2));
        assert_eq!(found.quants[..4], [127, -127, 3, 0]);
        assert_eq!(found.excess, [-128 * 3, -128 * -127]);
        assert_eq!(found.quants[33], -127);
        assert!((found.scales[0] - 0.1).abs() < 1e-6);
        assert_eq!(found.scaled_sums[0], found.scales[0] * 3.0);
    }
}
