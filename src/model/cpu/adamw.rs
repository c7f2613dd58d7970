//! The optimizer step and the gradient norm.

use super::view;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

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

/// See [`crate::model::ops::adamw`].
pub fn adamw(c: &AdamW, parameters: &[[&Tensor; 4]], g_scale: f64) -> Result<Vec<[Tensor; 3]>> {
    parameters.par_iter().map(|p| one(c, *p, g_scale)).collect()
}

fn one(c: &AdamW, [p, g, m, v]: [&Tensor; 4], g_scale: f64) -> Result<[Tensor; 3]> {
    let n = p.elem_count();
    let (pv, gv, mv, vv) = (view(p)?, view(g)?, view(m)?, view(v)?);
    let (pv, gv, mv, vv) = (&pv[..n], &gv[..n], &mv[..n], &vv[..n]);
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

/// `Σ x²` of all tensors in f64, summed in their order whatever the number of threads.
pub fn sum_of_squares(tensors: &[&Tensor]) -> Result<f64> {
    let sum = |x: &&Tensor| -> Result<f64> {
        Ok(view(x)?.iter().map(|v| f64::from(*v) * f64::from(*v)).sum())
    };
    let sums: Vec<f64> = tensors.par_iter().map(sum).collect::<Result<_>>()?;
    Ok(sums.into_iter().sum())
}
