//! Segment attention on the CPU: per head, blocks of queries against the keys they see, by strided
//! products that read heads where they lie. Work is split by segments and query heads; each task writes
//! its own rows and columns, so the result does not depend on the thread count.

use super::{Destination, Matrix, map_rows, product, vector, view, wide};
use crate::model::attention::Heads;
use crate::model::batch::{Batch, Segment};
use candle_core::{Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// Queries handled at once: bounds the scratch to `BLOCK` rows of scores and skips the keys that
/// causality hides from the whole block.
const BLOCK: usize = 64;

/// The columns of one head in a row-major matrix.
#[derive(Clone, Copy)]
struct Head<'a> {
    data: &'a [f32],
    /// Elements from one row to the next.
    width: usize,
    column: usize,
    dim: usize,
}

impl Head<'_> {
    /// The head from row `first` on.
    fn from(&self, first: usize) -> Matrix {
        Matrix::rows(&self.data[first * self.width + self.column..], self.width)
    }

    fn row(&self, r: usize) -> &[f32] {
        &self.data[r * self.width + self.column..][..self.dim]
    }
}

/// A block of queries of one segment and the key rows it sees: those that a window hides from all of them are left out.
struct Block {
    /// Rows in the batch.
    rows: Range<usize>,
    /// Columns up to the last that the first query sees, itself.
    first_visible: usize,
    /// Most columns that a query sees.
    window: usize,
    /// The ranges that are not empty, each with its first column in the score block.
    spans: Vec<(Range<usize>, usize)>,
    /// Columns of the score block.
    keys: usize,
}

impl Block {
    fn of(s: &Segment, window: Option<usize>) -> impl Iterator<Item = Block> {
        (0..s.rows.len()).step_by(BLOCK).map(move |first| {
            let end = s.rows.len().min(first + BLOCK);
            let hidden = s.hidden(first, window);
            let (mut spans, mut keys, mut before) = (Vec::new(), 0, 0);
            for range in &s.keys {
                // What of the range lies between the hidden keys and the last one seen.
                let from = hidden.saturating_sub(before).min(range.len());
                let to = s.visible(end - 1).saturating_sub(before).min(range.len());
                before += range.len();
                if from < to {
                    spans.push((range.start + from..range.start + to, keys));
                    keys += to - from;
                }
            }
            Block {
                rows: s.rows.start + first..s.rows.start + end,
                first_visible: s.visible(first) - hidden,
                window: window.unwrap_or(usize::MAX),
                spans,
                keys,
            }
        })
    }

    /// Columns that the block's query `i` sees.
    fn visible(&self, i: usize) -> Range<usize> {
        let end = self.first_visible + i;
        end.saturating_sub(self.window)..end
    }

    fn spans(&self) -> impl Iterator<Item = (Range<usize>, usize)> {
        self.spans.iter().cloned()
    }

    /// `dst[len, keys] = scale · rows · tableᵀ` for the block's rows of `rows`.
    fn scores(&self, dst: &mut Vec<f32>, rows: &Head, table: &Head, scale: f32) {
        let (len, width) = (self.rows.len(), self.keys);
        dst.resize(len * width, 0.0);
        for (range, at) in self.spans() {
            let shape = (len, range.len(), rows.dim);
            let (a, b) = (rows.from(self.rows.start), table.from(range.start).t());
            // SAFETY: columns at .. at + range lie within the rows of `dst`.
            unsafe {
                let dst = Destination::rows(dst, width).column(at);
                product(shape, dst, false, a, b, scale)
            }
        }
    }
}

