//! Attention over segments: grouped-query, causal within a segment, full over its prefix.

use super::batch::Batch;
use super::cpu;
use super::ops::Path;
use super::portable;
use candle_core::{D, DType, Device, Result, Tensor};

/// Head counts and width.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key/value heads; each serves `query / key` query heads.
    pub key: usize,
    /// Width of one head.
    pub dim: usize,
}

impl Heads {
    /// Width of all query heads.
    pub fn q_width(&self) -> usize {
        self.query * self.dim
    }

    /// Width of all key (or value) heads.
    pub fn kv_width(&self) -> usize {
        self.key * self.dim
    }

    /// 1/√d.
    pub fn scale(&self) -> f32 {
        (self.dim as f32).powf(-0.5)
    }
}

/// What backward needs of a forward pass beside q, k and v.
pub struct Saved {
    /// The attention's output `[T, heads · d]`.
    pub out: Tensor,
    /// Log-sum-exp of the scores `[T, heads]` (fused), or the probabilities in f32 (portable): where
    /// one of them is near 1, a rounded one would leave nothing of the gradient.
    pub softmax: Tensor,
}

/// Index tables of the portable path: segments are gathered into one padded block, so that the
/// number of launches of an attention does not grow with the number of segments.
pub struct Gather {
    segments: usize,
    queries: usize,
    keys: usize,
    /// Rows that the key table must have.
    table: usize,
    /// `[segments · queries]` rows of q; padding names the row after the last.
    q_rows: Tensor,
    /// `[segments · keys]` rows of the key table; padding, which the mask hides, names a row of the segment's own: another's
    /// may be no number.
    k_rows: Tensor,
    /// `[T]` where each batch row stands in the padded block.
    out_rows: Tensor,
    /// `[segments, 1, queries, keys]`, 0 or a large negative number.
    mask: Tensor,
}

impl Gather {
    /// Tables for `batch`, whose queries see no more than the last `window` keys.
    pub fn new(batch: &Batch, window: Option<usize>, device: &Device) -> Result<Self> {
        let of = |f: &dyn Fn(&super::batch::Segment) -> usize| {
            batch.segments.iter().map(f).max().unwrap_or(0)
        };
        let queries = of(&|s| s.rows.len());
        let keys = batch.longest();
        let (mut q_rows, mut k_rows) = (Vec::new(), Vec::new());
        let (mut out_rows, mut mask) = (Vec::new(), Vec::new());
        for (n, s) in batch.segments.iter().enumerate() {
            let own = s.own_keys..s.own_keys + s.past + s.rows.len();
            let pad = batch.len();
            q_rows.extend(pad_to(s.rows.clone(), queries, pad));
            k_rows.extend(pad_to(s.prefix.clone().chain(own), keys, s.own_keys));
            out_rows.extend((0..s.rows.len()).map(|i| (n * queries + i) as u32));
            for i in 0..queries {
                // A padded query sees everything: its row must stay finite, and nobody reads it.
                let seen = match i < s.rows.len() {
                    true => s.prefix.len() + s.own_visible(i),
                    false => keys,
                };
                let first = match i < s.rows.len() {
                    true => s.hidden(i, window),
                    false => 0,
                };
                let see = |j| (first..seen).contains(&j);
                mask.extend((0..keys).map(|j| if see(j) { 0f32 } else { -1e30 }));
            }
        }
        let segments = batch.segments.len();
        Ok(Self {
            segments,
            queries,
            keys,
            table: of(&|s| s.prefix.end.max(s.own_keys + s.past + s.rows.len())),
            q_rows: Tensor::new(q_rows, device)?,
            k_rows: Tensor::new(k_rows, device)?,
            out_rows: Tensor::new(out_rows, device)?,
            mask: Tensor::from_vec(mask, (segments, 1, queries, keys), device)?,
        })
    }

    /// Rows of `x` `[T, heads · d]` as `[segments, kv heads, group · queries, d]`.
    fn queries(&self, x: &Tensor, h: &Heads) -> Result<Tensor> {
        let zero = Tensor::zeros((1, x.dim(1)?), x.dtype(), x.device())?;
        let group = h.query / h.key;
        portable::rows(&Tensor::cat(&[x, &zero], 0)?, &self.q_rows)?
            .reshape((self.segments, self.queries, h.key, group, h.dim))?
            .permute((0, 2, 3, 1, 4))?
            .contiguous()?
            .reshape((self.segments, h.key, group * self.queries, h.dim))
    }

    /// The inverse of [`Self::queries`].
    fn rows(&self, x: &Tensor, h: &Heads) -> Result<Tensor> {
        let padded = x
            .reshape((self.segments, h.key, h.query / h.key, self.queries, h.dim))?
            .permute((0, 3, 1, 2, 4))?
            .contiguous()?
            .reshape((self.segments * self.queries, h.q_width()))?;
        portable::rows(&padded, &self.out_rows)
    }

