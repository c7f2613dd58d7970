//! The tensor operations of the decoder and their gradients, each with two implementations: the
//! fused f32 CPU kernel, and plain tensor operations that every device has. The portable ones take
//! activations in any float type; norms, rotations, the softmax and the loss are computed in f32.

use super::cpu;
pub use super::cpu::{AdamW, best, likelihoods, view};
use super::grouped;
use super::portable;
use candle_core::{D, DType, Device, Result, Tensor};
use std::ops::Range;

/// Which implementation of the operations runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// f32 kernels for the CPU.
    Fused,
    /// Tensor operations with the operands Metal accepts: contiguous, or an exact transpose.
    Portable,
}

impl Path {
    /// The implementation to use on `device` for activations of `dtype`.
    pub fn of(device: &Device, dtype: DType) -> Self {
        match (device, dtype) {
            (Device::Cpu, DType::F32) => Self::Fused,
            _ => Self::Portable,
        }
    }
}

/// `x · w / rms(x)` over the last dimension.
pub fn rms_norm(path: Path, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    match path {
        Path::Fused => cpu::rms_norm(x, weight, eps),
        Path::Portable => {
            let wide = f32(x)?;
            wide.broadcast_mul(&inverse_rms(&wide, eps)?)?
                .broadcast_mul(weight)?
                .to_dtype(x.dtype())
        }
    }
}

/// `x` in f32.
fn f32(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(DType::F32)
}

