//! The key/value cache: one table a layer, divided into slots of equal capacity.

use super::batch::Batch;
use super::config::Config;
use candle_core::{DType, Device, Result, Tensor};

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
    /// An empty cache in f32.
    pub fn new(config: &Config, slots: usize, capacity: usize, device: &Device) -> Result<Self> {
        let shape = (slots * capacity, config.heads().kv_width());
        let layer = |_| {
            Ok(LayerCache {
                k: Tensor::zeros(shape, DType::F32, device)?,
                v: Tensor::zeros(shape, DType::F32, device)?,
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
