//! The operations of the decoder, one by one, on inputs of a few thousand numbers.

use super::Check;
use super::side::Side;
use crate::model::attention::{Heads, Plan};
use crate::model::batch::Batch;
use crate::model::ops::{self, AdamW, Rotary};
use anyhow::Result;
use candle_core::Tensor;

const ROWS: usize = 33;
const WIDTH: usize = 64;
const EPS: f64 = 1e-6;

pub const CHECKS: [Check; 9] = [
    Check {
        name: "product, forward and transposed",
        compute: |s| {
            let (x, w) = (s.random(&[ROWS, WIDTH], 1)?, s.random(&[48, WIDTH], 2)?);
            let y = ops::matmul(s.path, &x, &w.t()?)?;
            let dx = ops::matmul(s.path, &y, &w)?;
            Ok(vec![ops::matmul(s.path, &y.t()?, &x)?, y, dx])
        },
    },
    Check {
        name: "sums in place, scaled columns",
        compute: |s| {
            let x = |seed| s.random(&[ROWS, WIDTH], seed);
            let row = s.random_f32(&[WIDTH], 3)?;
            let y = ops::add(s.path, x(1)?, &x(2)?)?;
            let y = ops::add_row(s.path, y, &row.to_dtype(s.dtype)?)?;
            let scaled = ops::scale_columns(s.path, &y, &row)?;
            let [dx, dot] = ops::scale_columns_backward(s.path, &x(4)?, &y, &row)?;
            let again = ops::scale_columns_in_place(s.path, y, &row)?;
            Ok(vec![scaled, dx, dot, again])
        },
    },
    Check {
        name: "rms norm, forward and backward",
        compute: |s| {
            let (x, dy) = (s.random(&[ROWS, WIDTH], 1)?, s.random(&[ROWS, WIDTH], 2)?);
            let w = s.random_f32(&[WIDTH], 3)?;
            Ok(vec![
                ops::rms_norm(s.path, &x, &w, EPS)?,
                ops::rms_norm_backward(s.path, &dy, &x, &w, EPS)?,
            ])
        },
    },
    Check {
        name: "rotary embedding and its inverse",
        compute: |s| {
            let x = s.random(&[ROWS, WIDTH], 1)?;
            let angle = s.random_f32(&[ROWS, 8], 2)?;
            let (cos, sin) = (angle.cos()?, angle.sin()?);
            let rotary = Rotary { cos, sin };
            Ok(vec![
                ops::rope(s.path, &x, &rotary)?,
                ops::rope_backward(s.path, &x, &rotary)?,
            ])
        },
    },
    Check {
        name: "swiglu, forward and backward",
        compute: |s| {
            let x = |seed| s.random(&[ROWS, WIDTH], seed);
            let (gate, up) = (x(1)?, x(2)?);
            let (d_gate, d_up) = ops::swiglu_backward(s.path, &x(3)?, &gate, &up)?;
            Ok(vec![ops::swiglu(s.path, &gate, &up)?, d_gate, d_up])
        },
    },
    Check {
        name: "attention, forward and backward",
        compute: attention,
    },
    Check {
        name: "log-probabilities",
        compute: |s| {
            let logits = s.random(&[ROWS, 1500], 1)?;
            let targets: Vec<u32> = (0..ROWS as u32).map(|i| i * 41 % 1500).collect();
            let p = ops::log_probability(&logits, &targets)?;
            Ok(vec![Tensor::new(p, &s.device)?])
        },
    },
    Check {
        name: "AdamW step, gradient norm",
        compute: |s| {
            let x = |seed| s.random_f32(&[ROWS, WIDTH], seed);
            let constants = AdamW {
                lr: 1e-2,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.01,
                step: 3,
            };
            let (p, g, m, v) = (x(1)?, x(2)?, x(3)?, x(4)?.sqr()?);
            let norm = ops::norm(s.path, [&p, &g].into_iter())?;
            let norm = Tensor::new(norm as f32, &s.device)?;
            let stepped = ops::adamw(s.path, &constants, &[[&p, &g, &m, &v]], 0.5)?;
            Ok(stepped.into_iter().flatten().chain([norm]).collect())
        },
    },
    Check {
        name: "low-rank sum, row norms",
        compute: |s| {
            let y = s.random(&[ROWS, WIDTH], 1)?;
            let (u, b) = (s.random_f32(&[ROWS, 4], 2)?, s.random_f32(&[WIDTH, 4], 3)?);
            let sum = ops::add_product(s.path, y, &u, &b.t()?, 1.5)?;
            let (squares, wa) = (
                s.random_f32(&[WIDTH], 4)?.sqr()?,
                s.random_f32(&[WIDTH, 4], 5)?,
            );
            let gram = ops::matmul(s.path, &u.t()?, &u)?;
            let norms = ops::row_norms(s.path, &squares, [&wa, &gram, &b], 0.3)?;
            Ok(vec![sum, norms])
        },
    },
];

/// Three segments, one of them the parent of another, with one and with two key heads, and in a window.
fn attention(s: &Side) -> Result<Vec<Tensor>> {
    let mut batch = Batch::default();
    let parent = batch.push_sequence(&[0; 17]);
    batch.push_child(parent, &[0; 5]);
    batch.push_sequence(&[0; 11]);
    let mut results = Vec::new();
    for (key, window) in [(1, None), (2, None), (2, Some(7))] {
        let plan = Plan::new(s.path, &batch, window, false, &s.device)?;
        let heads = Heads {
            query: 4,
            key,
            dim: 16,
        };
        let x = |width, seed| s.random(&[batch.len(), width], seed);
        let (q, dout) = (x(heads.q_width(), 1)?, x(heads.q_width(), 4)?);
        let (k, v) = (x(heads.kv_width(), 2)?, x(heads.kv_width(), 3)?);
        let (out, saved) = plan.forward(&q, &k, &v, &heads)?;
        results.push(out);
        results.extend(plan.backward(&dout, [&q, &k, &v], &saved, &heads)?);
    }
    Ok(results)
}
