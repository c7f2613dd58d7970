//! Attention over a cache's blocks. What a query gets depends on its own keys alone, bit for bit: not on the other queries of the
//! batch, nor on which blocks its keys lie in, nor on how its prompt was cut. Each score is one chain of sums along the head, each
//! output one along the keys.
//!
//! A block's keys lie `[kv heads, d, BLOCK]`, so that a vector holds one dimension of neighbouring keys, and its values
//! `[kv heads, BLOCK, d]`.

use super::{Destination, elements, elements_mut, fetch, vector, view};
use crate::model::attention::Heads;
use crate::model::batch::{BLOCK, Batch, Segment};
use candle_core::cpu_backend::CpuStorage;
use candle_core::{InplaceOp2, Layout, Result, Tensor, bail};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::array::from_fn;
use std::ops::Range;

/// Queries of a task: enough of them for many threads to have work on one long prompt.
const QUERIES: usize = 16;
/// Query heads computed at once, which share what is read of keys and values: as many sums as there are registers for.
const ROWS: usize = 6;

/// Writes the keys or the values of a batch into a table, each behind its segment's past.
pub struct Store<'a> {
    pub batch: &'a Batch,
    /// Width of a head.
    pub head: usize,
    /// Whether they are keys, a token's elements apart, or values.
    pub keys: bool,
}

impl InplaceOp2 for Store<'_> {
    fn name(&self) -> &'static str {
        "store-in-blocks"
    }

    fn cpu_fwd(
        &self,
        table: &mut CpuStorage,
        tl: &Layout,
        x: &CpuStorage,
        xl: &Layout,
    ) -> Result<()> {
        let ((blocks, size), (rows, width)) = (tl.shape().dims2()?, xl.shape().dims2()?);
        self.batch.check(blocks * BLOCK)?;
        if size != width * BLOCK || rows != self.batch.len() {
            bail!("{rows} rows of {width} do not fit blocks of {size}")
        }
        let (table, x) = (elements_mut(table, tl)?, elements(x, xl)?);
        let places = self.batch.segments.iter().flat_map(|s| s.own_keys());
        for (place, x) in places.zip(x.chunks_exact(width)) {
            let block = &mut table[place / BLOCK * size..][..size];
            let at = place % BLOCK;
            match self.keys {
                true => {
                    let dimensions = block.chunks_exact_mut(BLOCK).zip(x);
                    dimensions.for_each(|(tokens, x)| tokens[at] = *x);
                }
                false => {
                    let head = self.head;
                    let heads = block
                        .chunks_exact_mut(BLOCK * head)
                        .zip(x.chunks_exact(head));
                    heads.for_each(|(tokens, x)| tokens[at * head..][..head].copy_from_slice(x));
                }
            }
        }
        Ok(())
    }
}

/// The attention of a batch.
pub struct Paged<'a> {
    batch: &'a Batch,
    /// A query sees no more than the last so many keys.
    window: Option<usize>,
    /// Of each segment, in the order of positions.
    blocks: Vec<Vec<usize>>,
    /// Segments and some of their queries.
    parts: Vec<(usize, Range<usize>)>,
}

impl<'a> Paged<'a> {
    /// Errors where a segment's keys are not whole blocks but for the last.
    pub fn new(batch: &'a Batch, window: Option<usize>) -> Result<Self> {
        let blocks = batch.segments.iter().map(blocks).collect::<Result<_>>()?;
        let mut parts = Vec::new();
        for (i, s) in batch.segments.iter().enumerate() {
            for first in (0..s.rows.len()).step_by(QUERIES) {
                parts.push((i, first..s.rows.len().min(first + QUERIES)));
            }
        }
        Ok(Self {
            batch,
            window,
            blocks,
            parts,
        })
    }

