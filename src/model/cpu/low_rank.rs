//! Low-rank changes of the rows of a product, each row its own: one pass over all adapters of a batch. A row's change does not
//! depend on the other rows.

use super::dots::Dots;
use super::product::{Destination, Matrix, Product, matmul, scaled_product};
use super::{elements, elements_mut, view, wide};
use crate::model::ops::LowRank;
use candle_core::cpu_backend::CpuStorage;
use candle_core::{InplaceOp2, Layout, Result, Tensor, bail};
use rayon::prelude::*;

/// Rows of one task: the same whatever the number of threads.
const ROWS: usize = 32;

/// See [`crate::model::ops::low_rank_gradient`].
pub fn low_rank_gradient(
    dy: &Tensor,
    x: &Tensor,
    u: &Tensor,
    b: &Tensor,
    scale: f64,
) -> Result<[Tensor; 3]> {
    let du = matmul(dy, b)?;
    let (da, db) = rayon::join(
        || scaled_product(&du.t()?, x, scale),
        // Turned, for the kernels' vectors to lie along the long side.
        || scaled_product(&u.t()?, dy, scale)?.t()?.contiguous(),
    );
    Ok([du, da?, db?])
}

/// `wx`, `x` to the changed `wx`; see [`crate::model::ops::low_rank_rows`].
pub struct LowRankRows<'a>(pub &'a [LowRank<'a>]);

impl InplaceOp2 for LowRankRows<'_> {
    fn name(&self) -> &'static str {
        "low-rank-rows"
    }

    fn cpu_fwd(&self, wx: &mut CpuStorage, wl: &Layout, x: &CpuStorage, xl: &Layout) -> Result<()> {
        let ((rows, out), (x_rows, width)) = (wl.shape().dims2()?, xl.shape().dims2()?);
        let (mut rest, x) = (elements_mut(wx, wl)?, elements(x, xl)?);
        let mut tasks = Vec::new();
        let mut next = 0;
        for changes in self.0.chunk_by(|a, b| a.rows == b.rows) {
            let range = changes[0].rows.clone();
            let fits = |c: &LowRank| {
                c.a.dim(1).ok() == Some(width)
                    && c.b.dim(1).ok() == Some(out)
                    && c.a.dim(0).ok() == c.b.dim(0).ok()
            };
            if range.start < next || range.end > rows.min(x_rows) || !changes.iter().all(fits) {
                bail!("changes of rows {range:?} do not fit a product of {rows} rows")
            }
            rest = rest.split_at_mut((range.start - next) * out).1;
            next = range.end;
            for start in range.clone().step_by(ROWS) {
                let end = (start + ROWS).min(range.end);
                let (chunk, behind) = rest.split_at_mut((end - start) * out);
                rest = behind;
                tasks.push((chunk, &x[start * width..end * width], changes));
            }
        }
        tasks
            .into_par_iter()
            .try_for_each(|(wx, x, changes)| change(wx, x, width, out, changes))
    }
}

/// Changes some rows, `wx` `[n, out]`, whose inputs are `x` `[n, width]`.
fn change(wx: &mut [f32], x: &[f32], width: usize, out: usize, changes: &[LowRank]) -> Result<()> {
    let n = wx.len() / out;
    if let Some(factors) = factors(out, changes)? {
        for row in wx.chunks_exact_mut(out) {
            for (value, factor) in row.iter_mut().zip(&factors) {
                *value *= factor;
            }
        }
    }
    for c in changes {
        let (a, b) = (view(c.a)?, view(c.b)?);
        let rank = c.a.dim(0)?;
        let mut u = vec![0f32; n * rank];
        let product = Product {
            shape: (n, rank, width),
            dst: Destination::rows(&mut u, rank),
            accumulate: false,
            a: Matrix::rows(x, width),
            b: Matrix::rows(&a, width).t(),
            scale: (c.weight * c.scale) as f32,
        };
        // SAFETY: shapes were checked by the caller, and nothing else has `u`.
        unsafe { Dots::new(product).run() };
        let b: &[f32] = &b;
        wide(
            #[inline(always)]
            || spread(wx, out, &u, b),
        );
    }
    Ok(())
}

/// Elements of a row that are kept in registers.
const LANES: usize = 32;

/// Adds u · b to the rows of `wx` `[n, out]`, for `u` `[n, r]` and `b` `[r, out]`. Each element is summed in the order of r, whatever
/// the number of rows.
#[inline(always)]
fn spread(wx: &mut [f32], out: usize, u: &[f32], b: &[f32]) {
    let rank = b.len() / out;
    for (row, u) in wx.chunks_exact_mut(out).zip(u.chunks_exact(rank)) {
        let mut pieces = row.chunks_exact_mut(LANES);
        for (at, piece) in pieces.by_ref().enumerate() {
            let mut sums = [0f32; LANES];
            for (u, b) in u.iter().zip(b.chunks_exact(out)) {
                let b = &b[at * LANES..][..LANES];
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum += u * b;
                }
            }
            for (value, sum) in piece.iter_mut().zip(&sums) {
                *value += sum;
            }
        }
        let rest = pieces.into_remainder();
        let first = out - rest.len();
        for (at, value) in rest.iter_mut().enumerate() {
            let products = u.iter().zip(b.chunks_exact(out));
            let sum = products.fold(0.0, |sum, (u, b)| sum + u * b[first + at]);
            *value += sum;
        }
    }
}

/// What the product as it came is multiplied by, 1 + Σ weight · (gain − 1), if there are gains.
fn factors(out: usize, changes: &[LowRank]) -> Result<Option<Vec<f32>>> {
    let mut factors = None;
    for c in changes {
        if let Some(gain) = c.gain {
            let factors = factors.get_or_insert_with(|| vec![1f32; out]);
            let (gain, weight) = (view(gain)?, c.weight as f32);
            for (factor, gain) in factors.iter_mut().zip(gain.iter()) {
                *factor += weight * (gain - 1.0);
            }
        }
    }
    Ok(factors)
}
