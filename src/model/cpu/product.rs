//! Matrix products by the `gemm` crate on strided operands, in place where candle would copy.

use super::dots::Dots;
use super::elements_mut;
use candle_core::cpu_backend::CpuStorage;
use candle_core::{InplaceOp3, Layout, Result, Storage, Tensor};
use rayon::prelude::*;
use std::ops::{Range, RangeInclusive};

/// `a · b`, both two-dimensional; either may be a transposed view.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    scaled_product(a, b, 1.0)
}

/// `scale · a · b`, both two-dimensional; either may be a transposed view.
pub fn scaled_product(a: &Tensor, b: &Tensor, scale: f64) -> Result<Tensor> {
    let (m, n) = (a.dim(0)?, b.dim(1)?);
    let mut dst = vec![0f32; m * n];
    {
        let ((a, al), (b, bl)) = (a.storage_and_layout(), b.storage_and_layout());
        let (Storage::Cpu(a), Storage::Cpu(b)) = (&*a, &*b) else {
            candle_core::bail!("a fused product needs operands on the CPU")
        };
        multiply(&mut dst, (m, n), false, (a, al), (b, bl), scale as f32)?;
    }
    Tensor::from_vec(dst, (m, n), a.device())
}

/// `dst += scale · a · b`, all two-dimensional; `a` and `b` may be transposed views.
pub struct AddProduct {
    pub scale: f32,
}

impl InplaceOp3 for AddProduct {
    fn name(&self) -> &'static str {
        "add-product"
    }

    fn cpu_fwd(
        &self,
        dst: &mut CpuStorage,
        dl: &Layout,
        a: &CpuStorage,
        al: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<()> {
        let shape = dl.shape().dims2()?;
        let dst = elements_mut(dst, dl)?;
        multiply(dst, shape, true, (a, al), (b, bl), self.scale)
    }
}

/// `dst = [dst +] scale · a · b` with checked shapes.
fn multiply(
    dst: &mut [f32],
    (m, n): (usize, usize),
    accumulate: bool,
    (a, al): (&CpuStorage, &Layout),
    (b, bl): (&CpuStorage, &Layout),
    scale: f32,
) -> Result<()> {
    let ((am, k), (bk, bn)) = (al.shape().dims2()?, bl.shape().dims2()?);
    if (am, bk, bn) != (m, k, n) || dst.len() != m * n {
        candle_core::bail!("product of {am}x{k} and {bk}x{bn} into {m}x{n}")
    }
    let (CpuStorage::F32(a), CpuStorage::F32(b)) = (a, b) else {
        candle_core::bail!("a fused product needs f32 operands")
    };
    let (a, b) = (Matrix::of(a, al), Matrix::of(b, bl));
    let dst = Destination::rows(dst, n);
    // SAFETY: shapes were checked above and candle keeps a layout inside its storage.
    unsafe { parallel_product((m, n, k), dst, accumulate, a, b, scale) };
    Ok(())
}

/// A strided read-only matrix.
#[derive(Clone, Copy)]
pub struct Matrix {
    pub data: *const f32,
    pub row_stride: usize,
    pub col_stride: usize,
}

// SAFETY: it is only read.
unsafe impl Send for Matrix {}
unsafe impl Sync for Matrix {}

impl Matrix {
    fn of(storage: &[f32], layout: &Layout) -> Self {
        let stride = layout.stride();
        Self {
            data: storage[layout.start_offset()..].as_ptr(),
            row_stride: stride[0],
            col_stride: stride[1],
        }
    }

    /// Row-major elements from `data` on, `row_stride` apart.
    pub fn rows(data: &[f32], row_stride: usize) -> Self {
        Self {
            data: data.as_ptr(),
            row_stride,
            col_stride: 1,
        }
    }

    /// The matrix from row `i` on; it has that row.
    pub fn row(self, i: usize) -> Self {
        let data = self.data.wrapping_add(i * self.row_stride);
        Self { data, ..self }
    }

    /// The matrix from column `i` on; it has that column.
    pub fn column(self, i: usize) -> Self {
        self.t().row(i).t()
    }

