//! The optimizer step and the gradient norm.

use super::view;
use candle_core::{Result, Tensor};

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