/// Attention of every query over the keys its segment sees, the last `window` of them; `k` and `v` are the key table. With the
/// log-sum-exp of the scores `[T, heads]`.
pub fn forward(
    [q, k, v]: [&Tensor; 3],
    batch: &Batch,
    window: Option<usize>,
    h: &Heads,
) -> Result<(Tensor, Tensor)> {
    let (t, device) = (batch.len(), q.device());
    batch.check(k.dim(0)?)?;
    check_shapes(t, h, &[q], &[k, v])?;
    let mut out = vec![0f32; t * h.q_width()];
    let mut lse = vec![0f32; t * h.query];
    {
        let (q, k, v) = (view(q)?, view(k)?, view(v)?);
        let (q, k, v) = (&*q, &*k, &*v);
        let out = Destination::rows(&mut out, h.q_width());
        let lse = Destination::rows(&mut lse, h.query);
        let tasks = batch.segments.len() * h.query;
        (0..tasks).into_par_iter().for_each(|task| {
            let (segment, head) = (&batch.segments[task / h.query], task % h.query);
            let (keys, values) = (h.key_columns(k, head), h.key_columns(v, head));
            let queries = h.query_columns(q, head);
            let mut p = Vec::new();
            for b in Block::of(segment, window) {
                b.scores(&mut p, &queries, &keys, h.scale());
                wide(
                    #[inline(always)]
                    || {
                        for (i, row) in p.chunks_exact_mut(b.keys).enumerate() {
                            let log_sum_exp = softmax(row, b.visible(i));
                            // SAFETY: one task a row and head.
                            unsafe { *lse.row(b.rows.start + i).column(head).data = log_sum_exp };
                        }
                    },
                );
                for (range, at) in b.spans() {
                    let shape = (b.rows.len(), h.dim, range.len());
                    let p = Matrix::rows(&p[at..], b.keys);
                    let out = out.row(b.rows.start).column(queries.column);
                    // SAFETY: this task's rows and head columns.
                    unsafe { product(shape, out, at > 0, p, values.from(range.start), 1.0) };
                }
            }
        });
    }
    let out = Tensor::from_vec(out, q.shape(), device)?;
    let lse = Tensor::from_vec(lse, (t, h.query), device)?;
    Ok((out, lse))
}

/// Errors unless queries are `[t, heads · d]` and keys one table of `[keys, kv heads · d]`, `keys ≥ t`
/// where they are the batch's own.
fn check_shapes(t: usize, h: &Heads, queries: &[&Tensor], keys: &[&Tensor]) -> Result<()> {
    let rows = keys[0].dim(0)?;
    let fits = |x: &Tensor, rows, width| x.dims() == [rows, width];
    let good = queries.iter().all(|q| fits(q, t, h.q_width()))
        && keys.iter().all(|k| fits(k, rows, h.kv_width()));
    match good {
        true => Ok(()),
        false => candle_core::bail!("attention operands do not fit {h:?} and {t} rows"),
    }
}

/// Softmax of the scores that are seen, the rest 0; returns their log-sum-exp.
#[inline(always)]
fn softmax(row: &mut [f32], seen: Range<usize>) -> f32 {
    row[..seen.start].fill(0.0);
    let (seen, hidden) = row[seen.start..].split_at_mut(seen.len());
    let max = vector::max(seen);
    vector::exp_shifted(seen, max);
    let sum = vector::sum(seen);
    seen.iter_mut().for_each(|s| *s /= sum);
    hidden.fill(0.0);
    max + sum.ln()
}

