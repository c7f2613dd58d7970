//! The kernel in plain Rust: for processors without another, and what the others are compared with.

use super::activations::Activations;
use super::tiles::{Bits, Tile};
use super::{BLOCK, GROUP, ROWS, Sums, tile_by_tile};
use half::f16;
use std::ops::Range;

/// The sums of some tiles for some rows of activations.
///
/// # Safety
/// None is needed; the others of its kind need their instructions.
pub unsafe fn sums(tiles: &[Tile], x: &Activations, rows: Range<usize>, sums: &mut [Sums]) {
    // SAFETY: this part needs no instructions.
    unsafe { tile_by_tile(&[(1, one)], tiles, x, rows, sums) }
}

fn one(tile: &Tile, x: &Activations, row: usize, sums: &mut [[f32; ROWS]]) {
    let sums = &mut sums[0];
    *sums = [0.0; ROWS];
    for b in 0..tile.blocks {
        let at = row * x.blocks + b;
        let quants = &x.quants[at * BLOCK..][..BLOCK];
        let found = integers(tile, b, quants, x.excess[at]);
        for (r, sum) in sums.iter_mut().enumerate() {
            let scale = f16::from_bits(tile.scales[b][r]).to_f32();
            *sum = (scale * x.scales[at]).mul_add(found[r] as f32, *sum);
            if let Some(minima) = tile.minima.get(b) {
                let minimum = f16::from_bits(minima[r]).to_f32();
                *sum = minimum.mul_add(x.scaled_sums[at], *sum);
            }
        }
    }
}

/// Σ u·s of each row, or Σ (u − 128)·s.
fn integers(tile: &Tile, b: usize, x: &[i8], excess: i32) -> [i32; ROWS] {
    let product = |weights: &[u8], x: &[i8], low: bool| -> i32 {
        let weight = |u: u8| i32::from(if low { u & 15 } else { u >> 4 });
        weights
            .iter()
            .zip(x)
            .map(|(u, s)| weight(*u) * i32::from(*s))
            .sum()
    };
    match tile.bits {
        Bits::Eight => {
            let quants = &tile.quants[b * ROWS * BLOCK..][..ROWS * BLOCK];
            let mut found = [excess; ROWS];
            for (weights, x) in quants.chunks_exact(ROWS * GROUP).zip(x.chunks_exact(GROUP)) {
                for (found, weights) in found.iter_mut().zip(weights.chunks_exact(GROUP)) {
                    let products = weights.iter().zip(x);
                    *found += products
                        .map(|(u, s)| i32::from(*u) * i32::from(*s))
                        .sum::<i32>();
                }
            }
            found
        }
        Bits::Four => {
            let quants = &tile.quants[b * ROWS * BLOCK / 2..][..ROWS * BLOCK / 2];
            let mut found = [0; ROWS];
            for (g, weights) in quants.chunks_exact(ROWS * GROUP).enumerate() {
                let (low, high) = (&x[g * GROUP..][..GROUP], &x[16 + g * GROUP..][..GROUP]);
                for (found, weights) in found.iter_mut().zip(weights.chunks_exact(GROUP)) {
                    *found += product(weights, low, true) + product(weights, high, false);
                }
            }
            found
        }
    }
}