fn inverse_rms(x: &Tensor, eps: f64) -> Result<Tensor> {
    (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?.recip()
}

/// Gradient of [`rms_norm`] towards `x`.
pub fn rms_norm_backward(
    path: Path,
    dy: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    match path {
        Path::Fused => cpu::rms_norm_backward(dy, x, weight, eps),
        Path::Portable => {
            let wide = f32(x)?;
            let inv = inverse_rms(&wide, eps)?;
            let g = f32(dy)?.broadcast_mul(weight)?;
            let dot = (&g * &wide)?.mean_keepdim(D::Minus1)?;
            let c = ((dot * inv.sqr()?)? * &inv)?;
            (g.broadcast_mul(&inv)? - wide.broadcast_mul(&c)?)?.to_dtype(x.dtype())
        }
    }
}

/// Cosines and sines of the rotary angles of a batch's positions times the rope's attention factor, `[T, head_dim / 2]` each.
pub struct Rotary {
    pub cos: Tensor,
    pub sin: Tensor,
}

/// Rotary embedding of `x` `[T, heads · head_dim]`: the two halves of each head are rotated.
pub fn rope(path: Path, x: &Tensor, rotary: &Rotary) -> Result<Tensor> {
    rotate(path, x, rotary, 1.0)
}

/// Gradient of [`rope`]: the transposed rotation.
pub fn rope_backward(path: Path, dy: &Tensor, rotary: &Rotary) -> Result<Tensor> {
    rotate(path, dy, rotary, -1.0)
}

fn rotate(path: Path, x: &Tensor, rotary: &Rotary, sign: f32) -> Result<Tensor> {
    match path {
        Path::Fused => cpu::rope(x, &rotary.cos, &rotary.sin, sign),
        Path::Portable => {
            let (t, half) = rotary.cos.dims2()?;
            let x4 = f32(x)?.reshape((t, (), 2 * half))?;
            let (a, b) = (x4.narrow(2, 0, half)?, x4.narrow(2, half, half)?);
            let cos = rotary.cos.unsqueeze(1)?;
            let sin = (rotary.sin.unsqueeze(1)? * f64::from(sign))?;
            let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
            let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
            Tensor::cat(&[first, second], 2)?
                .reshape(x.shape())?
                .to_dtype(x.dtype())
        }
    }
}

/// `silu(gate) · up`.
pub fn swiglu(path: Path, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    match path {
        Path::Fused => cpu::swiglu(gate, up),
        Path::Portable => (f32(gate)?.silu()? * f32(up)?)?.to_dtype(gate.dtype()),
    }
}

/// Gradients of [`swiglu`] towards `gate` and `up`.
pub fn swiglu_backward(
    path: Path,
    dy: &Tensor,
    gate: &Tensor,
    up: &Tensor,
) -> Result<(Tensor, Tensor)> {
    match path {
        Path::Fused => cpu::swiglu_backward(dy, gate, up),
        Path::Portable => {
            let (dtype, dy, gate, up) = (gate.dtype(), f32(dy)?, f32(gate)?, f32(up)?);
            // σ(g) = (1 + tanh(g/2)) / 2 never overflows, which Metal's fast math need not survive.
            let s = (((&gate * 0.5)?.tanh()? * 0.5)? + 0.5)?;
            let silu = (gate * &s)?;
            // d silu = s · (1 + g · (1 − s)) = s + silu − silu · s
            let slope = ((&s + &silu)? - (&silu * &s)?)?;
            let d_gate = ((&dy * up)? * slope)?;
            Ok((d_gate.to_dtype(dtype)?, (dy * silu)?.to_dtype(dtype)?))
        }
    }
}

/// `a + b`; `a` is consumed so that the CPU adds in place.
pub fn add(path: Path, a: Tensor, b: &Tensor) -> Result<Tensor> {
    match path {
        Path::Fused => {
            a.inplace_op2(b, &cpu::AddAssign)?;
            Ok(a)
        }
        Path::Portable => a + b,
    }
}

/// `x[r, c] + bias[c]`; `x` is consumed so that the CPU adds in place.
pub fn add_row(path: Path, x: Tensor, bias: &Tensor) -> Result<Tensor> {
    match path {
        Path::Fused => {
            x.inplace_op2(bias, &cpu::AddRow)?;
            Ok(x)
        }
        Path::Portable => f32(&x)?.broadcast_add(&f32(bias)?)?.to_dtype(x.dtype()),
    }
}

/// `x[r, c] · scale[c]`, with an f32 scale.
pub fn scale_columns(path: Path, x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    match path {
        Path::Fused => cpu::scale_columns(x, scale),
        Path::Portable => f32(x)?.broadcast_mul(scale)?.to_dtype(x.dtype()),
    }
}

/// The same; `x` is consumed so that the CPU scales in place.
pub fn scale_columns_in_place(path: Path, x: Tensor, scale: &Tensor) -> Result<Tensor> {
    match path {
        Path::Fused => {
            x.inplace_op2(scale, &cpu::ScaleColumns)?;
            Ok(x)
        }
        Path::Portable => scale_columns(path, &x, scale),
    }
}

/// What scaled columns leave of a gradient `dy`: `dy[r, c] · scale[c]`, and `Σ_r dy[r, c] · x[r, c]` for every column, in f32.
pub fn scale_columns_backward(
    path: Path,
    dy: &Tensor,
    x: &Tensor,
    scale: &Tensor,
) -> Result<[Tensor; 2]> {
    match path {
        Path::Fused => cpu::scale_columns_backward(dy, x, scale),
        Path::Portable => Ok([
            scale_columns(path, dy, scale)?,
            (f32(dy)? * f32(x)?)?.sum(0)?,
        ]),
    }
}

/// ‖w + s·b·A‖ for every row w of a weight `[out, in]` and b of B `[out, r]`, from ‖w‖² `[out]`, W·Aᵀ `[out, r]`, A·Aᵀ `[r, r]`
/// and B, in f32.
pub fn row_norms(
    path: Path,
    squares: &Tensor,
    [wa, gram, b]: [&Tensor; 3],
    scale: f64,
) -> Result<Tensor> {
    match path {
        Path::Fused => cpu::row_norms(squares, [wa, gram, b], scale),
        Path::Portable => {
            let gram = portable::matmul(b, gram)?;
            let cross = ((wa * (2.0 * scale))? + (gram * (scale * scale))?)?;
            let change = (cross * b)?.sum(D::Minus1)?;
            (squares + change)?.maximum(0f32)?.sqrt()
        }
    }
}

/// One AdamW step of every parameter, each with its gradient, scaled by `g_scale`, and both moments: the new parameters and
/// moments.
pub fn adamw(
    path: Path,
    c: &AdamW,
    parameters: &[[&Tensor; 4]],
    g_scale: f64,
) -> Result<Vec<[Tensor; 3]>> {
    if let Path::Fused = path {
        return cpu::adamw(c, parameters, g_scale);
    }
    let sizes: Vec<usize> = parameters.iter().map(|[p, ..]| p.elem_count()).collect();
    let mut stepped = Vec::with_capacity(parameters.len());
    for group in grouped::groups(&sizes) {
        let group = &parameters[group];
        let flat = |n: usize| grouped::flat(group.iter().map(|all| all[n]));
        let (p, g, m, v) = (flat(0)?, (flat(1)? * g_scale)?, flat(2)?, flat(3)?);
        let (step, second) = c.corrections();
        let m = ((m * c.beta1)? + (&g * (1.0 - c.beta1))?)?;
        let v = ((v * c.beta2)? + (g.sqr()? * (1.0 - c.beta2))?)?;
        let update = ((&m * step)? / ((v.sqrt()? * second)? + c.eps)?)?;
        let p = ((p * (1.0 - c.lr * c.weight_decay))? - update)?;
        let apart = |flat: &Tensor| grouped::apart(flat, group.iter().map(|all| all[0]));
        let (p, m, v) = (apart(&p)?, apart(&m)?, apart(&v)?);
        let all = p.into_iter().zip(m).zip(v);
        stepped.extend(all.map(|((p, m), v)| [p, m, v]));
    }
    Ok(stepped)
}

/// √ of the sum of squares of all elements of `tensors`; one readback.
pub fn norm<'a>(path: Path, tensors: impl Iterator<Item = &'a Tensor>) -> Result<f64> {
    let squares: f64 = match path {
        Path::Fused => cpu::sum_of_squares(&tensors.collect::<Vec<_>>())?,
        Path::Portable => {
            let tensors: Vec<&Tensor> = tensors.collect();
            let sizes: Vec<usize> = tensors.iter().map(|t| t.elem_count()).collect();
            let groups = grouped::groups(&sizes).into_iter();
            let flat = |group: Range<usize>| grouped::flat(tensors[group].iter().copied());
            let sums: Vec<Tensor> = groups
                .map(|group| grouped::squares(&flat(group)?))
                .collect::<Result<_>>()?;
            let sums: Vec<f32> = Tensor::cat(&sums, 0)?.to_vec1()?;
            sums.into_iter().map(f64::from).sum()
        }
    };
    Ok(squares.sqrt())
}

