//! Norms, rotary embedding, activation and sums.

use super::product::Destination;
use super::vector::{dot, exp};
use super::{MIN_SPLIT, elements, elements_mut, map_rows, rows_per_task, view, wide};
use candle_core::cpu_backend::CpuStorage;
use candle_core::{InplaceOp2, Layout, Result, Tensor};
use rayon::prelude::*;

#[inline(always)]
fn inverse_rms(x: &[f32], eps: f64) -> f32 {
    (1.0 / (f64::from(dot(x, x)) / x.len() as f64 + eps).sqrt()) as f32
}

/// `x · w / rms(x)` over the last dimension.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let (xs, w) = (view(x)?, view(weight)?);
    let (xs, w) = (&*xs, &*w);
    let n = w.len();
    map_rows(
        x,
        n,
        #[inline(always)]
        |r, out| {
            let x = &xs[r * n..][..n];
            let inv = inverse_rms(x, eps);
            for ((o, x), w) in out.iter_mut().zip(x).zip(w) {
                *o = x * inv * w;
            }
        },
    )
}

/// Gradient of [`rms_norm`] towards `x`.
pub fn rms_norm_backward(dy: &Tensor, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let (dys, xs, w) = (view(dy)?, view(x)?, view(weight)?);
    let (dys, xs, w) = (&*dys, &*xs, &*w);
    let n = w.len();
    map_rows(
        x,
        n,
        #[inline(always)]
        |r, out| {
            let (dy, x) = (&dys[r * n..][..n], &xs[r * n..][..n]);
            let inv = inverse_rms(x, eps);
            for (o, (dy, w)) in out.iter_mut().zip(dy.iter().zip(w)) {
                *o = dy * w;
            }
            let c = dot(out, x) * inv * inv * inv / n as f32;
            for i in 0..n {
                out[i] = out[i] * inv - x[i] * c;
            }
        },
    )
}

/// Rotates the two halves of every head: `x` is `[T, heads · d]`, `cos` and `sin` are `[T, d/2]`.
/// `sign` is 1 forward and -1 for the inverse rotation, which is the gradient.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor, sign: f32) -> Result<Tensor> {
    let width = x.dim(1)?;
    let half = cos.dim(1)?;
    let (xs, cos, sin) = (view(x)?, view(cos)?, view(sin)?);
    let (xs, cos, sin) = (&*xs, &*cos, &*sin);
    map_rows(
        x,
        width,
        #[inline(always)]
        |t, out| {
            let (cos, sin) = (&cos[t * half..][..half], &sin[t * half..][..half]);
            let heads = xs[t * width..][..width].chunks_exact(2 * half);
            for (x, out) in heads.zip(out.chunks_exact_mut(2 * half)) {
                for i in 0..half {
                    let (c, s) = (cos[i], sin[i] * sign);
                    out[i] = x[i] * c - x[i + half] * s;
                    out[i + half] = x[i + half] * c + x[i] * s;
                }
            }
        },
    )
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `silu(gate) · up`.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let n = gate.dim(1)?;
    let (g, u) = (view(gate)?, view(up)?);
    let (g, u) = (&*g, &*u);
    map_rows(
        gate,
        n,
        #[inline(always)]
        |r, out| {
            let (g, u) = (&g[r * n..][..n], &u[r * n..][..n]);
            for i in 0..n {
                out[i] = g[i] * sigmoid(g[i]) * u[i];
            }
        },
    )
}

/// Gradients of [`swiglu`] towards `gate` and `up`.
pub fn swiglu_backward(dy: &Tensor, gate: &Tensor, up: &Tensor) -> Result<(Tensor, Tensor)> {
    let n = gate.elem_count();
    let (d, g, u) = (view(dy)?, view(gate)?, view(up)?);
    let (d, g, u) = (&*d, &*g, &*u);
    let (mut dg, mut du) = (vec![0f32; n], vec![0f32; n]);
    let chunks = dg
        .par_chunks_mut(MIN_SPLIT)
        .zip(du.par_chunks_mut(MIN_SPLIT));
    chunks.enumerate().for_each(|(c, (dg, du))| {
        let at = c * MIN_SPLIT..c * MIN_SPLIT + dg.len();
        let (d, g, u) = (&d[at.clone()], &g[at.clone()], &u[at]);
        wide(
            #[inline(always)]
            || {
                for i in 0..dg.len() {
                    let s = sigmoid(g[i]);
                    du[i] = d[i] * g[i] * s;
                    dg[i] = d[i] * u[i] * s * (1.0 + g[i] * (1.0 - s));
                }
            },
        )
    });
    let tensor = |v| Tensor::from_vec(v, gate.shape(), gate.device());
    Ok((tensor(dg)?, tensor(du)?))
}

/// `dst += src`, element by element.
pub struct AddAssign;

impl InplaceOp2 for AddAssign {
    fn name(&self) -> &'static str {
        "add-assign"
    }

    fn cpu_fwd(
        &self,
        dst: &mut CpuStorage,
        dl: &Layout,
        src: &CpuStorage,
        sl: &Layout,
    ) -> Result<()> {
        let src = elements(src, sl)?;
        let dst = elements_mut(dst, dl)?;
        dst.par_chunks_mut(MIN_SPLIT)
            .zip(src.par_chunks(MIN_SPLIT))
            .for_each(|(d, s)| {
                wide(
                    #[inline(always)]
                    || d.iter_mut().zip(s).for_each(|(d, s)| *d += s),
                )
            });
        Ok(())
    }
}