    /// The output `[T, heads · d]` over a layer's tables.
    pub fn forward(&self, [q, k, v]: [&Tensor; 3], h: &Heads) -> Result<Tensor> {
        let (rows, size) = (self.batch.len(), h.kv_width() * BLOCK);
        let blocks = k.dim(0)?;
        self.batch.check(blocks * BLOCK)?;
        let table = [blocks, size];
        if q.dims() != [rows, h.q_width()] || k.dims() != table || v.dims() != table {
            bail!("attention operands do not fit {h:?}, {rows} rows and {blocks} blocks")
        }
        let mut out = vec![0f32; rows * h.q_width()];
        {
            let (q, k, v) = (view(q)?, view(k)?, view(v)?);
            let (q, k, v) = (&*q, &*k, &*v);
            let out = Destination::rows(&mut out, h.q_width());
            let tasks = self.parts.len() * h.key;
            (0..tasks).into_par_iter().for_each(|task| {
                let (segment, queries) = self.parts[task / h.key].clone();
                let task = Task {
                    heads: h,
                    head: task % h.key,
                    segment: &self.batch.segments[segment],
                    queries,
                    blocks: &self.blocks[segment],
                    window: self.window,
                    q,
                    k,
                    v,
                    out,
                };
                pulp::Arch::new().dispatch(task)
            });
        }
        Tensor::from_vec(out, q.shape(), q.device())
    }
}

/// The blocks that a segment's keys lie in.
fn blocks(s: &Segment) -> Result<Vec<usize>> {
    let mut blocks = Vec::new();
    for (i, range) in s.keys.iter().enumerate() {
        let last = i + 1 == s.keys.len();
        if range.start % BLOCK != 0 || !(last || range.len() % BLOCK == 0) {
            bail!("segment {s:?} is not in blocks of {BLOCK}")
        }
        blocks.extend(range.start / BLOCK..range.end.div_ceil(BLOCK));
    }
    Ok(blocks)
}

/// Some queries of a segment, their heads that read one key/value head.
struct Task<'a> {
    heads: &'a Heads,
    /// Key/value head.
    head: usize,
    segment: &'a Segment,
    queries: Range<usize>,
    blocks: &'a [usize],
    window: Option<usize>,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    out: Destination,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.queries.len() * self.group();
        let mut scratch = Vec::new();
        for first in (0..rows).step_by(ROWS) {
            match rows - first {
                1 => self.tile::<S, 1>(simd, first, &mut scratch),
                2 => self.tile::<S, 2>(simd, first, &mut scratch),
                3 => self.tile::<S, 3>(simd, first, &mut scratch),
                4 => self.tile::<S, 4>(simd, first, &mut scratch),
                5 => self.tile::<S, 5>(simd, first, &mut scratch),
                _ => self.tile::<S, ROWS>(simd, first, &mut scratch),
            }
        }
    }
}

