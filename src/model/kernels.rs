//! Fused f32 CPU kernels: one rayon pass each, where candle's CPU element-wise operations are
//! single-threaded and allocate an intermediate per step. Every kernel works row by row, so its
//! result does not depend on the number of threads. `ops.rs` holds the portable twin of each.

use candle_core::cpu_backend::CpuStorage;
use candle_core::{InplaceOp2, InplaceOp3, Layout, Result, Storage, Tensor};
use rayon::prelude::*;
use std::ops::{Deref, Range};

/// Elements below which splitting work over threads costs more than it saves.
const MIN_SPLIT: usize = 16 * 1024;

struct View<S> {
    storage: S,
    range: Range<usize>,
}

/// The elements of `t`; errors when it is not a contiguous f32 CPU tensor.
pub fn view(t: &Tensor) -> Result<impl Deref<Target = [f32]> + '_> {
    let (storage, layout) = t.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a fused kernel needs contiguous operands")
    };
    match &*storage {
        Storage::Cpu(CpuStorage::F32(_)) => Ok(View {
            storage,
            range: start..end,
        }),
        _ => candle_core::bail!("a fused kernel needs f32 tensors on the CPU"),
    }
}

impl<S: Deref<Target = Storage>> Deref for View<S> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(v)) => &v[self.range.clone()],
            _ => unreachable!("view() checked the storage"),
        }
    }
}

/// The mutable elements behind an in-place operation's first operand.
fn elements_mut<'a>(s: &'a mut CpuStorage, l: &Layout) -> Result<&'a mut [f32]> {
    match (s, l.contiguous_offsets()) {
        (CpuStorage::F32(v), Some((start, end))) => Ok(&mut v[start..end]),
        _ => candle_core::bail!("an in-place kernel needs contiguous f32 operands"),
    }
}

/// The elements behind an in-place operation's other operands.
fn elements<'a>(s: &'a CpuStorage, l: &Layout) -> Result<&'a [f32]> {
    match (s, l.contiguous_offsets()) {
        (CpuStorage::F32(v), Some((start, end))) => Ok(&v[start..end]),
        _ => candle_core::bail!("an in-place kernel needs contiguous f32 operands"),
    }
}

fn rows_per_task(width: usize) -> usize {
    (MIN_SPLIT / width.max(1)).max(1)
}

/// Runs `f(row, out_row)` over the rows of a new `[rows, width]` tensor shaped like `like`.
fn map_rows(like: &Tensor, width: usize, f: impl Fn(usize, &mut [f32]) + Sync) -> Result<Tensor> {
    let mut out = vec![0f32; like.elem_count()];
    let per = rows_per_task(width);
    out.par_chunks_mut(width * per)
        .enumerate()
        .for_each(|(c, chunk)| {
            for (i, row) in chunk.chunks_exact_mut(width).enumerate() {
                f(c * per + i, row)
            }
        });
    Tensor::from_vec(out, like.shape(), like.device())
}

fn inverse_rms(x: &[f32], eps: f64) -> f32 {
    let ss: f32 = x.iter().map(|v| v * v).sum();
    (1.0 / (f64::from(ss) / x.len() as f64 + eps).sqrt()) as f32
}

/// `x · w / rms(x)` over the last dimension.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let (xs, w) = (view(x)?, view(weight)?);
    let (xs, w) = (&*xs, &*w);
    let n = w.len();
    map_rows(x, n, |r, out| {
        let x = &xs[r * n..][..n];
        let inv = inverse_rms(x, eps);
        for ((o, x), w) in out.iter_mut().zip(x).zip(w) {
            *o = x * inv * w;
        }
    })
}

/// Gradient of [`rms_norm`] towards `x`.
pub fn rms_norm_backward(dy: &Tensor, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let (dys, xs, w) = (view(dy)?, view(x)?, view(weight)?);
    let (dys, xs, w) = (&*dys, &*xs, &*w);
    let n = w.len();
    map_rows(x, n, |r, out| {
        let (dy, x) = (&dys[r * n..][..n], &xs[r * n..][..n]);
        let inv = inverse_rms(x, eps);
        let dot: f32 = (0..n).map(|i| dy[i] * w[i] * x[i]).sum();
        let c = dot * inv * inv * inv / n as f32;
        for i in 0..n {
            out[i] = dy[i] * w[i] * inv - x[i] * c;
        }
    })
}

