//! The key/value cache: one table a layer, divided into slots of equal capacity.

use super::batch::Batch;
use super::decoder::Decoder;
use candle_core::{Result, Tensor};

/// Keys and values of one layer, `[slots · capacity, kv heads · d]` each.
pub struct LayerCache {
    /// Keys after their rotation.
    pub k: Tensor,
    /// Values.
    pub v: Tensor,
}

impl LayerCache {
    /// Writes the batch's new keys and values behind each segment's past.
    pub fn store(&mut self, k: &Tensor, v: &Tensor, batch: &Batch) -> Result<()> {
        for s in &batch.segments {
            let (start, len) = (s.rows.start, s.rows.len());
            let at = s.own_keys + s.past;
            self.k
                .slice_set(&k.narrow(0, start, len)?.contiguous()?, 0, at)?;
            self.v
                .slice_set(&v.narrow(0, start, len)?.contiguous()?, 0, at)?;
        }
        Ok(())
    }
}

/// A cache for `slots` sequences of up to `capacity` tokens.
pub struct KvCache {
    pub layers: Vec<LayerCache>,
    capacity: usize,
}

impl KvCache {
    /// An empty cache for `decoder`, in the type of its activations.
    pub fn new(decoder: &Decoder, slots: usize, capacity: usize) -> Result<Self> {
        let (config, dtype, device) = (&decoder.config, decoder.dtype, &decoder.device);
        let shape = (slots * capacity, config.heads().kv_width());
        let layer = |_| {
            Ok(LayerCache {
                k: Tensor::zeros(shape, dtype, device)?,
                v: Tensor::zeros(shape, dtype, device)?,
            })
        };
        Ok(Self {
            layers: (0..config.num_hidden_layers)
                .map(layer)
                .collect::<Result<_>>()?,
            capacity,
        })
    }

    /// Key row at which a slot begins.
    pub fn start(&self, slot: usize) -> usize {
        slot * self.capacity
    }
}