impl Task<'_> {
    /// Query heads of the key/value head.
    fn group(&self) -> usize {
        self.heads.query / self.heads.key
    }

    /// Of row `i` of the task, one head of one query: its row and first column in `q`, and the keys it sees.
    #[inline(always)]
    fn row(&self, i: usize) -> (usize, usize, Range<usize>) {
        let (query, head) = (self.queries.start + i / self.group(), i % self.group());
        let seen = self.segment.hidden(query, self.window)..self.segment.visible(query);
        let column = (self.head * self.group() + head) * self.heads.dim;
        (self.segment.rows.start + query, column, seen)
    }

    /// The head's part of a table's `i`-th block of the segment.
    #[inline(always)]
    fn block<'t>(&self, table: &'t [f32], i: usize) -> &'t [f32] {
        let size = self.heads.dim * BLOCK;
        &table[(self.blocks[i] * self.heads.key + self.head) * size..][..size]
    }

    /// The output of `R` rows from `first` on.
    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&self, simd: S, first: usize, scratch: &mut Vec<f32>) {
        let (dim, width) = (self.heads.dim, self.heads.q_width());
        let rows: [_; R] = from_fn(|r| self.row(first + r));
        let seen = rows.each_ref().map(|(.., seen)| seen.clone());
        let start = seen.iter().map(|seen| seen.start).min().unwrap_or(0) / BLOCK;
        let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        let seen_blocks = start..end.div_ceil(BLOCK);
        // With a block more, for softmax.
        let row_length = (seen_blocks.len() + 1) * BLOCK;
        scratch.resize(R * row_length, 0.0);
        let mut weights = scratch.chunks_exact_mut(row_length);
        let mut weights: [&mut [f32]; R] = from_fn(|_| weights.next().unwrap_or_default());

        let queries = rows
            .each_ref()
            .map(|(row, column, _)| &self.q[row * width + column..][..dim]);
        let scale = self.heads.scale();
        let queries = (0..dim).map(|i| queries.map(|query| query[i] * scale));
        let queries: Vec<[f32; R]> = queries.collect();
        let mut at = 0;
        while at < seen_blocks.len() {
            let keys = |i: usize| {
                let block = seen_blocks.start + at + i;
                // While the task's first scores are computed, memory reads the values.
                if first == 0 {
                    fetch(self.block(self.v, block));
                }
                self.block(self.k, block)
            };
            let to = weights.each_mut().map(|row| &mut row[at * BLOCK..]);
            // As many sums at once as keep both of a core's units busy.
            at += match (R, seen_blocks.len() - at) {
                (..=3, 4..) => scores::<S, R, 4>(simd, &queries, from_fn(keys), to),
                (_, 2..) => scores::<S, R, 2>(simd, &queries, from_fn(keys), to),
                _ => scores::<S, R, 1>(simd, &queries, from_fn(keys), to),
            };
        }
        for (row, seen) in weights.iter_mut().zip(&seen) {
            softmax(&mut row[seen.start - start * BLOCK..], seen.len());
        }
        let mut out = rows.each_ref().map(|(row, column, _)| {
            // SAFETY: one task a row and head.
            unsafe { self.out.row(*row).column(*column).slice(dim) }
        });
        for (at, block) in seen_blocks.enumerate() {
            let first = block * BLOCK;
            let part = |seen: &Range<usize>| {
                let within = |key: usize| key.clamp(first, first + BLOCK) - first;
                within(seen.start)..within(seen.end)
            };
            let parts = seen.each_ref().map(part);
            let block = self.block(self.v, block);
            let row = |r: usize, part: &Range<usize>| &weights[r][at * BLOCK..][part.clone()];
            let tokens = |part: &Range<usize>| &block[part.start * dim..part.end * dim];
            if parts.iter().all(|part| *part == parts[0]) {
                add(
                    simd,
                    from_fn(|r| row(r, &parts[0])),
                    tokens(&parts[0]),
                    &mut out,
                );
                continue;
            }
            for (r, part) in parts.iter().enumerate() {
                add(simd, [row(r, part)], tokens(part), &mut [&mut *out[r]]);
            }
        }
    }
}

/// The scores of the keys of `N` blocks, for every row; returns `N`.
#[inline(always)]
fn scores<S: Simd, const R: usize, const N: usize>(
    simd: S,
    queries: &[[f32; R]],
    keys: [&[f32]; N],
    mut to: [&mut [f32]; R],
) -> usize {
    for part in 0..BLOCK / S::F32_LANES {
        let mut sums = [[simd.splat_f32s(0.0); R]; N];
        for (i, query) in queries.iter().enumerate() {
            // No `map`, whose closure a compiler may leave in a function of its own, without wide vectors.
            let mut splat = [simd.splat_f32s(0.0); R];
            for (splat, query) in splat.iter_mut().zip(query) {
                *splat = simd.splat_f32s(*query);
            }
            for (sums, keys) in sums.iter_mut().zip(&keys) {
                let keys = S::as_simd_f32s(&keys[i * BLOCK..][..BLOCK]).0[part];
                for (sum, query) in sums.iter_mut().zip(&splat) {
                    *sum = simd.mul_add_e_f32s(*query, keys, *sum);
                }
            }
        }
        for (block, sums) in sums.iter().enumerate() {
            for (to, sum) in to.iter_mut().zip(sums) {
                S::as_mut_simd_f32s(&mut to[block * BLOCK..][..BLOCK]).0[part] = *sum;
            }
        }
    }
    N
}

/// Of the first `seen` scores. What is behind them up to whole vectors is overwritten.
#[inline(always)]
fn softmax(row: &mut [f32], seen: usize) {
    let row = &mut row[..seen.next_multiple_of(BLOCK)];
    row[seen..].fill(f32::NEG_INFINITY);
    vector::exp_shifted(row, vector::max(row));
    let sum = vector::sum(row);
    row.iter_mut().for_each(|s| *s /= sum);
}

