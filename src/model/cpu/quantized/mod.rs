//! Products of quantized weights with activations that are quantized on the way, in integers.
//!
//! A block is 32 weights of a row. It holds x = d·u + m with u of 4 bits, or x = d·(u − 128) with u of 8 bits; its activations are
//! x = e·s with s of 8 signed bits. A product of two blocks is d·e·Σ u·s + m·e·Σ s, the sums in integers. The blocks of a row are
//! added in their order, each by one fused multiplication and addition. So a result depends on its row of activations and its row
//! of weights alone, whatever the instructions, the number of rows, or the number of threads.

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod plain;
mod tiles;

pub use tiles::Tiles;

use super::product::Destination;
use activations::Activations;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::LazyLock;
use tiles::Tile;

/// Weights of a block.
const BLOCK: usize = 32;
/// Weights of a row that lie together: as many as one integer instruction adds up.
const GROUP: usize = 4;
/// Rows of weights that a kernel works on at once.
const ROWS: usize = 16;
/// Most rows of activations that a kernel is given.
const MOST: usize = 8;
/// Multiplications below which a second thread costs more than it saves.
const MIN_SPLIT: usize = 192 * 1024;
/// Tiles of a task, so that threads can share what is left at the end.
const TASKS: usize = 4;

/// The sums of a tile's rows of weights for some rows of activations, at most [`MOST`].
type Sums = [[f32; ROWS]; MOST];
/// Computes them. The processor must have its instructions.
type Kernel = unsafe fn(&Tile, &Activations, Range<usize>, &mut Sums);

/// The instructions that kernels are written in, the fastest first, as far as this processor has them.
fn kernels() -> Vec<(&'static str, Kernel)> {
    #[allow(unused_mut)]
    let mut kernels: Vec<(&'static str, Kernel)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if avx512::is_there() {
            kernels.push(("avx512-vnni", avx512::sums));
        }
        if avx2::is_there() {
            kernels.push(("avx2", avx2::sums));
        }
    }
    kernels.push(("plain", plain::sums));
    kernels
}

static BEST: LazyLock<(&str, Kernel)> = LazyLock::new(|| kernels()[0]);

/// What the products are computed by here: `avx512-vnni`, `avx2` or `plain`.
pub fn instructions() -> &'static str {
    BEST.0
}

/// `x · wᵀ` of every weight matrix, `[rows, w.rows]` each, for `x` `[rows, w.width]`. All have the same width.
pub fn products(weights: &[&Tiles], x: &[f32]) -> Vec<Vec<f32>> {
    by(BEST.1, weights, x)
}