/// Rotates the two halves of every head: `x` is `[T, heads · d]`, `cos` and `sin` are `[T, d/2]`.
/// `sign` is 1 forward and -1 for the inverse rotation, which is the gradient.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor, sign: f32) -> Result<Tensor> {
    let width = x.dim(1)?;
    let half = cos.dim(1)?;
    let (xs, cos, sin) = (view(x)?, view(cos)?, view(sin)?);
    let (xs, cos, sin) = (&*xs, &*cos, &*sin);
    map_rows(x, width, |t, out| {
        let (cos, sin) = (&cos[t * half..][..half], &sin[t * half..][..half]);
        let heads = xs[t * width..][..width].chunks_exact(2 * half);
        for (x, out) in heads.zip(out.chunks_exact_mut(2 * half)) {
            for i in 0..half {
                let (c, s) = (cos[i], sin[i] * sign);
                out[i] = x[i] * c - x[i + half] * s;
                out[i + half] = x[i + half] * c + x[i] * s;
            }
        }
    })
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// `silu(gate) · up`.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let n = gate.dim(1)?;
    let (g, u) = (view(gate)?, view(up)?);
    let (g, u) = (&*g, &*u);
    map_rows(gate, n, |r, out| {
        let (g, u) = (&g[r * n..][..n], &u[r * n..][..n]);
        for i in 0..n {
            out[i] = g[i] * sigmoid(g[i]) * u[i];
        }
    })
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
        for j in 0..dg.len() {
            let i = c * MIN_SPLIT + j;
            let s = sigmoid(g[i]);
            du[j] = d[i] * g[i] * s;
            dg[j] = d[i] * u[i] * s * (1.0 + g[i] * (1.0 - s));
        }
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
            .for_each(|(d, s)| d.iter_mut().zip(s).for_each(|(d, s)| *d += s));
        Ok(())
    }
}

/// `x[r, c] · scale[c]`.
pub fn scale_columns(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let (xs, scale) = (view(x)?, view(scale)?);
    let (xs, scale) = (&*xs, &*scale);
    let n = scale.len();
    map_rows(x, n, |r, out| {
        for ((o, x), s) in out.iter_mut().zip(&xs[r * n..]).zip(scale) {
            *o = x * s;
        }
    })
}

/// `Σ_r a[r, c] · b[r, c]` for every column.
pub fn column_dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (rows, n) = a.dims2()?;
    let (av, bv) = (view(a)?, view(b)?);
    let (av, bv) = (&*av, &*bv);
    let mut out = vec![0f32; n];
    let per = rows_per_task(rows).min(n);
    out.par_chunks_mut(per).enumerate().for_each(|(c, out)| {
        for r in 0..rows {
            let at = r * n + c * per;
            for ((o, a), b) in out.iter_mut().zip(&av[at..]).zip(&bv[at..]) {
                *o += a * b;
            }
        }
    });
    Tensor::from_vec(out, n, a.device())
}

/// Constants of one AdamW step; `step` counts from 1.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
    pub step: usize,
}

impl AdamW {
    /// `lr / (1 − β₁ᵗ)` and `1 / √(1 − β₂ᵗ)`, as torch applies them.
    pub fn corrections(&self) -> (f64, f64) {
        let t = self.step as i32;
        let second = (1.0 - self.beta2.powi(t)).sqrt();
        (self.lr / (1.0 - self.beta1.powi(t)), 1.0 / second)
    }
}