    /// The transposed matrix.
    pub fn t(self) -> Self {
        Self {
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// Products of fewer multiplications are not worth a second thread.
const MIN_PARALLEL: usize = 256 * 1024;
/// Columns of a piece: a few times what `gemm`'s kernels compute at once, and no more than keeps many threads busy.
const COLUMNS: RangeInclusive<usize> = 48..=528;
/// Pieces of the columns between these bounds: each packs the rows again, so they should be few.
const PIECES: usize = 4;
/// What `gemm`'s kernels compute at once divides it: 6 rows on x86, 4 on ARM.
const KERNEL_ROWS: usize = 12;
/// Least rows of a piece: each packs its columns again, and products of fewer are computed [in another way](product).
const ROWS: usize = UNPACKED + KERNEL_ROWS;
/// The same where `dst` has few columns, which are packed in no time.
const NARROW_ROWS: usize = 48;

/// [`product`] by all threads, in pieces of the columns of `dst`, and of its rows where it is narrow, or the threads are more than
/// the pieces. `gemm`'s own threads wait for each other between its stages; with pieces of their own they are faster on a
/// decoder's shapes (docs/LOG.md). The result does not depend on the number of threads: the columns of a piece, by which `gemm`
/// may sum in another order, depend on the shape alone.
///
/// # Safety
/// As for [`product`].
pub unsafe fn parallel_product(
    (m, n, k): (usize, usize, usize),
    dst: Destination,
    accumulate: bool,
    a: Matrix,
    b: Matrix,
    scale: f32,
) {
    in_pieces((m, n, k), COLUMNS, |rows, columns| {
        let (top, left) = (rows.start, columns.start);
        let (dst, a, b) = (dst.row(top).column(left), a.row(top), b.column(left));
        // SAFETY: pieces do not overlap; the rest is the caller's.
        unsafe { product((rows.len(), columns.len(), k), dst, accumulate, a, b, scale) }
    });
}

/// Runs `work` on all threads for the rows and columns of each piece of a product. A piece has at most about as many columns as the
/// end of `columns`, and begins at a multiple of their start.
pub fn in_pieces(
    (m, n, k): (usize, usize, usize),
    columns: RangeInclusive<usize>,
    work: impl Fn(Range<usize>, Range<usize>) + Sync,
) {
    if m * n * k < MIN_PARALLEL {
        return work(0..m, 0..n);
    }
    let (least, most) = columns.into_inner();
    let narrow = n < 2 * least;
    let across = match narrow {
        true => 1,
        false => n / (n / PIECES).clamp(least, most),
    };
    let down = match narrow {
        true => m / NARROW_ROWS,
        false => (m / ROWS).min(rayon::current_num_threads().div_ceil(across)),
    };
    let down = down.max(1);
    (0..down * across).into_par_iter().for_each(|i| {
        let rows = piece(m, KERNEL_ROWS, down, i / across);
        work(rows, piece(n, least, across, i % across))
    });
}

/// Where one of `count` pieces of a side begins and ends: at multiples of `unit`, which a kernel computes at once. None is much
/// shorter than another, and the last takes up what would be too little for one, since `gemm` sums two columns in another order.
fn piece(side: usize, unit: usize, count: usize, i: usize) -> Range<usize> {
    let units = (side + unit - unit / 3) / unit;
    let edge = |i: usize| match i == count {
        true => side,
        false => units * i / count * unit,
    };
    edge(i)..edge(i + 1)
}

/// A row-major matrix that tasks write to, each its own part.
#[derive(Clone, Copy)]
pub struct Destination {
    pub data: *mut f32,
    pub row_stride: usize,
}

// SAFETY: parts are disjoint.
unsafe impl Send for Destination {}
unsafe impl Sync for Destination {}

impl Destination {
    /// Row-major elements, `row_stride` apart.
    pub fn rows(data: &mut [f32], row_stride: usize) -> Self {
        Self {
            data: data.as_mut_ptr(),
            row_stride,
        }
    }

    /// The first `len` elements of its first row.
    ///
    /// # Safety
    /// They lie inside a live allocation, and nothing else touches them for `'a`.
    pub unsafe fn slice<'a>(self, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.data, len) }
    }

    /// The matrix from row `i` on.
    pub fn row(self, i: usize) -> Self {
        self.column(i * self.row_stride)
    }

    /// The matrix from column `i` on.
    pub fn column(self, i: usize) -> Self {
        let data = self.data.wrapping_add(i);
        Self { data, ..self }
    }
}

/// Products of no more rows or columns than that, whose operands both lie along the sum, are fastest vector by vector.
pub const FEW: usize = 8;
/// `gemm` copies the operand that has the columns of `dst` into the order of its kernels, and the other one only when these columns
/// are more than that.
const UNPACKED: usize = 128;
/// Sums of fewer elements are a few vectors, or none.
const LONG_SUM: usize = 128;
/// Columns that [`Product::turned`] writes at once: a cache line.
const LINE: usize = 16;

/// `dst = [dst +] scale · a · b` with `(m, n, k)` by this thread.
///
/// # Safety
/// All three matrices must lie inside live allocations, and nothing else may touch `dst`.
pub unsafe fn product(
    shape: (usize, usize, usize),
    dst: Destination,
    accumulate: bool,
    a: Matrix,
    b: Matrix,
    scale: f32,
) {
    let (m, n, k) = shape;
    let along = k >= LONG_SUM && a.col_stride == 1 && b.row_stride == 1;
    let product = Product {
        shape,
        dst,
        accumulate,
        a,
        b,
        scale,
    };
    // SAFETY: the caller's.
    unsafe {
        match m.min(n) {
            2..=FEW if along => Dots::new(product).run(),
            2..=UNPACKED if along && m < n => product.turned(),
            _ => product.by_gemm(),
        }
    }
}

/// What [`product`] is given; its promises hold for every method.
pub struct Product {
    pub shape: (usize, usize, usize),
    pub dst: Destination,
    pub accumulate: bool,
    pub a: Matrix,
    pub b: Matrix,
    pub scale: f32,
}

impl Product {
    /// By way of the transposed product: of a few rows `a` and a large `b` it is `a` that `gemm` copies.
    unsafe fn turned(self) {
        let (m, n, k) = self.shape;
        let mut sums = vec![0f32; n * m];
        let transposed = Self {
            shape: (n, m, k),
            dst: Destination::rows(&mut sums, m),
            accumulate: false,
            a: self.b.t(),
            b: self.a.t(),
            scale: self.scale,
        };
        // SAFETY: the caller's, and the sums are as many.
        unsafe { transposed.by_gemm() };
        for (l, lines) in sums.chunks(LINE * m).enumerate() {
            for i in 0..m {
                // SAFETY: these columns of row i, which are the caller's.
                let row = unsafe {
                    let row = self.dst.row(i).column(l * LINE);
                    row.slice(lines.len() / m)
                };
                for (dst, sums) in row.iter_mut().zip(lines.chunks_exact(m)) {
                    let sum = sums[i];
                    *dst = if self.accumulate { *dst + sum } else { sum };
                }
            }
        }
    }

    /// By the `gemm` crate.
    unsafe fn by_gemm(self) {
        let (m, n, k) = self.shape;
        let (dst, a, b) = (self.dst, self.a, self.b);
        // SAFETY: the caller's.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                dst.data,
                1,
                dst.row_stride as isize,
                self.accumulate,
                a.data,
                a.col_stride as isize,
                a.row_stride as isize,
                b.data,
                b.col_stride as isize,
                b.row_stride as isize,
                1.0,
                self.scale,
                false,
                false,
                false,
                gemm::Parallelism::None,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    /// Every edge: pieces that are not full, of columns and of rows, long sums, both operands either way round, rows of all
    /// three with gaps.
    #[test]
    fn products_of_all_shapes_are_those_of_f64() {
        let mut rng = StdRng::seed_from_u64(1);
        let shapes = [8, 17, 31, 48, 93, 98, 113, 200, 257, 401];
        for round in 0..200 {
            let pick = |rng: &mut StdRng| shapes[rng.random_range(0..shapes.len())];
            let (m, n) = (pick(&mut rng), pick(&mut rng));
            let k = if round % 8 == 0 { 1100 } else { pick(&mut rng) };
            let gap = rng.random_range(0..3);
            let mut values =
                |count| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
            let ((a_rows, a_width), (b_rows, b_width)) =
                ((m.max(k), m.max(k)), (k.max(n), k.max(n)));
            let a = values(a_rows * (a_width + gap));
            let b = values(b_rows * (b_width + gap));
            let before = values(m * (n + gap));
            let (a, b) = (
                Matrix::rows(&a, a_width + gap),
                Matrix::rows(&b, b_width + gap),
            );
            let a = if round % 2 == 0 { a } else { a.t() };
            let b = if round % 4 < 2 { b } else { b.t() };
            let (accumulate, scale) = (round % 3 == 0, 0.5);
            let mut found = before.clone();
            let dst = Destination::rows(&mut found, n + gap);
            // SAFETY: the matrices were made large enough.
            unsafe { parallel_product((m, n, k), dst, accumulate, a, b, scale) };
            for i in 0..m {
                for j in 0..n {
                    let at = |x: Matrix, r: usize, c: usize| {
                        // SAFETY: as above.
                        f64::from(unsafe { *x.row(r).column(c).data })
                    };
                    let sum: f64 = (0..k).map(|l| at(a, i, l) * at(b, l, j)).sum();
                    let place = i * (n + gap) + j;
                    let old = if accumulate {
                        f64::from(before[place])
                    } else {
                        0.0
                    };
                    let wanted = old + f64::from(scale) * sum;
                    let error = (f64::from(found[place]) - wanted).abs();
                    assert!(error < 1e-4, "{m}x{n}x{k} at {i},{j}: {error}");
                }
            }
            for i in 0..m {
                let rest = i * (n + gap) + n..(i + 1) * (n + gap);
                assert_eq!(
                    found[rest.clone()],
                    before[rest],
                    "nothing behind a row is touched"
                );
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let mut rng = StdRng::seed_from_u64(2);
        for (m, n, k) in [
            (98, 576, 576),
            (401, 576, 1536),
            (744, 192, 576),
            (744, 576, 192),
            (744, 8, 576),
            (8, 576, 744),
            (1561, 1100, 100),
            (454, 145, 101),
            (1480, 770, 904),
        ] {
            let mut values =
                |count| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
            let (a, b) = (values(m * k), values(n * k));
            // Forward multiplies by a transposed weight, backward by the weight.
            for b in [Matrix::rows(&b, k).t(), Matrix::rows(&b, n)] {
                let by = |threads| {
                    let mut found = vec![0f32; m * n];
                    let dst = Destination::rows(&mut found, n);
                    let a = Matrix::rows(&a, k);
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                    // SAFETY: the matrices were made large enough.
                    pool.build()
                        .unwrap()
                        .install(|| unsafe { parallel_product((m, n, k), dst, false, a, b, 1.0) });
                    found
                };
                let one = by(1);
                for threads in [3, 8, 16, 64] {
                    assert!(by(threads) == one, "{m}x{n}x{k} by {threads} threads");
                }
            }
        }
    }
}
