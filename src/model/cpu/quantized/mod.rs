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
#[cfg(target_arch = "x86_64")]
mod avxvnni;
mod exact;
#[cfg(target_arch = "aarch64")]
mod neon;
mod numbers;
mod plain;
mod tiles;

pub use exact::{AddBackward, Direction};
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
/// Most tiles that a kernel is given: what is read of the activations serves both.
const PAIR: usize = 2;
/// Multiplications below which a second thread costs more than it saves.
const MIN_SPLIT: usize = 192 * 1024;
/// Tiles of a task, so that threads can share what is left at the end.
const TASKS: usize = 2;

/// The sums of a tile's rows of weights for some rows of activations, at most [`MOST`].
type Sums = [[f32; ROWS]; MOST];
/// Computes them for tiles that lie one behind the other, at most [`PAIR`]. The processor must have its instructions.
type Kernel = unsafe fn(&[Tile], &Activations, Range<usize>, &mut [Sums]);

/// Computes the sums of one tile for some rows of activations, from one on: as many as it is for.
type Part = unsafe fn(&Tile, &Activations, usize, &mut [[f32; ROWS]]);

/// A kernel of parts, each with the number of rows that it takes, most first and one last: one tile after the other.
///
/// # Safety
/// The processor must have the parts' instructions.
unsafe fn tile_by_tile(
    parts: &[(usize, Part)],
    tiles: &[Tile],
    x: &Activations,
    rows: Range<usize>,
    sums: &mut [Sums],
) {
    for (tile, sums) in tiles.iter().zip(sums) {
        assert!(rows.end <= x.rows && rows.len() <= sums.len() && tile.blocks == x.blocks);
        let mut at = rows.start;
        while let Some((count, part)) = parts.iter().find(|(count, _)| at + count <= rows.end) {
            // SAFETY: the caller's; the rows and blocks are there.
            unsafe { part(tile, x, at, &mut sums[at - rows.start..]) };
            at += count;
        }
    }
}

/// The instructions that kernels are written in, the fastest first, as far as this processor has them.
fn kernels() -> Vec<(&'static str, Kernel)> {
    #[allow(unused_mut)]
    let mut kernels: Vec<(&'static str, Kernel)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if avx512::is_there() {
            kernels.push(("avx512-vnni", avx512::sums));
        }
        if avxvnni::is_there() {
            kernels.push(("avx-vnni", avxvnni::sums));
        }
        if avx2::is_there() {
            kernels.push(("avx2", avx2::sums));
        }
    }
    #[cfg(target_arch = "aarch64")]
    if neon::is_there() {
        kernels.push(("neon-dotprod", neon::sums));
    }
    kernels.push(("plain", plain::sums));
    kernels
}

static BEST: LazyLock<(&str, Kernel)> = LazyLock::new(|| kernels()[0]);

/// What the products are computed by here: `avx512-vnni`, `avx-vnni`, `avx2`, `neon-dotprod` or `plain`.
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
    let sizes = weights.iter().map(|w| x.rows * w.rows);
    let mut results: Vec<Vec<f32>> = sizes.clone().map(Vec::with_capacity).collect();
    let pairs = weights.iter().zip(&mut results).flat_map(|(w, result)| {
        let to = Destination {
            data: result.as_mut_ptr(),
            row_stride: w.rows,
        };
        let firsts = (0..w.rows).step_by(PAIR * ROWS);
        firsts.map(move |first| Pair { w, first, to })
    });
    let pairs: Vec<Pair> = pairs.collect();
    let task = |pairs: &[Pair]| {
        for (i, pair) in pairs.iter().enumerate() {
            // SAFETY: `kernels` has only those whose instructions are there, and no two pairs are of one place.
            unsafe { pair.multiply(kernel, &x, pairs.get(i + 1)) };
        }
    };
    let multiplications = x.rows * width * pairs.len() * PAIR * ROWS;
    let threads = rayon::current_num_threads();
    match multiplications < MIN_SPLIT || threads == 1 {
        true => task(&pairs),
        false => {
            let piece = pairs.len().div_ceil(threads * TASKS).max(1);
            pairs.par_chunks(piece).for_each(task);
        }
    }
    for (result, size) in results.iter_mut().zip(sizes) {
        // SAFETY: all columns of all rows were written.
        unsafe { result.set_len(size) };
    }
    results
}

/// Tiles that are multiplied together, and where their sums go.
struct Pair<'a> {
    w: &'a Tiles,
    /// Row of `w`.
    first: usize,
    /// The whole product.
    to: Destination,
}

impl<'a> Pair<'a> {
    /// The `i`-th tile.
    fn tile(&self, i: usize) -> Option<Tile<'a>> {
        let first = self.first + i * ROWS;
        (first < self.w.rows).then(|| self.w.tile(first / ROWS))
    }

    /// Multiplies with all of `x`. Meanwhile memory reads what comes `next`.
    ///
    /// # Safety
    /// The kernel's instructions are there, and nothing else touches these columns of the product.
    unsafe fn multiply(&self, kernel: Kernel, x: &Activations, next: Option<&Pair<'a>>) {
        let tile = |i| {
            let next = next.and_then(|next| next.tile(i));
            let next = next.map_or(&[][..], |tile| tile.quants);
            self.tile(i).map(|tile| Tile { next, ..tile })
        };
        match (tile(0), tile(1)) {
            // SAFETY: the caller's.
            (Some(a), Some(b)) => unsafe { self.multiply_tiles(kernel, x, &[a, b]) },
            // SAFETY: the caller's.
            (Some(a), None) => unsafe { self.multiply_tiles(kernel, x, &[a]) },
            (None, _) => {}
        }
    }

    /// See [`Self::multiply`].
    unsafe fn multiply_tiles(&self, kernel: Kernel, x: &Activations, tiles: &[Tile]) {
        let count = (PAIR * ROWS).min(self.w.rows - self.first);
        let mut sums = [[[0f32; ROWS]; MOST]; PAIR];
        for start in (0..x.rows).step_by(MOST) {
            let rows = start..x.rows.min(start + MOST);
            // SAFETY: the caller's.
            unsafe { kernel(tiles, x, rows.clone(), &mut sums) };
            for (i, row) in rows.enumerate() {
                // SAFETY: the caller's.
                let out = unsafe { self.to.row(row).column(self.first).slice(count) };
                let (whole, rest) = out.as_chunks_mut::<ROWS>();
                for (out, sums) in whole.iter_mut().zip(&sums) {
                    *out = sums[i];
                }
                if let (false, Some(sums)) = (rest.is_empty(), sums.get(whole.len())) {
                    rest.copy_from_slice(&sums[i][..rest.len()]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tiles::Bits;
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    pub fn values(rng: &mut StdRng, count: usize) -> Vec<f32> {
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// Rows of weights in the layout of a file: scales, then quants.
    pub fn blocks(rng: &mut StdRng, bits: Bits, count: usize) -> Vec<u8> {
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

    pub fn weights(rng: &mut StdRng, bits: Bits, rows: usize, width: usize) -> Tiles {
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
