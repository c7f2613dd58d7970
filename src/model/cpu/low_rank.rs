//! Low-rank changes of the rows of a product, each row its own: one pass over all adapters of a batch. A row's change does not
//! depend on the other rows.

use super::dots::Dots;
use super::product::{Destination, Matrix, Product, matmul, scaled_product};
use super::{elements, elements_mut, fetch, view};
use crate::model::ops::{Change, LowRank};
use candle_core::cpu_backend::CpuStorage;
use candle_core::{InplaceOp2, Layout, Result, Tensor, bail};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::array::from_fn;

/// Most rows of one task. A row's change is the same whatever the task.
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
pub struct LowRankRows<'a>(pub &'a LowRank<'a>);

impl InplaceOp2 for LowRankRows<'_> {
    fn name(&self) -> &'static str {
        "low-rank-rows"
    }

    fn cpu_fwd(&self, wx: &mut CpuStorage, wl: &Layout, x: &CpuStorage, xl: &Layout) -> Result<()> {
        let ((rows, out), (x_rows, width)) = (wl.shape().dims2()?, xl.shape().dims2()?);
        let (a, b) = (view(self.0.a)?, view(self.0.b)?);
        let ranks = a.len() / width;
        if [ranks * width, ranks * out] != [a.len(), b.len()] {
            bail!(
                "factors of {} and {} do not fit {out} of {width}",
                a.len(),
                b.len()
            )
        }
        let (mut rest, x) = (elements_mut(wx, wl)?, elements(x, xl)?);
        let mut tasks = Vec::new();
        let mut next = 0;
        for changes in self.0.changes.chunk_by(|a, b| a.rows == b.rows) {
            let range = changes[0].rows.clone();
            let there = changes.iter().all(|c| c.ranks.end <= ranks);
            if range.start < next || range.end > rows.min(x_rows) || !there {
                bail!("changes of rows {range:?} do not fit a product of {rows} rows")
            }
            rest = rest.split_at_mut((range.start - next) * out).1;
            next = range.end;
            let share = range.len().div_ceil(rayon::current_num_threads());
            let share = share.next_multiple_of(4).min(ROWS);
            for start in range.clone().step_by(share) {
                let end = (start + share).min(range.end);
                let (chunk, behind) = rest.split_at_mut((end - start) * out);
                rest = behind;
                tasks.push((chunk, &x[start * width..end * width], changes));
            }
        }
        tasks
            .into_par_iter()
            .try_for_each(|(wx, x, changes)| change(wx, x, changes, (&a, width), (&b, out)))
    }
}

/// Changes some rows, `wx` `[n, out]`, whose inputs are `x` `[n, width]`, by their parts of `a` `[Σ r, width]` and `b` `[Σ r, out]`.
fn change(
    wx: &mut [f32],
    x: &[f32],
    changes: &[Change],
    (a, width): (&[f32], usize),
    (b, out): (&[f32], usize),
) -> Result<()> {
    if let Some(factors) = factors(out, changes)? {
        for row in wx.chunks_exact_mut(out) {
            for (value, factor) in row.iter_mut().zip(&factors) {
                *value *= factor;
            }
        }
    }
    let n = x.len() / width;
    for c in changes {
        let a = &a[c.ranks.start * width..c.ranks.end * width];
        let b = &b[c.ranks.start * out..c.ranks.end * out];
        // Of a row or two nothing costs but reading these: memory reads one while the other is multiplied.
        fetch(b);
        let mut u = vec![0f32; n * c.ranks.len()];
        let product = Product {
            shape: (n, c.ranks.len(), width),
            dst: Destination::rows(&mut u, c.ranks.len()),
            accumulate: false,
            a: Matrix::rows(x, width),
            b: Matrix::rows(a, width).t(),
            scale: (c.weight * c.scale) as f32,
        };
        // SAFETY: the slices are as large as that, and nothing else has `u`.
        unsafe { Dots::new(product).run() };
        pulp::Arch::new().dispatch(Spread { wx, out, u: &u, b });
    }
    Ok(())
}

/// Adds u · b to the rows of `wx` `[n, out]`, for `u` `[n, r]` and `b` `[r, out]`. Each element is summed in the order of r, whatever
/// the number of rows.
struct Spread<'a> {
    wx: &'a mut [f32],
    out: usize,
    u: &'a [f32],
    b: &'a [f32],
}

/// Vectors of a row that are kept in registers.
const VECTORS: usize = 4;

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // What is read of `b` serves as many rows as there are registers for.
        match S::REGISTER_COUNT {
            32.. => self.in_groups::<S, 4>(simd),
            _ => self.in_groups::<S, 2>(simd),
        }
    }
}

impl Spread<'_> {
    #[inline(always)]
    fn in_groups<S: Simd, const R: usize>(self, simd: S) {
        let Self { wx, out, u, b } = self;
        let rank = b.len() / out;
        for (rows, u) in wx.chunks_mut(R * out).zip(u.chunks(R * rank)) {
            if rows.len() == R * out {
                group::<S, R>(simd, rows, out, u, b);
                continue;
            }
            for (row, u) in rows.chunks_exact_mut(out).zip(u.chunks_exact(rank)) {
                group::<S, 1>(simd, row, out, u, b);
            }
        }
    }
}

/// Changes `R` rows.
#[inline(always)]
fn group<S: Simd, const R: usize>(simd: S, rows: &mut [f32], out: usize, u: &[f32], b: &[f32]) {
    let rank = b.len() / out;
    let mut rows = rows.chunks_exact_mut(out);
    let rows: [&mut [f32]; R] = from_fn(|_| rows.next().unwrap_or_default());
    let u: [&[f32]; R] = from_fn(|r| &u[r * rank..][..rank]);
    let mut split = rows.map(S::as_mut_simd_f32s);
    let vectors = split[0].0.len();
    let mut at = 0;
    while at < vectors {
        let part = &b[at * S::F32_LANES..];
        at += match vectors - at {
            VECTORS.. => add::<S, R, VECTORS>(simd, u, part, out, &mut split, at),
            _ => add::<S, R, 1>(simd, u, part, out, &mut split, at),
        };
    }
    for ((_, rest), u) in split.iter_mut().zip(u) {
        for (at, value) in (vectors * S::F32_LANES..).zip(rest.iter_mut()) {
            let products = u.iter().zip(b.chunks_exact(out));
            *value += products.fold(0.0, |sum, (u, b)| sum + u * b[at]);
        }
    }
}

/// Adds to `N` vectors of each row, from one on, u · b, whose columns begin with theirs; returns `N`.
#[inline(always)]
fn add<S: Simd, const R: usize, const N: usize>(
    simd: S,
    u: [&[f32]; R],
    b: &[f32],
    out: usize,
    rows: &mut [(&mut [S::f32s], &mut [f32]); R],
    at: usize,
) -> usize {
    let mut sums = [[simd.splat_f32s(0.0); N]; R];
    for (r, b) in b.chunks(out).enumerate() {
        let b = &S::as_simd_f32s(b).0[..N];
        for (sums, u) in sums.iter_mut().zip(&u) {
            let u = simd.splat_f32s(u[r]);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = simd.mul_add_e_f32s(u, *b, *sum);
            }
        }
    }
    for ((row, _), sums) in rows.iter_mut().zip(sums) {
        for (vector, sum) in row[at..][..N].iter_mut().zip(sums) {
            *vector = simd.add_f32s(*vector, sum);
        }
    }
    N
}

/// What the product as it came is multiplied by, 1 + Σ weight · (gain − 1), if there are gains.
fn factors(out: usize, changes: &[Change]) -> Result<Option<Vec<f32>>> {
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
