//! The key/value cache: one table a layer, in blocks of [`BLOCK`] tokens. Which blocks are whose is the caller's business.

pub use super::batch::BLOCK;
use super::batch::Batch;
use super::cpu::paged;
use super::decoder::Decoder;
use super::ops::Path;
use candle_core::{Device, Result, Tensor};

/// Keys and values of one layer: `[blocks · BLOCK, kv heads · d]` each on the portable path, and `[blocks, BLOCK · kv heads · d]` in the
/// order of [`paged`] on the fused one.
pub struct LayerCache {
    /// Keys after their rotation.
    pub k: Tensor,
    /// Values.
    pub v: Tensor,
    /// Width of a head.
    head: usize,
}

impl LayerCache {
    /// Writes the batch's new keys and values behind each segment's past; `at` is [`scattered`].
    pub fn store(
        &mut self,
        k: &Tensor,
        v: &Tensor,
        batch: &Batch,
        at: Option<&Tensor>,
    ) -> Result<()> {
        if let Some(at) = at {
            self.k.scatter_set(at, k, 0)?;
            return self.v.scatter_set(at, v, 0);
        }
        let head = self.head;
        let store = |keys| paged::Store { batch, head, keys };
        self.k.inplace_op2(k, &store(true))?;
        self.v.inplace_op2(v, &store(false))
    }
}

/// Where every element of a batch goes on the portable path, `[T, kv heads · d]`: a device needs one launch for all of them.
pub fn scattered(batch: &Batch, width: usize, device: &Device) -> Result<Tensor> {
    let rows = batch.segments.iter().flat_map(|s| s.own_keys());
    let rows: Vec<u32> = rows.map(|row| row as u32).collect();
    let at = Tensor::new(rows, device)?.unsqueeze(1)?;
    at.broadcast_as((batch.len(), width))?.contiguous()
}

/// The tables of all layers.
pub struct KvCache {
    pub layers: Vec<LayerCache>,
    blocks: usize,
}

impl KvCache {
    /// Empty tables of so many blocks for `decoder`, in the type of its activations.
    pub fn new(decoder: &Decoder, blocks: usize) -> Result<Self> {
        let (config, dtype, device) = (&decoder.config, decoder.dtype, &decoder.device);
        let heads = config.heads();
        let shape = match decoder.path {
            Path::Fused => (blocks, heads.kv_width() * BLOCK),
            Path::Portable => (blocks * BLOCK, heads.kv_width()),
        };
        let layer = |_| {
            Ok(LayerCache {
                k: Tensor::zeros(shape, dtype, device)?,
                v: Tensor::zeros(shape, dtype, device)?,
                head: heads.dim,
            })
        };
        Ok(Self {
            layers: (0..config.num_hidden_layers)
                .map(layer)
                .collect::<Result<_>>()?,
            blocks,
        })
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Copies the content of blocks, each `(from, to)`.
    pub fn copy(&mut self, blocks: &[(usize, usize)]) -> Result<()> {
        for layer in &self.layers {
            for table in [&layer.k, &layer.v] {
                let rows = table.dim(0)? / self.blocks;
                for &(from, to) in blocks {
                    // Not `copy`, which copies all of the table.
                    let block = table.narrow(0, from * rows, rows)?.force_contiguous()?;
                    table.slice_set(&block, 0, to * rows)?;
                }
            }
        }
        Ok(())
    }
}