/// Runs `f` on the elements of every row of `dst` with those of the row `src`.
fn with_row(
    dst: &mut CpuStorage,
    dl: &Layout,
    src: &CpuStorage,
    sl: &Layout,
    f: impl Fn(&mut f32, f32) + Sync,
) -> Result<()> {
    let src = elements(src, sl)?;
    let dst = elements_mut(dst, dl)?;
    if src.is_empty() || !dst.len().is_multiple_of(src.len()) {
        candle_core::bail!("a row of {} to {} elements", src.len(), dst.len())
    }
    dst.par_chunks_mut(rows_per_task(src.len()) * src.len())
        .for_each(|task| {
            wide(
                #[inline(always)]
                || {
                    for row in task.chunks_exact_mut(src.len()) {
                        row.iter_mut().zip(src).for_each(|(d, s)| f(d, *s));
                    }
                },
            )
        });
    Ok(())
}

/// Adds the row `src` to every row of `dst`.
pub struct AddRow;

impl InplaceOp2 for AddRow {
    fn name(&self) -> &'static str {
        "add-row"
    }

    fn cpu_fwd(
        &self,
        dst: &mut CpuStorage,
        dl: &Layout,
        src: &CpuStorage,
        sl: &Layout,
    ) -> Result<()> {
        with_row(
            dst,
            dl,
            src,
            sl,
            #[inline(always)]
            |d, s| *d += s,
        )
    }
}

/// Scales the columns of every row of `dst` by the row `src`.
pub struct ScaleColumns;

impl InplaceOp2 for ScaleColumns {
    fn name(&self) -> &'static str {
        "scale-columns"
    }

    fn cpu_fwd(
        &self,
        dst: &mut CpuStorage,
        dl: &Layout,
        src: &CpuStorage,
        sl: &Layout,
    ) -> Result<()> {
        with_row(
            dst,
            dl,
            src,
            sl,
            #[inline(always)]
            |d, s| *d *= s,
        )
    }
}

/// `x[r, c] · scale[c]`.
pub fn scale_columns(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let (xs, scale) = (view(x)?, view(scale)?);
    let (xs, scale) = (&*xs, &*scale);
    let n = scale.len();
    map_rows(
        x,
        n,
        #[inline(always)]
        |r, out| {
            for ((o, x), s) in out.iter_mut().zip(&xs[r * n..]).zip(scale) {
                *o = x * s;
            }
        },
    )
}

/// See [`crate::model::ops::row_norms`].
pub fn row_norms(squares: &Tensor, [wa, gram, b]: [&Tensor; 3], scale: f64) -> Result<Tensor> {
    let (out, rank) = b.dims2()?;
    let (squares, wa, gram, bs) = (view(squares)?, view(wa)?, view(gram)?, view(b)?);
    let (squares, wa, gram, bs) = (&squares[..out], &*wa, &*gram, &*bs);
    let scale = scale as f32;
    let norm = |row: usize| {
        let (b, wa) = (&bs[row * rank..][..rank], &wa[row * rank..][..rank]);
        let mut change = 0f32;
        for (i, gram) in gram.chunks_exact(rank).enumerate() {
            let quadratic: f32 = gram.iter().zip(b).map(|(g, b)| g * b).sum();
            change += b[i] * (2.0 * scale * wa[i] + scale * scale * quadratic);
        }
        (squares[row] + change).max(0.0).sqrt()
    };
    let mut norms = vec![0f32; out];
    norms
        .par_iter_mut()
        .with_min_len(NORMS)
        .enumerate()
        .for_each(|(row, n)| *n = norm(row));
    Tensor::from_vec(norms, out, b.device())
}

/// Norms of one task.
const NORMS: usize = 128;

/// The fewest columns of one task: whole cache lines of a row.
const COLUMNS: usize = 64;

/// See [`crate::model::ops::scale_columns_backward`].
pub fn scale_columns_backward(dy: &Tensor, x: &Tensor, scale: &Tensor) -> Result<[Tensor; 2]> {
    let (rows, n) = dy.dims2()?;
    let (dys, xs, scales) = (view(dy)?, view(x)?, view(scale)?);
    let (dys, xs, scales) = (&dys[..rows * n], &xs[..rows * n], &scales[..n]);
    let (mut dx, mut sums) = (vec![0f32; rows * n], vec![0f32; n]);
    let dst = Destination::rows(&mut dx, n);
    // Each column's sum is one task's, however many there are.
    let per = n.div_ceil(2 * rayon::current_num_threads());
    let per = per.next_multiple_of(COLUMNS).max(COLUMNS);
    sums.par_chunks_mut(per).enumerate().for_each(|(c, sums)| {
        let left = c * per;
        let scales = &scales[left..];
        wide(
            #[inline(always)]
            || {
                for r in 0..rows {
                    let at = r * n + left;
                    // SAFETY: row r of these columns, which are this task's.
                    let dx = unsafe { dst.row(r).column(left).slice(sums.len()) };
                    let given = dys[at..].iter().zip(&xs[at..]).zip(scales);
                    for ((sum, dx), ((dy, x), scale)) in sums.iter_mut().zip(dx).zip(given) {
                        *sum += dy * x;
                        *dx = dy * scale;
                    }
                }
            },
        )
    });
    let device = dy.device();
    Ok([
        Tensor::from_vec(dx, (rows, n), device)?,
        Tensor::from_vec(sums, n, device)?,
    ])
}