    /// Rows of the key table as `[segments, kv heads, keys, d]`.
    fn keys(&self, table: &Tensor, h: &Heads) -> Result<Tensor> {
        // A device may clamp a row that is not there instead of failing.
        if table.dim(0)? < self.table {
            candle_core::bail!("{} keys, the segments need {}", table.dim(0)?, self.table)
        }
        portable::rows(table, &self.k_rows)?
            .reshape((self.segments, self.keys, h.key, h.dim))?
            .transpose(1, 2)?
            .contiguous()?
            // With one key head the copy is skipped; the strides must be plain all the same.
            .reshape((self.segments, h.key, self.keys, h.dim))
    }

    /// Sums gathered key gradients back into a table of `rows` rows, in f32 whatever their type.
    fn scatter_keys(&self, x: &Tensor, rows: usize, h: &Heads) -> Result<Tensor> {
        let dtype = x.dtype();
        let x = x
            .to_dtype(DType::F32)?
            .transpose(1, 2)?
            .contiguous()?
            .reshape((self.segments * self.keys, h.kv_width()))?;
        Tensor::zeros((rows, h.kv_width()), DType::F32, x.device())?
            .index_add(&self.k_rows, &x, 0)?
            .to_dtype(dtype)
    }
}

fn pad_to(rows: impl Iterator<Item = usize>, n: usize, pad: usize) -> impl Iterator<Item = u32> {
    rows.chain(std::iter::repeat(pad)).take(n).map(|r| r as u32)
}

/// How a batch's attention is computed: built once a batch, used by every layer.
pub enum Plan<'a> {
    /// With the window, if there is one.
    Fused(&'a Batch, Option<usize>),
    Portable(Gather),
}

impl<'a> Plan<'a> {
    /// The attention of `batch`, whose queries see no more than the last `window` keys.
    pub fn new(
        path: Path,
        batch: &'a Batch,
        window: Option<usize>,
        device: &Device,
    ) -> Result<Self> {
        Ok(match path {
            Path::Fused => Self::Fused(batch, window),
            Path::Portable => Self::Portable(Gather::new(batch, window, device)?),
        })
    }

    /// Attention of `q` `[T, heads · d]` over the key table `k`, `v` `[keys, kv heads · d]`.
    pub fn forward(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        h: &Heads,
    ) -> Result<(Tensor, Saved)> {
        let g = match self {
            Self::Fused(batch, window) => {
                return cpu::attention::forward([q, k, v], batch, *window, h);
            }
            Self::Portable(g) => g,
        };
        let (keys, values) = (g.keys(k, h)?, g.keys(v, h)?);
        let scores = portable::matmul(&g.queries(q, h)?, &keys.t()?)?;
        let shape = scores.shape().clone();
        let scores = (scores.to_dtype(DType::F32)? * f64::from(h.scale()))?
            .reshape((g.segments, h.query, g.queries, g.keys))?
            .broadcast_add(&g.mask)?;
        let exp = scores
            .broadcast_sub(&scores.max_keepdim(D::Minus1)?)?
            .exp()?;
        let softmax = exp
            .broadcast_div(&exp.sum_keepdim(D::Minus1)?)?
            .reshape(shape)?;
        let out = portable::matmul(&softmax.to_dtype(q.dtype())?, &values)?;
        let out = g.rows(&out, h)?;
        Ok((out.clone(), Saved { out, softmax }))
    }

    /// Gradients towards q, k and v, for a batch whose key table is its own keys.
    pub fn backward(
        &self,
        dout: &Tensor,
        [q, k, v]: [&Tensor; 3],
        saved: &Saved,
        h: &Heads,
    ) -> Result<[Tensor; 3]> {
        let g = match self {
            Self::Fused(batch, window) => {
                return cpu::attention::backward(dout, [q, k, v], saved, (batch, *window), h);
            }
            Self::Portable(g) => g,
        };
        let (queries, dout) = (g.queries(q, h)?, g.queries(dout, h)?);
        let (keys, values) = (g.keys(k, h)?, g.keys(v, h)?);
        let p = &saved.softmax;
        let dp = portable::matmul(&dout, &values.t()?)?.to_dtype(DType::F32)?;
        let delta = (&dp * p)?.sum_keepdim(D::Minus1)?;
        let ds = ((dp.broadcast_sub(&delta)? * p)? * f64::from(h.scale()))?;
        let (ds, p) = (ds.to_dtype(q.dtype())?, p.to_dtype(q.dtype())?);
        let rows = k.dim(0)?;
        Ok([
            g.rows(&portable::matmul(&ds, &keys)?, h)?,
            g.scatter_keys(&portable::matmul(&ds.t()?, &queries)?, rows, h)?,
            g.scatter_keys(&portable::matmul(&p.t()?, &dout)?, rows, h)?,
        ])
    }
}