/// `a · b` of matrices; either may be a transposed view.
pub fn matmul(path: Path, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match path {
        Path::Fused => cpu::matmul(a, b),
        Path::Portable => portable::matmul(a, b),
    }
}

/// `y + scale · a · b`; `y` is consumed so that the CPU adds in place. The product may be of another
/// type than `y`.
pub fn add_product(path: Path, y: Tensor, a: &Tensor, b: &Tensor, scale: f64) -> Result<Tensor> {
    match path {
        Path::Fused => {
            let scale = scale as f32;
            y.inplace_op3(a, b, &cpu::AddProduct { scale })?;
            Ok(y)
        }
        Path::Portable => {
            let product = (portable::matmul(a, b)? * scale)?;
            let dtype = y.dtype();
            (f32(&y)? + f32(&product)?)?.to_dtype(dtype)
        }
    }
}

/// What scale · B·A·x leaves of the gradient `dy` `[T, out]`, given `x` `[T, in]` and `u` = x·Aᵀ `[T, r]`: dy·B `[T, r]`, and the
/// gradients towards A and B. All in f32.
pub fn low_rank_gradient(
    path: Path,
    dy: &Tensor,
    [x, u]: [&Tensor; 2],
    b: &Tensor,
    scale: f64,
) -> Result<[Tensor; 3]> {
    match path {
        Path::Fused => cpu::low_rank_gradient(dy, x, u, b, scale),
        Path::Portable => {
            let du = portable::matmul(dy, b)?;
            let da = (portable::matmul(&du.t()?, x)? * scale)?;
            let db = (portable::matmul(&dy.t()?, u)? * scale)?;
            Ok([du, da, db])
        }
    }
}

