//! One side of a comparison: a device, an implementation of the operations, a type of activations.

use crate::model::ops::{self, Path};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Instant;

pub struct Side {
    pub device: Device,
    pub path: Path,
    pub dtype: DType,
}

impl Side {
    /// The fused kernels, which tests hold against other implementations.
    pub fn reference() -> Self {
        Self {
            device: Device::Cpu,
            path: Path::Fused,
            dtype: DType::F32,
        }
    }

    /// The portable path on `device`.
    pub fn portable(device: &Device, dtype: DType) -> Self {
        Self {
            device: device.clone(),
            path: Path::Portable,
            dtype,
        }
    }

    /// Numbers from −1 to 1, the same on every side.
    pub fn random(&self, shape: &[usize], seed: u64) -> Result<Tensor> {
        Ok(self.random_f32(shape, seed)?.to_dtype(self.dtype)?)
    }

    /// The same in f32, as norm weights and adapters are.
    pub fn random_f32(&self, shape: &[usize], seed: u64) -> Result<Tensor> {
        let mut rng = StdRng::seed_from_u64(seed);
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| rng.random_range(-1.0..1.0))
            .collect();
        Ok(Tensor::from_vec(values, shape, &self.device)?)
    }
}

/// What the device is called.
pub fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}

/// GFLOP/s of an f32 product, the best of five.
pub fn product_rate(device: &Device) -> Result<f64> {
    let (m, n, k) = (512, 1024, 1024);
    let side = Side {
        device: device.clone(),
        path: Path::of(device, DType::F32),
        dtype: DType::F32,
    };
    let (a, b) = (side.random(&[m, k], 1)?, side.random(&[n, k], 2)?);
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        ops::matmul(side.path, &a, &b.t()?)?;
        device.synchronize()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * (m * n * k) as f64 / best / 1e9)
}
