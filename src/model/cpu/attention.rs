//! Segment attention on the CPU: per head, blocks of queries against the keys they see, by strided
//! products that read heads where they lie. Work is split by family of segments and key/value head;
//! each task writes its own rows and columns, so the result does not depend on the thread count.

use super::{Matrix, product, view};
use crate::model::attention::{Heads, Saved};
use crate::model::batch::{Batch, Segment};
use candle_core::{Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// Queries handled at once: bounds the scratch to `BLOCK` rows of scores and skips the keys that
/// causality hides from the whole block.
const BLOCK: usize = 64;

/// A pointer into an output that tasks fill at disjoint places.
#[derive(Clone, Copy)]
struct Output(*mut f32);

// SAFETY: every task writes only the rows of its family and the columns of its head.
unsafe impl Send for Output {}
unsafe impl Sync for Output {}

impl Output {
    fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: callers index rows and columns of the tensor the pointer was made for.
        unsafe { self.0.add(offset) }
    }
}

/// A block of queries of one segment and the key rows it sees.
struct Block {
    /// First row in the batch, and how many.
    row: usize,
    len: usize,
    /// Offset of the first query in its segment.
    first: usize,
    prefix: Range<usize>,
    own: Range<usize>,
}

impl Block {
    fn of(s: &Segment) -> impl Iterator<Item = Block> {
        (0..s.rows.len()).step_by(BLOCK).map(|first| {
            let len = BLOCK.min(s.rows.len() - first);
            Block {
                row: s.rows.start + first,
                len,
                first,
                prefix: s.prefix.clone(),
                own: s.own_keys..s.own_keys + s.own_visible(first + len - 1),
            }
        })
    }

    fn keys(&self) -> usize {
        self.prefix.len() + self.own.len()
    }

    /// The two key ranges with their column in the score block.
    fn spans(&self) -> [(Range<usize>, usize); 2] {
        [
            (self.prefix.clone(), 0),
            (self.own.clone(), self.prefix.len()),
        ]
    }

    /// Columns of the score block that query `i` sees.
    fn visible(&self, i: usize, past: usize) -> usize {
        self.prefix.len() + past + self.first + i + 1
    }
}

/// `dst[len, keys] = scale · rows · keysᵀ` for the block's queries (or output gradients) and the
/// key (or value) table.
fn scores(
    b: &Block,
    dst: &mut [f32],
    rows: Matrix,
    table: &[f32],
    column: usize,
    h: &Heads,
    scale: f32,
) {
    let width = b.keys();
    for (range, at) in b.spans() {
        if range.is_empty() {
            continue;
        }
        let keys = Matrix::rows(&table[range.start * h.kv_width() + column..], h.kv_width());
        // SAFETY: `dst` holds len × keys scores and `at + range` columns lie within a row.
        unsafe {
            product(
                (b.len, range.len(), h.dim),
                dst.as_mut_ptr().add(at),
                width,
                false,
                rows,
                keys.t(),
                scale,
                gemm::Parallelism::None,
            )
        }
    }
}

/// Attention of every query over the keys its segment sees; `k` and `v` are the key table.
pub fn forward(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    batch: &Batch,
    h: &Heads,
) -> Result<(Tensor, Saved)> {
    let (t, device) = (batch.len(), q.device());
    let mut out = vec![0f32; t * h.q_width()];
    let mut lse = vec![0f32; t * h.query];
    {
        let (q, k, v) = (view(q)?, view(k)?, view(v)?);
        let (q, k, v) = (&*q, &*k, &*v);
        let (out_p, lse_p) = (Output(out.as_mut_ptr()), Output(lse.as_mut_ptr()));
        let tasks = batch.segments.len() * h.key;
        (0..tasks).into_par_iter().for_each(|task| {
            let (segment, kv_head) = (&batch.segments[task / h.key], task % h.key);
            let mut p = Vec::new();
            for b in Block::of(segment) {
                let width = b.keys();
                p.resize(b.len * width, 0.0);
                for head in h.queries_of(kv_head) {
                    let queries =
                        Matrix::rows(&q[b.row * h.q_width() + head * h.dim..], h.q_width());
                    scores(&b, &mut p, queries, k, kv_head * h.dim, h, h.scale());
                    for (i, row) in p.chunks_exact_mut(width).enumerate() {
                        let (seen, hidden) = row.split_at_mut(b.visible(i, segment.past));
                        let max = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                        let mut sum = 0f32;
                        for s in seen.iter_mut() {
                            *s = (*s - max).exp();
                            sum += *s;
                        }
                        seen.iter_mut().for_each(|s| *s /= sum);
                        hidden.fill(0.0);
                        // SAFETY: one task a row and head.
                        unsafe { *lse_p.at((b.row + i) * h.query + head) = max + sum.ln() };
                    }
                    for (n, (range, at)) in b.spans().into_iter().enumerate() {
                        if range.is_empty() {
                            continue;
                        }
                        let values = Matrix::rows(
                            &v[range.start * h.kv_width() + kv_head * h.dim..],
                            h.kv_width(),
                        );
                        let accumulate = n == 1 && !b.prefix.is_empty();
                        // SAFETY: this task's rows and head columns of `out`.
                        unsafe {
                            product(
                                (b.len, h.dim, range.len()),
                                out_p.at(b.row * h.q_width() + head * h.dim),
                                h.q_width(),
                                accumulate,
                                Matrix::rows(&p[at..], width),
                                values,
                                1.0,
                                gemm::Parallelism::None,
                            )
                        }
                    }
                }
            }
        });
    }
    let out = Tensor::from_vec(out, q.shape(), device)?;
    let softmax = Tensor::from_vec(lse, (t, h.query), device)?;
    Ok((out.clone(), Saved { out, softmax }))
}