/// Low-rank changes of the rows of a product Wx; see [`low_rank_rows`]. The factors of all of them lie one behind the other, so that
/// memory reads them as one.
pub struct LowRank<'a> {
    /// A `[Σ r, in]`
    pub a: &'a Tensor,
    /// B turned, `[Σ r, out]`, its columns times the gain.
    pub b: &'a Tensor,
    /// Ordered by their rows; those of the same rows follow each other, and no others overlap.
    pub changes: Vec<Change<'a>>,
}

/// A change of some rows.
pub struct Change<'a> {
    pub rows: Range<usize>,
    /// Its rows of A and B.
    pub ranks: Range<usize>,
    /// What multiplies Wx `[out]`; nothing is 1.
    pub gain: Option<&'a Tensor>,
    /// Factor of B·A·x.
    pub scale: f64,
    /// Factor of the whole change.
    pub weight: f64,
}

/// Adds to the rows of `wx` `[T, out]` their changes, weight · ((gain − 1) ∘ Wx + scale · B·A·x), every one of Wx as it came.
/// `wx` is consumed so that the CPU changes it in place.
pub fn low_rank_rows(path: Path, wx: Tensor, x: &Tensor, of: &LowRank) -> Result<Tensor> {
    if let Path::Fused = path {
        wx.inplace_op2(x, &cpu::LowRankRows(of))?;
        return Ok(wx);
    }
    let (mut parts, mut next) = (Vec::new(), 0);
    for changes in of.changes.chunk_by(|a, b| a.rows == b.rows) {
        let rows = changes[0].rows.clone();
        if rows.start > next {
            parts.push(wx.narrow(0, next, rows.start - next)?);
        }
        next = rows.end;
        let came = f32(&wx.narrow(0, rows.start, rows.len())?)?;
        let x = f32(&x.narrow(0, rows.start, rows.len())?)?;
        let mut changed = came.clone();
        for c in changes {
            let part = |of: &Tensor| of.narrow(0, c.ranks.start, c.ranks.len());
            let u = portable::matmul(&x, &part(of.a)?.t()?)?;
            let product = (portable::matmul(&u, &part(of.b)?)? * c.scale)?;
            let change = match c.gain {
                None => product,
                Some(gain) => (product + (came.broadcast_mul(gain)? - &came)?)?,
            };
            changed = (changed + (change * c.weight)?)?;
        }
        parts.push(changed.to_dtype(wx.dtype())?);
    }
    let rows = wx.dim(0)?;
    if next < rows {
        parts.push(wx.narrow(0, next, rows - next)?);
    }
    Tensor::cat(&parts, 0)
}

/// Log-probability of one target a row of `logits` `[N, vocab]`, and the gradient of
/// Σ coefficient · log p towards the logits, in f32.
pub fn log_probability_gradient(
    logits: &Tensor,
    targets: &[u32],
    coefficients: &[f32],
) -> Result<(Tensor, Tensor)> {
    let n = logits.dim(0)?;
    let device = logits.device();
    let logits = f32(logits)?;
    let targets = Tensor::from_slice(targets, (n, 1), device)?;
    let (log_p, exp, sum) = log_softmax_at(&logits, &targets)?;
    let c = Tensor::from_slice(coefficients, (n, 1), device)?;
    let softmax = exp.broadcast_mul(&(c.neg()? / sum)?)?;
    softmax.scatter_add_set(&targets, &c, 1)?;
    Ok((log_p, softmax))
}

/// Log-probability of one target a row of `logits` `[N, vocab]`.
pub fn log_probability(logits: &Tensor, targets: &[u32]) -> Result<Vec<f32>> {
    let targets = Tensor::from_slice(targets, (targets.len(), 1), logits.device())?;
    log_softmax_at(&f32(logits)?, &targets)?.0.to_vec1()
}

/// log p at `targets` `[N]`, and what it is made of: e^(logit − max) `[N, vocab]` and its sum `[N, 1]`.
fn log_softmax_at(logits: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    let max = logits.max_keepdim(1)?;
    let exp = logits.broadcast_sub(&max)?.exp()?;
    let sum = exp.sum_keepdim(1)?;
    let at_target = portable::gather(logits, targets, 1)?;
    let log_p = ((at_target - max)? - sum.log()?)?.squeeze(1)?;
    Ok((log_p, exp, sum))
}
