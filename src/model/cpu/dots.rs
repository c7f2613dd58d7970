//! Products of a few rows or columns whose operands both lie along the sum, such as x·Wᵀ of a few tokens and W·Aᵀ, each element
//! the product of two vectors.

use super::product::{Matrix, Product};
use pulp::{Simd, WithSimd};

/// A product whose `a` has rows and whose `b` has columns of elements that lie side by side. Each sum is in an order that depends on
/// its length and the processor alone.
pub struct Dots(Product);

impl Dots {
    /// # Safety
    /// As for [`super::product`], until it has run.
    pub unsafe fn new(product: Product) -> Self {
        Self(product)
    }

    /// By this processor's widest vectors.
    pub fn run(self) {
        pulp::Arch::new().dispatch(self)
    }
}

impl WithSimd for Dots {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many sums at once as there are registers for.
        match S::REGISTER_COUNT {
            32.. => self.tiles::<S, 4>(simd),
            _ => self.tiles::<S, 2>(simd),
        }
    }
}

impl Dots {
    /// All of `dst`, in tiles of 4 rows of the longer operand and `SHORT`, 2 or 1 of the other, which stays in the cache.
    #[inline(always)]
    fn tiles<S: Simd, const SHORT: usize>(self, simd: S) {
        let ((m, n, _), stride) = (self.0.shape, self.0.dst.row_stride);
        let (long, short) = ((self.0.a, m, stride), (self.0.b.t(), n, 1));
        let (long, short) = if m < n { (short, long) } else { (long, short) };
        if short.1 == 1 {
            // Sums enough for both of a core's units all the same.
            for i in (0..long.1).step_by(8) {
                self.tile::<S, 8, 1>(simd, (long, i), (short, 0));
            }
            return;
        }
        for i in (0..long.1).step_by(4) {
            let mut j = 0;
            while j < short.1 {
                if short.1 - j > 2 {
                    self.tile::<S, 4, SHORT>(simd, (long, i), (short, j));
                    j += SHORT;
                } else {
                    self.tile::<S, 4, 2>(simd, (long, i), (short, j));
                    j += 2;
                }
            }
        }
    }

    /// The sums of one tile. Each side is its rows, how many it has and how far apart their results lie, and where the tile
    /// begins; beyond the last row the tile computes that row again.
    #[inline(always)]
    fn tile<S: Simd, const LONG: usize, const SHORT: usize>(
        &self,
        simd: S,
        (long, i): ((Matrix, usize, usize), usize),
        (short, j): ((Matrix, usize, usize), usize),
    ) {
        // SAFETY: the caller of `new` promised that the rows are there.
        let row = |side: (Matrix, usize, usize), i: usize| unsafe {
            let first = side.0.row(i.min(side.1 - 1)).data;
            S::as_simd_f32s(std::slice::from_raw_parts(first, self.0.shape.2))
        };
        let xs: [_; LONG] = std::array::from_fn(|p| row(long, i + p));
        let ys: [_; SHORT] = std::array::from_fn(|q| row(short, j + q));
        let vectors = xs[0].0.len();
        let (x, y) = (xs.map(|x| &x.0[..vectors]), ys.map(|y| &y.0[..vectors]));
        let mut sums = [[simd.splat_f32s(0.0); SHORT]; LONG];
        for l in 0..vectors {
            for (sums, x) in sums.iter_mut().zip(&x) {
                for (sum, y) in sums.iter_mut().zip(&y) {
                    *sum = simd.mul_add_e_f32s(x[l], y[l], *sum);
                }
            }
        }
        for p in 0..LONG.min(long.1 - i) {
            for q in 0..SHORT.min(short.1 - j) {
                let rest: f32 = xs[p].1.iter().zip(ys[q].1).map(|(x, y)| x * y).sum();
                let sum = self.0.scale * (simd.reduce_sum_f32s(sums[p][q]) + rest);
                let dst = self.0.dst.column((i + p) * long.2 + (j + q) * short.2);
                // SAFETY: as above, and this element is this tile's.
                unsafe {
                    *dst.data = match self.0.accumulate {
                        true => *dst.data + sum,
                        false => sum,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::product::Destination;
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    /// Whole tiles and parts of tiles either way round, vectors and a rest, rows with gaps; with this processor's vectors and
    /// with none, which have fewer registers.
    #[test]
    fn are_sums_of_f64() {
        let mut rng = StdRng::seed_from_u64(1);
        for (m, n, k) in [
            (2, 2, 128),
            (3, 9, 576),
            (9, 3, 133),
            (8, 40, 131),
            (61, 8, 200),
            (1, 13, 131),
            (8, 1, 576),
            (32, 31, 129),
        ] {
            let mut values =
                |count| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
            let (a, b) = (values(m * (k + 2)), values(n * (k + 1)));
            let before = values(m * (n + 3));
            for (accumulate, wide) in [(false, true), (true, true), (false, false)] {
                let mut found = before.clone();
                let product = Product {
                    shape: (m, n, k),
                    dst: Destination::rows(&mut found, n + 3),
                    accumulate,
                    a: Matrix::rows(&a, k + 2),
                    b: Matrix::rows(&b, k + 1).t(),
                    scale: 0.5,
                };
                // SAFETY: the matrices are as large as that.
                let dots = unsafe { Dots::new(product) };
                match wide {
                    true => dots.run(),
                    false => dots.with_simd(pulp::Scalar::new()),
                }
                let mut wanted = before.clone();
                for (i, row) in wanted.chunks_exact_mut(n + 3).enumerate() {
                    for (j, value) in row[..n].iter_mut().enumerate() {
                        let (x, y) = (&a[i * (k + 2)..][..k], &b[j * (k + 1)..][..k]);
                        let product = |(x, y): (&f32, &f32)| f64::from(*x) * f64::from(*y);
                        let sum = 0.5 * x.iter().zip(y).map(product).sum::<f64>();
                        *value = if accumulate { *value } else { 0.0 } + sum as f32;
                    }
                }
                for (found, wanted) in found.iter().zip(&wanted) {
                    let error = (found - wanted).abs();
                    assert!(error < 1e-5, "{m}x{n}x{k}, {accumulate} {wide}: {error}");
                }
            }
        }
    }
}