/// Gradients towards q, k and v; only for a batch whose key table is its own keys.
pub fn backward(
    dout: &Tensor,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    saved: &Saved,
    batch: &Batch,
    h: &Heads,
) -> Result<(Tensor, Tensor, Tensor)> {
    let (t, device) = (batch.len(), q.device());
    let (qw, kw) = (h.q_width(), h.kv_width());
    let mut dq = vec![0f32; t * qw];
    let (mut dk, mut dv) = (vec![0f32; t * kw], vec![0f32; t * kw]);
    {
        let (dout, q, k, v) = (view(dout)?, view(q)?, view(k)?, view(v)?);
        let (out, lse) = (view(&saved.out)?, view(&saved.softmax)?);
        let (dout, q, k, v, out, lse) = (&*dout, &*q, &*k, &*v, &*out, &*lse);
        let dq = Output(dq.as_mut_ptr());
        let (dk, dv) = (Output(dk.as_mut_ptr()), Output(dv.as_mut_ptr()));
        let families = batch.families();
        (0..families.len() * h.key)
            .into_par_iter()
            .for_each(|task| {
                let (family, kv_head) = (families[task / h.key].clone(), task % h.key);
                let column = kv_head * h.dim;
                let (mut p, mut dp) = (Vec::new(), Vec::new());
                for segment in &batch.segments[family] {
                    for b in Block::of(segment) {
                        let width = b.keys();
                        p.resize(b.len * width, 0.0);
                        dp.resize(b.len * width, 0.0);
                        for head in h.queries_of(kv_head) {
                            let at_q = b.row * qw + head * h.dim;
                            let queries = Matrix::rows(&q[at_q..], qw);
                            let dout_rows = Matrix::rows(&dout[at_q..], qw);
                            scores(&b, &mut p, queries, k, column, h, h.scale());
                            scores(&b, &mut dp, dout_rows, v, column, h, 1.0);
                            for i in 0..b.len {
                                let at = (b.row + i) * qw + head * h.dim;
                                let delta: f32 = (at..at + h.dim).map(|j| dout[j] * out[j]).sum();
                                let lse = lse[(b.row + i) * h.query + head];
                                let seen = b.visible(i, segment.past);
                                let (p, dp) =
                                    (&mut p[i * width..][..width], &mut dp[i * width..][..width]);
                                for j in 0..seen {
                                    p[j] = (p[j] - lse).exp();
                                    dp[j] = p[j] * (dp[j] - delta) * h.scale();
                                }
                                p[seen..].fill(0.0);
                                dp[seen..].fill(0.0);
                            }
                            for (n, (range, at)) in b.spans().into_iter().enumerate() {
                                if range.is_empty() {
                                    continue;
                                }
                                let keys = Matrix::rows(&k[range.start * kw + column..], kw);
                                let (p, ds) = (
                                    Matrix::rows(&p[at..], width),
                                    Matrix::rows(&dp[at..], width),
                                );
                                let accumulate = n == 1 && !b.prefix.is_empty();
                                let to_keys = (range.len(), h.dim, b.len);
                                let at_k = range.start * kw + column;
                                let one = gemm::Parallelism::None;
                                // SAFETY: this family's rows and this head's columns of dq, dk and dv.
                                unsafe {
                                    product(
                                        (b.len, h.dim, range.len()),
                                        dq.at(at_q),
                                        qw,
                                        accumulate,
                                        ds,
                                        keys,
                                        1.0,
                                        one,
                                    );
                                    product(
                                        to_keys,
                                        dk.at(at_k),
                                        kw,
                                        true,
                                        ds.t(),
                                        queries,
                                        1.0,
                                        one,
                                    );
                                    product(
                                        to_keys,
                                        dv.at(at_k),
                                        kw,
                                        true,
                                        p.t(),
                                        dout_rows,
                                        1.0,
                                        one,
                                    );
                                }
                            }
                        }
                    }
                }
            });
    }
    Ok((
        Tensor::from_vec(dq, q.shape(), device)?,
        Tensor::from_vec(dk, k.shape(), device)?,
        Tensor::from_vec(dv, v.shape(), device)?,
    ))
}