/// Gradients towards q, k and v, of what [`forward`] returned; only for a batch whose key table is its own keys.
pub fn backward(
    dout: &Tensor,
    [q, k, v]: [&Tensor; 3],
    [out, lse]: [&Tensor; 2],
    (batch, window): (&Batch, Option<usize>),
    h: &Heads,
) -> Result<[Tensor; 3]> {
    let (t, device) = (batch.len(), q.device());
    batch.check_uncached()?;
    check_shapes(t, h, &[dout, q, out], &[k, v])?;
    let qw = h.q_width();
    let mut dq = vec![0f32; t * qw];
    // Of every query head, before those of a group are summed.
    let (mut dk, mut dv) = (vec![0f32; t * qw], vec![0f32; t * qw]);
    {
        let (dout, q, k, v) = (view(dout)?, view(q)?, view(k)?, view(v)?);
        let (out, lse) = (view(out)?, view(lse)?);
        let (dout, q, k, v, out, lse) = (&*dout, &*q, &*k, &*v, &*out, &*lse);
        let dq = Destination::rows(&mut dq, qw);
        let (dk, dv) = (
            Destination::rows(&mut dk, qw),
            Destination::rows(&mut dv, qw),
        );
        let families = batch.families();
        let tasks = families.len() * h.query;
        (0..tasks).into_par_iter().for_each(|task| {
            let (family, head) = (families[task / h.query].clone(), task % h.query);
            let (keys, values) = (h.key_columns(k, head), h.key_columns(v, head));
            let (queries, dout) = (h.query_columns(q, head), h.query_columns(dout, head));
            let out = h.query_columns(out, head);
            let (mut p, mut ds) = (Vec::new(), Vec::new());
            let segments = batch.segments[family].iter();
            for b in segments.flat_map(|s| Block::of(s, window)) {
                b.scores(&mut p, &queries, &keys, h.scale());
                b.scores(&mut ds, &dout, &values, 1.0);
                let width = b.keys;
                let rows = p.chunks_exact_mut(width).zip(ds.chunks_exact_mut(width));
                wide(
                    #[inline(always)]
                    || {
                        for (i, (p, ds)) in rows.enumerate() {
                            let r = b.rows.start + i;
                            let delta = vector::dot(dout.row(r), out.row(r));
                            let seen = b.visible(i);
                            score_gradient(p, ds, seen, lse[r * h.query + head], delta, h.scale());
                        }
                    },
                );
                let (len, first) = (b.rows.len(), b.rows.start);
                for (range, at) in b.spans() {
                    let (p, ds) = (
                        Matrix::rows(&p[at..], width),
                        Matrix::rows(&ds[at..], width),
                    );
                    let to_queries = (len, h.dim, range.len());
                    let to_keys = (range.len(), h.dim, len);
                    let dq = dq.row(first).column(queries.column);
                    let dk = dk.row(range.start).column(queries.column);
                    let dv = dv.row(range.start).column(queries.column);
                    let (queries, dout) = (queries.from(first), dout.from(first));
                    // SAFETY: this family's rows and this head's columns.
                    unsafe {
                        product(to_queries, dq, at > 0, ds, keys.from(range.start), 1.0);
                        product(to_keys, dk, true, ds.t(), queries, 1.0);
                        product(to_keys, dv, true, p.t(), dout, 1.0);
                    }
                }
            }
        });
    }
    Ok([
        Tensor::from_vec(dq, q.shape(), device)?,
        group_sums(dk, k, h)?,
        group_sums(dv, v, h)?,
    ])
}

/// Sums `[t, query heads · d]` over the query heads of every key/value head, to a tensor like `like`.
fn group_sums(of_queries: Vec<f32>, like: &Tensor, h: &Heads) -> Result<Tensor> {
    let (group, kw) = (h.query / h.key * h.dim, h.kv_width());
    map_rows(
        like,
        kw,
        #[inline(always)]
        |r, out| {
            let heads = of_queries[r * h.q_width()..].chunks_exact(group);
            for (out, heads) in out.chunks_exact_mut(h.dim).zip(heads) {
                for head in heads.chunks_exact(h.dim) {
                    out.iter_mut().zip(head).for_each(|(o, v)| *o += v);
                }
            }
        },
    )
}

/// Turns a row of scores into probabilities and one of their gradients dP into dS = P ∘ (dP − δ) · scale.
#[inline(always)]
fn score_gradient(
    p: &mut [f32],
    dp: &mut [f32],
    seen: Range<usize>,
    lse: f32,
    delta: f32,
    scale: f32,
) {
    for row in [&mut *p, &mut *dp] {
        row[..seen.start].fill(0.0);
        row[seen.end..].fill(0.0);
    }
    let p = &mut p[seen.clone()];
    vector::exp_shifted(p, lse);
    for (dp, p) in dp[seen].iter_mut().zip(&*p) {
        *dp = p * (*dp - delta) * scale;
    }
}

impl Heads {
    fn query_columns<'a>(&self, data: &'a [f32], head: usize) -> Head<'a> {
        self.columns(data, self.q_width(), head)
    }

    /// Of the key/value head that the query head reads.
    fn key_columns<'a>(&self, data: &'a [f32], query_head: usize) -> Head<'a> {
        let head = query_head / (self.query / self.key);
        self.columns(data, self.kv_width(), head)
    }

    fn columns<'a>(&self, data: &'a [f32], width: usize, head: usize) -> Head<'a> {
        Head {
            data,
            width,
            column: head * self.dim,
            dim: self.dim,
        }
    }
}