/// Adds to each row of `out` the values of some tokens, one behind the other, times their weights.
#[inline(always)]
fn add<S: Simd, const R: usize>(
    simd: S,
    weights: [&[f32]; R],
    values: &[f32],
    out: &mut [&mut [f32]; R],
) {
    let (dim, tokens) = (out[0].len(), weights[0].len());
    let weights = weights.map(|row| &row[..tokens]);
    let (mut at, vectors) = (0, dim / S::F32_LANES);
    while at < vectors {
        at += match (R, vectors - at) {
            (..=3, 4..) => add_vectors::<S, R, 4>(simd, &weights, values, at, out),
            (_, 2..) => add_vectors::<S, R, 2>(simd, &weights, values, at, out),
            _ => add_vectors::<S, R, 1>(simd, &weights, values, at, out),
        };
    }
    for i in dim / S::F32_LANES * S::F32_LANES..dim {
        for (row, weights) in out.iter_mut().zip(&weights) {
            let values = values.iter().skip(i).step_by(dim);
            let sum = weights
                .iter()
                .zip(values)
                .fold(row[i], |sum, (w, v)| sum + w * v);
            row[i] = sum;
        }
    }
}

/// [`add`] of `N` vectors of each row, from the `at`-th on; returns `N`.
#[inline(always)]
fn add_vectors<S: Simd, const R: usize, const N: usize>(
    simd: S,
    weights: &[&[f32]; R],
    values: &[f32],
    at: usize,
    out: &mut [&mut [f32]; R],
) -> usize {
    let dim = out[0].len();
    let mut sums = [[simd.splat_f32s(0.0); N]; R];
    for (sums, row) in sums.iter_mut().zip(out.iter()) {
        sums.copy_from_slice(&S::as_simd_f32s(row).0[at..][..N]);
    }
    for (token, values) in values.chunks_exact(dim).enumerate() {
        let values = &S::as_simd_f32s(values).0[at..][..N];
        for (sums, row) in sums.iter_mut().zip(weights) {
            let weight = simd.splat_f32s(row[token]);
            for (sum, values) in sums.iter_mut().zip(values) {
                *sum = simd.mul_add_e_f32s(weight, *values, *sum);
            }
        }
    }
    for (row, sums) in out.iter_mut().zip(sums) {
        S::as_mut_simd_f32s(row).0[at..][..N].copy_from_slice(&sums);
    }
    N
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    /// Queries, keys and values of one sequence.
    struct Sequence {
        heads: Heads,
        q: Tensor,
        k: Tensor,
        v: Tensor,
    }

    const LENGTH: usize = 53;

    impl Sequence {
        fn new(query: usize, key: usize, dim: usize) -> Self {
            let mut rng = StdRng::seed_from_u64(1);
            let mut random = |heads: usize| {
                let values = (0..LENGTH * heads * dim).map(|_| rng.random_range(-2f32..2.0));
                let shape = (LENGTH, heads * dim);
                Tensor::from_vec(values.collect(), shape, &Device::Cpu).unwrap()
            };
            let (q, k, v) = (random(query), random(key), random(key));
            let heads = Heads { query, key, dim };
            Self { heads, q, k, v }
        }

        /// The output, computed in `pieces` with the keys in `blocks` of a table that is full of what is no number; beside another
        /// sequence where `beside`.
        fn out(
            &self,
            pieces: &[usize],
            blocks: &[usize],
            window: Option<usize>,
            beside: bool,
        ) -> Vec<f32> {
            let size = self.heads.kv_width() * BLOCK;
            let table = || {
                let nothing = vec![f32::NAN; 9 * size];
                Tensor::from_vec(nothing, (9, size), &Device::Cpu).unwrap()
            };
            let (keys, values) = (table(), table());
            let (mut past, mut out) = (0, Vec::new());
            for &piece in pieces {
                let mut batch = Batch::default();
                let parts = |x: &Tensor| {
                    let part = x.narrow(0, past, piece).unwrap();
                    let other = x.narrow(0, 0, 7).unwrap();
                    let all = if beside {
                        vec![other, part]
                    } else {
                        vec![part]
                    };
                    Tensor::cat(&all, 0).unwrap()
                };
                if beside {
                    batch.push_cached(&[0; 7], &[8], 0);
                }
                let own = batch.push_cached(&vec![0; piece], blocks, past);
                let head = self.heads.dim;
                for (table, x, key) in [(&keys, &self.k, true), (&values, &self.v, false)] {
                    let store = Store {
                        batch: &batch,
                        head,
                        keys: key,
                    };
                    table.inplace_op2(&parts(x), &store).unwrap();
                }
                let paged = Paged::new(&batch, window).unwrap();
                let all = paged
                    .forward([&parts(&self.q), &keys, &values], &self.heads)
                    .unwrap();
                let rows = &batch.segments[own].rows;
                let all = all.narrow(0, rows.start, rows.len()).unwrap();
                out.extend(all.flatten_all().unwrap().to_vec1::<f32>().unwrap());
                past += piece;
            }
            out
        }

        /// The same in f64.
        fn exact(&self, window: Option<usize>) -> Vec<f64> {
            let rows = |x: &Tensor| -> Vec<Vec<f64>> {
                x.to_dtype(candle_core::DType::F64)
                    .unwrap()
                    .to_vec2()
                    .unwrap()
            };
            let (q, k, v) = (rows(&self.q), rows(&self.k), rows(&self.v));
            let Heads { query, key, dim } = self.heads;
            let mut out = Vec::new();
            for (i, q) in q.iter().enumerate() {
                let seen = (i + 1).saturating_sub(window.unwrap_or(LENGTH))..i + 1;
                for head in 0..query {
                    let (own, read) = (head * dim, head / (query / key) * dim);
                    let weight = |j: usize| {
                        let products = (0..dim).map(|d| q[own + d] * k[j][read + d]);
                        (products.sum::<f64>() / (dim as f64).sqrt()).exp()
                    };
                    let weights: Vec<f64> = seen.clone().map(weight).collect();
                    let sum: f64 = weights.iter().sum();
                    for d in 0..dim {
                        let values = seen.clone().zip(&weights).map(|(j, w)| w * v[j][read + d]);
                        out.push(values.sum::<f64>() / sum);
                    }
                }
            }
            out
        }
    }

    /// Groups of every size a tile may have, heads that are no whole vectors, windows of less than a block and of more.
    #[test]
    fn a_querys_bits_are_its_keys_alone() {
        for (query, key, dim) in [(1, 1, 64), (6, 2, 16), (7, 1, 20), (8, 4, 128)] {
            let s = Sequence::new(query, key, dim);
            for window in [None, Some(5), Some(21)] {
                let whole = s.out(&[LENGTH], &[0, 1, 2, 3], window, false);
                for (found, exact) in whole.iter().zip(s.exact(window)) {
                    assert!((f64::from(*found) - exact).abs() < 1e-5, "{found} {exact}");
                }
                let one = [1; LENGTH];
                for (pieces, blocks, beside) in [
                    (&one[..], [0, 1, 2, 3], false),
                    (&[16, 37], [3, 0, 2, 1], true),
                    (&[5, 20, 1, 27], [6, 7, 2, 4], true),
                ] {
                    let found = s.out(pieces, &blocks, window, beside);
                    assert!(found == whole, "{query} {key} {dim} {window:?} {pieces:?}");
                }
            }
        }
    }

    #[test]
    fn operands_that_do_not_fit_are_refused() {
        let s = Sequence::new(2, 1, 16);
        let table = Tensor::zeros((4, 16 * BLOCK), candle_core::DType::F32, &Device::Cpu).unwrap();
        let mut batch = Batch::default();
        batch.push_cached(&[0; LENGTH], &[0, 1, 2, 4], 0);
        let of = |batch: &Batch| Paged::new(batch, None)?.forward([&s.q, &table, &table], &s.heads);
        assert!(of(&batch).is_err(), "a block beyond the table");
        batch.segments[0].keys = std::iter::once(0..LENGTH).collect();
        assert!(of(&batch).is_ok());
        batch.segments[0].keys = vec![0..16, 17..LENGTH + 1];
        assert!(of(&batch).is_err(), "not at the beginning of a block");
        batch.segments[0].keys = vec![0..15, 16..LENGTH + 1];
        assert!(of(&batch).is_err(), "half a block before the last");
    }
}
