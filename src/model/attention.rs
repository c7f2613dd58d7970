//! Attention over segments: grouped-query, causal within a segment, full over what came before it.

use super::batch::{Batch, Segment};
use super::cpu;
use super::cpu::paged::Paged;
use super::key_sums::KeySums;
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
    /// one of them is near 1, a rounded one would leave nothing of the gradient. None of a pass over a cache.
    pub softmax: Option<Tensor>,
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
    /// Where each of the segments' rows stands in the padded block.
    out_rows: Tensor,
    /// `[segments, 1, queries, keys]`, 0 or a large negative number.
    mask: Tensor,
}

impl Gather {
    /// Tables for some segments of `batch`, whose queries see no more than the last `window` keys.
    fn new(
        batch: &Batch,
        segments: &[&Segment],
        window: Option<usize>,
        device: &Device,
    ) -> Result<Self> {
        let of = |f: &dyn Fn(&Segment) -> usize| segments.iter().map(|s| f(s)).max().unwrap_or(0);
        let queries = of(&|s| s.rows.len());
        let keys = of(&Segment::length);
        let (mut q_rows, mut k_rows) = (Vec::new(), Vec::new());
        let (mut out_rows, mut mask) = (Vec::new(), Vec::new());
        for (n, s) in segments.iter().enumerate() {
            q_rows.extend(pad_to(s.rows.clone(), queries, batch.len()));
            let own = s.keys.last().map_or(0, |range| range.start);
            k_rows.extend(pad_to(s.keys.iter().cloned().flatten(), keys, own));
            out_rows.extend((0..s.rows.len()).map(|i| (n * queries + i) as u32));
            for i in 0..queries {
                // A padded query sees everything: its row must stay finite, and nobody reads it.
                let seen = match i < s.rows.len() {
                    true => s.visible(i),
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
        let ends = segments.iter().flat_map(|s| &s.keys).map(|range| range.end);
        let table = ends.max().unwrap_or(0);
        let segments = segments.len();
        Ok(Self {
            segments,
            queries,
            keys,
            table,
            q_rows: Tensor::new(q_rows, device)?,
            k_rows: Tensor::new(k_rows, device)?,
            out_rows: Tensor::new(out_rows, device)?,
            mask: Tensor::from_vec(mask, (segments, 1, queries, keys), device)?,
        })
    }

    /// The attention's output for the segments' rows, and its probabilities.
    fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor, h: &Heads) -> Result<(Tensor, Tensor)> {
        let (keys, values) = (self.keys(k, h)?, self.keys(v, h)?);
        let scores = portable::matmul(&self.queries(q, h)?, &keys.t()?)?;
        let shape = scores.shape().clone();
        let scores = (scores.to_dtype(DType::F32)? * f64::from(h.scale()))?
            .reshape((self.segments, h.query, self.queries, self.keys))?
            .broadcast_add(&self.mask)?;
        let exp = scores
            .broadcast_sub(&scores.max_keepdim(D::Minus1)?)?
            .exp()?;
        let softmax = exp
            .broadcast_div(&exp.sum_keepdim(D::Minus1)?)?
            .reshape(shape)?;
        let out = portable::matmul(&softmax.to_dtype(q.dtype())?, &values)?;
        Ok((self.rows(&out, h)?, softmax))
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

    /// Gathered key gradients `[segments, kv heads, keys, d]` as rows of the padded block.
    fn key_rows(&self, x: &Tensor, h: &Heads) -> Result<Tensor> {
        x.transpose(1, 2)?
            .contiguous()?
            .reshape((self.segments * self.keys, h.kv_width()))
    }
}

fn pad_to(rows: impl Iterator<Item = usize>, n: usize, pad: usize) -> impl Iterator<Item = u32> {
    rows.chain(std::iter::repeat(pad)).take(n).map(|r| r as u32)
}

/// How a batch's attention is computed: built once a batch, used by every layer.
pub enum Plan<'a> {
    /// Over the batch's own keys, with the window, if there is one.
    Fused(&'a Batch, Option<usize>),
    Portable(Gather, KeySums),
    /// Over those in a cache.
    Paged(Paged<'a>),
    Gathered(Gathers),
}

impl<'a> Plan<'a> {
    /// The attention of `batch`, whose queries see no more than the last `window` keys; these lie in a cache where it is `cached`.
    pub fn new(
        path: Path,
        batch: &'a Batch,
        window: Option<usize>,
        cached: bool,
        device: &Device,
    ) -> Result<Self> {
        Ok(match (path, cached) {
            (Path::Fused, false) => Self::Fused(batch, window),
            (Path::Fused, true) => Self::Paged(Paged::new(batch, window)?),
            (Path::Portable, false) => {
                let all: Vec<_> = batch.segments.iter().collect();
                let gather = Gather::new(batch, &all, window, device)?;
                let sums = KeySums::new(&all, gather.keys, batch.len(), device)?;
                Self::Portable(gather, sums)
            }
            (Path::Portable, true) => Self::Gathered(Gathers::new(batch, window, device)?),
        })
    }

    /// Attention of `q` `[T, heads · d]` over the key table `k`, `v`: `[keys, kv heads · d]`, or the tables of a cache's layer.
    pub fn forward(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        h: &Heads,
    ) -> Result<(Tensor, Saved)> {
        let (out, softmax) = match self {
            Self::Fused(batch, window) => {
                let (out, lse) = cpu::attention::forward([q, k, v], batch, *window, h)?;
                (out, Some(lse))
            }
            Self::Portable(gather, _) => {
                let (out, softmax) = gather.forward(q, k, v, h)?;
                (out, Some(softmax))
            }
            Self::Paged(paged) => (paged.forward([q, k, v], h)?, None),
            Self::Gathered(gathers) => (gathers.forward(q, k, v, h)?, None),
        };
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
        let Some(p) = &saved.softmax else {
            candle_core::bail!("a pass over a cache has no backward")
        };
        let (g, sums) = match self {
            Self::Fused(batch, window) => {
                let saved = [&saved.out, p];
                return cpu::attention::backward(dout, [q, k, v], saved, (batch, *window), h);
            }
            Self::Portable(gather, sums) => (gather, sums),
            Self::Paged(_) | Self::Gathered(_) => {
                candle_core::bail!("a pass over a cache has no backward")
            }
        };
        let (queries, dout) = (g.queries(q, h)?, g.queries(dout, h)?);
        let (keys, values) = (g.keys(k, h)?, g.keys(v, h)?);
        let dp = portable::matmul(&dout, &values.t()?)?.to_dtype(DType::F32)?;
        let delta = (&dp * p)?.sum_keepdim(D::Minus1)?;
        let ds = ((dp.broadcast_sub(&delta)? * p)? * f64::from(h.scale()))?;
        let (ds, p) = (ds.to_dtype(q.dtype())?, p.to_dtype(q.dtype())?);
        let to_keys = |of: Tensor| {
            let sums = sums.sums(&g.key_rows(&of, h)?)?;
            sums.to_dtype(k.dtype())
        };
        Ok([
            g.rows(&portable::matmul(&ds, &keys)?, h)?,
            to_keys(portable::matmul(&ds.t()?, &queries)?)?,
            to_keys(portable::matmul(&p.t()?, &dout)?)?,
        ])
    }
}

/// The segments of a batch over a cache, those with one query apart from longer ones: padded to one length they would be mostly
/// padding.
pub struct Gathers {
    groups: Vec<Gather>,
    /// `[T]` where each batch row stands in the groups' rows, one group behind the other.
    order: Tensor,
}

impl Gathers {
    fn new(batch: &Batch, window: Option<usize>, device: &Device) -> Result<Self> {
        let (one, more): (Vec<&Segment>, Vec<&Segment>) =
            batch.segments.iter().partition(|s| s.rows.len() == 1);
        let mut order = vec![0u32; batch.len()];
        let rows = one.iter().chain(&more).flat_map(|s| s.rows.clone());
        rows.zip(0..).for_each(|(row, at)| order[row] = at);
        let parts = [one, more].into_iter().filter(|part| !part.is_empty());
        let groups = parts.map(|part| Gather::new(batch, &part, window, device));
        Ok(Self {
            groups: groups.collect::<Result<_>>()?,
            order: Tensor::new(order, device)?,
        })
    }

    fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor, h: &Heads) -> Result<Tensor> {
        let outs = self.groups.iter().map(|group| group.forward(q, k, v, h));
        let outs: Vec<Tensor> = outs.map(|both| Ok(both?.0)).collect::<Result<_>>()?;
        portable::rows(&Tensor::cat(&outs, 0)?, &self.order)
    }
}