fn by(kernel: Kernel, weights: &[&Tiles], x: &[f32]) -> Vec<Vec<f32>> {
    let Some(width) = weights.first().map(|w| w.width) else {
        return Vec::new();
    };
    let x = Activations::of(x, width);
    let mut results: Vec<Vec<f32>> = weights
        .iter()
        .map(|w| vec![0f32; x.rows * w.rows])
        .collect();
    // Where each tile's sums go: its matrix and its place in it.
    let tiles = weights.iter().zip(&mut results).flat_map(|(w, result)| {
        let to = Destination::rows(result, w.rows);
        (0..w.rows.div_ceil(ROWS)).map(move |at| (*w, at, to))
    });
    let tiles: Vec<_> = tiles.collect();
    let work = |(w, at, to): &(&Tiles, usize, Destination)| {
        let (tile, first) = (w.tile(*at), at * ROWS);
        let count = ROWS.min(w.rows - first);
        let mut sums = [[0f32; ROWS]; MOST];
        for start in (0..x.rows).step_by(MOST) {
            let rows = start..x.rows.min(start + MOST);
            // SAFETY: `kernels` has only those whose instructions are there.
            unsafe { kernel(&tile, &x, rows.clone(), &mut sums) };
            for (row, sums) in rows.zip(&sums) {
                // SAFETY: this tile's columns of a row of its result.
                let out = unsafe { to.row(row).column(first).slice(count) };
                out.copy_from_slice(&sums[..count]);
            }
        }
    };
    let multiplications = x.rows * width * tiles.len() * ROWS;
    let threads = rayon::current_num_threads();
    match multiplications < MIN_SPLIT || threads == 1 {
        true => tiles.iter().for_each(work),
        false => {
            let piece = tiles.len().div_ceil(threads * TASKS).max(1);
            tiles
                .par_chunks(piece)
                .for_each(|tiles| tiles.iter().for_each(work));
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::tiles::Bits;
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn values(rng: &mut StdRng, count: usize) -> Vec<f32> {
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// Rows of weights in the layout of a file: scales, then quants.
    fn blocks(rng: &mut StdRng, bits: Bits, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            let scale = half::f16::from_f32(rng.random_range(0.001..0.1));
            bytes.extend(scale.to_le_bytes());
            if bits == Bits::Four {
                bytes.extend(half::f16::from_f32(rng.random_range(-1.0..0.0)).to_le_bytes());
            }
            let size = if bits == Bits::Four { 16 } else { 32 };
            bytes.extend((0..size).map(|_| rng.random::<u8>()));
        }
        bytes
    }

    fn weights(rng: &mut StdRng, bits: Bits, rows: usize, width: usize) -> Tiles {
        let bytes = blocks(rng, bits, rows * width / BLOCK);
        match bits {
            Bits::Four => Tiles::from_q4_1(&bytes, rows, width),
            Bits::Eight => Tiles::from_q8_0(&bytes, rows, width),
        }
        .unwrap()
    }

    #[test]
    fn all_instructions_give_the_same_bits() {
        let mut rng = StdRng::seed_from_u64(1);
        for bits in [Bits::Four, Bits::Eight] {
            for (rows, width, count) in [(16, 32, 1), (40, 96, 3), (17, 576, 8), (65, 64, 23)] {
                let w = weights(&mut rng, bits, rows, width);
                // Activations at the ends of their range, too.
                let mut x = values(&mut rng, count * width);
                for (i, x) in x.iter_mut().enumerate() {
                    if i % 7 == 0 {
                        *x = if i % 2 == 0 { 1.0 } else { -1.0 };
                    }
                }
                let all: Vec<_> = kernels()
                    .into_iter()
                    .map(|(name, kernel)| (name, by(kernel, &[&w], &x)))
                    .collect();
                let plain = &all.last().unwrap().1;
                for (name, found) in &all {
                    assert_eq!(found, plain, "{name} {bits:?} {rows}x{width} of {count}");
                }
            }
        }
    }

    #[test]
    fn a_row_depends_on_no_other_and_on_no_thread() {
        let mut rng = StdRng::seed_from_u64(2);
        for bits in [Bits::Four, Bits::Eight] {
            let w = weights(&mut rng, bits, 200, 320);
            let other = weights(&mut rng, bits, 31, 320);
            let x = values(&mut rng, 64 * 320);
            let alone: Vec<Vec<f32>> = x
                .chunks(320)
                .map(|x| products(&[&w], x).remove(0))
                .collect();
            for count in 1..=64 {
                for threads in [1, 2, 8] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                    let x = &x[..count * 320];
                    let pool = pool.build().unwrap();
                    let found = pool.install(|| products(&[&other, &w], x)).remove(1);
                    assert_eq!(found, alone[..count].concat(), "{count} rows, {threads}");
                }
            }
        }
    }

    #[test]
    fn sums_are_those_of_the_weights_and_of_rounded_activations() {
        let mut rng = StdRng::seed_from_u64(3);
        for bits in [Bits::Four, Bits::Eight] {
            let (rows, width) = (33, 160);
            let w = weights(&mut rng, bits, rows, width);
            let x = values(&mut rng, 2 * width);
            let found = products(&[&w], &x).remove(0);
            for (row, x) in x.chunks(width).enumerate() {
                for out in 0..rows {
                    let weights = w.row(out);
                    let exact: f32 = weights.iter().zip(x).map(|(w, x)| w * x).sum();
                    // Half a step of each activation at most.
                    let bound: f32 = weights.iter().map(|w| w.abs() / 254.0).sum();
                    let error = (found[row * rows + out] - exact).abs();
                    assert!(error < bound, "{bits:?} {row},{out}: {error} of {bound}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let mut rng = StdRng::seed_from_u64(4);
        let w = weights(&mut rng, Bits::Eight, 16, 64);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = values(&mut rng, 64);
            x[40] = bad;
            let found = products(&[&w], &x).remove(0);
            assert!(found.iter().all(|y| !y.is_finite()), "{bad}: {found:?}");
        }
        let zeros = products(&[&w], &[0f32; 64]).remove(0);
        assert!(zeros.iter().all(|y| *y == 0.0));
    }
}
