//! Products with the numbers of quantized weights, for training. A thread makes the numbers that it multiplies next: they stay in
//! its second cache, where a whole matrix would go to memory and come back.

use super::super::product::{Destination, FEW, Matrix, in_pieces, product};
use super::super::{elements, elements_mut};
use super::tiles::Tiles;
use candle_core::cpu_backend::CpuStorage;
use candle_core::{InplaceOp2, Layout, Result};
use std::ops::RangeInclusive;

/// Which way a product passes a weight `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `to = x · wᵀ`
    Forward,
    /// `to += x · w`
    Backward,
}

impl Direction {
    /// `(m, n, k)` of the product of `m x k` numbers in `x` and a weight of so many rows and columns into `m x n` in `to`.
    pub fn shape(
        self,
        (rows, columns): (usize, usize),
        x: &[f32],
        to: &[f32],
    ) -> Result<(usize, usize, usize)> {
        let (n, k) = match self {
            Self::Forward => (rows, columns),
            Self::Backward => (columns, rows),
        };
        let m = x.len() / k;
        if (x.len(), to.len()) != (m * k, m * n) {
            let (x, to) = (x.len(), to.len());
            candle_core::bail!("product of {x} numbers and {k} x {n} weights into {to}")
        }
        Ok((m, n, k))
    }
}

/// Columns of a piece of a product: what `gemm`'s kernels compute at once divides them.
const COLUMNS: RangeInclusive<usize> = 64..=64;
/// Most elements of a sum whose weights are made at once. On x86 `gemm` itself sums by so many: two rows and more then have the bits
/// of the product with all numbers at once. Where it sums by more, they are rounded otherwise.
const DEPTH: usize = 512;

impl Tiles {
    /// A product by the numbers, all row by row. The result does not depend on the number of threads.
    pub fn exact_product(&self, direction: Direction, x: &[f32], to: &mut [f32]) -> Result<()> {
        let (m, n, k) = direction.shape((self.rows, self.width), x, to)?;
        let (x, to) = (Matrix::rows(x, k), Destination::rows(to, n));
        // Sums of so few rows are not split, and their weights lie along them.
        let few = direction == Direction::Forward && m.min(n) <= FEW;
        let depth = match few {
            true => k,
            false => k.div_ceil(k.div_ceil(DEPTH)),
        };
        in_pieces((m, n, k), COLUMNS, |rows, columns| {
            for first in (0..k).step_by(depth) {
                let sum = first..k.min(first + depth);
                let shape = (rows.len(), columns.len(), sum.len());
                let numbers = match direction {
                    Direction::Forward if few => self.part(columns.clone(), sum),
                    Direction::Forward => self.columns(columns.clone(), sum),
                    Direction::Backward => self.part(sum, columns.clone()),
                };
                let weights = match few {
                    true => Matrix::rows(&numbers, numbers.len() / shape.1).t(),
                    false => Matrix::rows(&numbers, numbers.len() / shape.2),
                };
                let x = x.row(rows.start).column(first);
                let to = to.row(rows.start).column(columns.start);
                let more = direction == Direction::Backward || first > 0;
                // SAFETY: sizes were checked above, and no two pieces are of one place.
                unsafe { product(shape, to, more, x, weights, 1.0) };
            }
        });
        Ok(())
    }
}

/// `dst += d · w`, both row by row.
pub struct AddBackward<'a>(pub &'a Tiles);

impl InplaceOp2 for AddBackward<'_> {
    fn name(&self) -> &'static str {
        "add-backward"
    }

    fn cpu_fwd(
        &self,
        dst: &mut CpuStorage,
        dst_layout: &Layout,
        d: &CpuStorage,
        d_layout: &Layout,
    ) -> Result<()> {
        let (d, dst) = (elements(d, d_layout)?, elements_mut(dst, dst_layout)?);
        self.0.exact_product(Direction::Backward, d, dst)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::product::parallel_product;
    use super::super::tests::{values, weights};
    use super::super::tiles::Bits;
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// The product with all numbers at once, of parts of the sum one after the other.
    fn whole(w: &Tiles, direction: Direction, x: &[f32], to: &mut [f32], depth: usize) {
        let (m, n, k) = direction.shape((w.rows, w.width), x, to).unwrap();
        let numbers = w.numbers();
        let weights = Matrix::rows(&numbers, w.width);
        for first in (0..k).step_by(depth) {
            let weights = match direction {
                Direction::Forward => weights.column(first).t(),
                Direction::Backward => weights.row(first),
            };
            let (shape, x) = (
                (m, n, depth.min(k - first)),
                Matrix::rows(x, k).column(first),
            );
            let (to, more) = (
                Destination::rows(to, n),
                direction == Direction::Backward || first > 0,
            );
            // SAFETY: the sizes were checked.
            unsafe { parallel_product(shape, to, more, x, weights, 1.0) };
        }
    }

    /// Few rows and many, sums in one part and in several that are no whole blocks, the last piece and the last tile not full.
    #[test]
    fn has_the_bits_of_the_product_with_all_numbers_at_once_by_any_number_of_threads() {
        let mut rng = StdRng::seed_from_u64(7);
        for (bits, rows, width) in [
            (Bits::Eight, 1100, 160),
            (Bits::Four, 200, 1056),
            (Bits::Eight, 333, 544),
            (Bits::Four, 40, 96),
        ] {
            let w = weights(&mut rng, bits, rows, width);
            for direction in [Direction::Forward, Direction::Backward] {
                let (n, k) = match direction {
                    Direction::Forward => (rows, width),
                    Direction::Backward => (width, rows),
                };
                for m in [2, 8, 9, 75, 150] {
                    let (x, before) = (values(&mut rng, m * k), values(&mut rng, m * n));
                    let few = direction == Direction::Forward && m <= FEW;
                    let parts = if few { 1 } else { k.div_ceil(DEPTH) };
                    let mut expected = before.clone();
                    whole(&w, direction, &x, &mut expected, k.div_ceil(parts));
                    for threads in [1, 3, 8] {
                        let mut found = before.clone();
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                        let pool = pool.build().unwrap();
                        pool.install(|| w.exact_product(direction, &x, &mut found))
                            .unwrap();
                        let same = found == expected;
                        assert!(same, "{rows} x {width} {direction:?} of {m} by {threads}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_row_is_the_sum_in_f64_but_for_rounding() {
        let mut rng = StdRng::seed_from_u64(8);
        let w = weights(&mut rng, Bits::Eight, 130, 1056);
        let (numbers, x) = (w.numbers(), values(&mut rng, 1056));
        let mut found = vec![7.0; 130];
        w.exact_product(Direction::Forward, &x, &mut found).unwrap();
        for (found, weights) in found.iter().zip(numbers.chunks(1056)) {
            let products = weights.iter().zip(&x);
            let sum: f64 = products.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            assert!((f64::from(*found) - sum).abs() < 1e-3, "{found} {sum}");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_an_error() {
        let w = weights(&mut StdRng::seed_from_u64(9), Bits::Eight, 16, 32);
        for (x, to) in [(33, 16), (32, 17), (64, 16)] {
            let error = w.exact_product(Direction::Forward, &vec![0.0; x], &mut vec![0.0; to]);
            assert!(error.unwrap_err().to_string().contains("32 x 16 weights"));
        }
    }
}