/// One AdamW step: parameter, gradient scaled by `g_scale`, first and second moment to the new
/// parameter and moments.
pub fn adamw(
    c: &AdamW,
    p: &Tensor,
    g: &Tensor,
    g_scale: f64,
    m: &Tensor,
    v: &Tensor,
) -> Result<[Tensor; 3]> {
    let n = p.elem_count();
    let (pv, gv, mv, vv) = (view(p)?, view(g)?, view(m)?, view(v)?);
    let (pv, gv, mv, vv) = (&*pv, &*gv, &*mv, &*vv);
    let (step, second) = c.corrections();
    let (step, second) = (step as f32, second as f32);
    let (b1, b2, eps) = (c.beta1 as f32, c.beta2 as f32, c.eps as f32);
    let (decay, g_scale) = ((1.0 - c.lr * c.weight_decay) as f32, g_scale as f32);
    let (mut pn, mut mn, mut vn) = (vec![0f32; n], vec![0f32; n], vec![0f32; n]);
    for i in 0..n {
        let g = gv[i] * g_scale;
        mn[i] = b1 * mv[i] + (1.0 - b1) * g;
        vn[i] = b2 * vv[i] + (1.0 - b2) * g * g;
        pn[i] = pv[i] * decay - step * mn[i] / (vn[i].sqrt() * second + eps);
    }
    let tensor = |x| Tensor::from_vec(x, p.shape(), p.device());
    Ok([tensor(pn)?, tensor(mn)?, tensor(vn)?])
}

/// `Σ x²` in f64.
pub fn sum_of_squares(x: &Tensor) -> Result<f64> {
    Ok(view(x)?.iter().map(|v| f64::from(*v) * f64::from(*v)).sum())
}

/// `dst += scale · a · b`, all two-dimensional; `b` may be a transposed view.
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
        let (m, n) = dl.shape().dims2()?;
        let (am, k) = al.shape().dims2()?;
        let (bk, bn) = bl.shape().dims2()?;
        if (am, bk, bn) != (m, k, n) {
            candle_core::bail!("add-product: {am}x{k} times {bk}x{bn} into {m}x{n}")
        }
        let (CpuStorage::F32(a), CpuStorage::F32(b)) = (a, b) else {
            candle_core::bail!("add-product needs f32 operands")
        };
        let lhs = Matrix::of(a, al);
        let rhs = Matrix::of(b, bl);
        let dst = elements_mut(dst, dl)?;
        let threads = candle_core::utils::get_num_threads();
        let parallelism = gemm::Parallelism::Rayon(threads);
        // SAFETY: shapes were checked above and candle guarantees that a layout stays in its storage.
        unsafe {
            product(
                (m, n, k),
                dst.as_mut_ptr(),
                n,
                true,
                lhs,
                rhs,
                self.scale,
                parallelism,
            )
        };
        Ok(())
    }
}

/// A strided read-only matrix.
#[derive(Clone, Copy)]
pub struct Matrix {
    pub data: *const f32,
    pub row_stride: usize,
    pub col_stride: usize,
}

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

    /// The transposed matrix.
    pub fn t(self) -> Self {
        Self {
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// `dst = [dst +] scale · a · b` with `(m, n, k)`; `dst` is row-major with rows `dst_rs` apart.
///
/// # Safety
/// All three matrices must lie inside live allocations, and nothing else may touch `dst`.
#[allow(clippy::too_many_arguments)] // the signature of a matrix product
pub unsafe fn product(
    (m, n, k): (usize, usize, usize),
    dst: *mut f32,
    dst_rs: usize,
    accumulate: bool,
    a: Matrix,
    b: Matrix,
    scale: f32,
    parallelism: gemm::Parallelism,
) {
    // SAFETY: the caller's.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
            1,
            dst_rs as isize,
            accumulate,
            a.data,
            a.col_stride as isize,
            a.row_stride as isize,
            b.data,
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        )
    }
}

/// Turns rows of logits `[N, vocab]` into gradients in place: `c · (onehot − softmax)`, the gradient
/// of `c · log p(target)`, one target and coefficient a row. Returns log p(target) of every row.
pub fn logit_gradient(
    logits: &mut [f32],
    vocab: usize,
    targets: &[u32],
    coefficients: &[f32],
) -> Vec<f32> {
    let rows = logits
        .par_chunks_mut(vocab)
        .zip(targets.par_iter().zip(coefficients));
    rows.map(|(row, (&target, &c))| {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let at_target = row[target as usize];
        let mut sum = 0f32;
        for v in row.iter_mut() {
            *v = (*v - max).exp();
            sum += *v;
        }
        let scale = -c / sum;
        row.iter_mut().for_each(|v| *v *= scale);
        row[target as usize] += c;
        at_target - max - sum.ln()
    })
    .collect()
}
