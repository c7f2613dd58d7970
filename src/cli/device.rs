//! `--device`, `--dtype`, and the limits on a Metal device's memory.

use super::{UsageError, note};
use crate::model::place::Place;
use crate::model::weight::Held;
use anyhow::Result;
use candle_core::{DType, Device};
use clap::ValueEnum;
use serde::Serialize;

/// Where tensors live.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DeviceArg {
    /// The best this build and machine have.
    Auto,
    Cpu,
    Metal,
    Cuda,
}

impl DeviceArg {
    /// Opens the device; `auto` says which it took.
    pub fn open(self) -> Result<Device> {
        let unavailable = |name: &str, e: candle_core::Error| {
            UsageError(format!(
                "--device {name} is not available: {e} (a build with --features {name} on such a machine has it)"
            ))
        };
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Metal => Ok(metal().map_err(|e| unavailable("metal", e))?),
            Self::Cuda => Ok(cuda().map_err(|e| unavailable("cuda", e))?),
            Self::Auto => {
                let found = [("metal", metal()), ("cuda", cuda())];
                let found = found.into_iter().find_map(|(n, d)| Some((n, d.ok()?)));
                let (name, device) = found.unwrap_or(("cpu", Device::Cpu));
                note(format_args!("device: {name} (auto)"));
                Ok(device)
            }
        }
    }
}

/// Type of the base's weights and of activations.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DTypeArg {
    /// f32 on the CPU, bf16 elsewhere.
    Auto,
    F32,
    Bf16,
}

impl DTypeArg {
    /// The type on `device`.
    fn on(self, device: &Device) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::Auto if device.is_cpu() => DType::F32,
            Self::Auto => DType::BF16,
        }
    }
}

/// How the base's weights are held while it answers.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WeightsArg {
    /// native on the CPU of a GGUF file in Q4_0, Q4_1 or Q8_0 or a 4-bit MLX folder, else f32.
    Auto,
    /// As numbers of --dtype.
    F32,
    /// In 8 bits, a scale for each 32; activations are rounded to 8 bits on the way.
    Q8,
    /// As they are stored, where that is Q4_0, Q4_1 or Q8_0 of GGUF or 4 bits of MLX; the others as q8.
    Native,
}

impl WeightsArg {
    /// The place with the base's weights held so.
    pub fn at(self, place: &Place) -> Place {
        Place {
            held: self.held(),
            device: place.device.clone(),
            ..*place
        }
    }

    fn held(self) -> Option<Held> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(Held::Numbers),
            Self::Q8 => Some(Held::Q8),
            Self::Native => Some(Held::Native),
        }
    }
}

/// How the base's weights are held while an adapter is trained on them.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BaseWeightsArg {
    /// As numbers of --dtype.
    F32,
    /// In half the memory; rounded, unless they are stored so.
    Bf16,
    /// In 8 bits, a scale for each 32: a little more than a quarter of the memory.
    Q8,
    /// As they are stored, where that is Q4_0, Q4_1 or Q8_0 of GGUF or 4 bits of MLX; the others as q8.
    Native,
}

impl BaseWeightsArg {
    /// The place where a training run holds them so.
    pub fn at(self, place: Place) -> Result<Place> {
        let held = match self {
            Self::F32 => Held::Numbers,
            Self::Bf16 => Held::Bf16,
            Self::Q8 => Held::Q8,
            Self::Native => Held::Native,
        };
        if held != Held::Numbers && !(place.device.is_cpu() && place.dtype == DType::F32) {
            let name = held.name();
            return Err(UsageError(format!(
                "--base-weights {name} is for the CPU with --dtype f32: give --device cpu, or leave it out"
            ))
            .into());
        }
        let held = Some(held);
        Ok(Place { held, ..place })
    }
}

/// Opens the place that the flags name.
pub fn place(
    device: DeviceArg,
    dtype: DTypeArg,
    weights: WeightsArg,
    #[cfg(feature = "metal")] memory: &MemoryArgs,
) -> Result<Place> {
    let device = device.open()?;
    let dtype = dtype.on(&device);
    Ok(Place {
        held: weights.held(),
        dtype,
        #[cfg(feature = "metal")]
        limits: memory.limits(&device)?,
        device,
    })
}

#[cfg(feature = "metal")]
fn metal() -> candle_core::Result<Device> {
    let device = native_metal::open()?;
    note(native_metal::Facts::of(&device)?);
    Ok(device)
}

#[cfg(not(feature = "metal"))]
fn metal() -> candle_core::Result<Device> {
    Device::new_metal(0)
}

#[cfg(feature = "cuda")]
fn cuda() -> candle_core::Result<Device> {
    let device = crate::model::cuda::open()?;
    note(crate::model::cuda::facts(&device)?);
    Ok(device)
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> candle_core::Result<Device> {
    Device::new_cuda(0)
}

/// Limits on a Metal device's memory.
#[cfg(feature = "metal")]
#[derive(Debug, clap::Args)]
#[command(next_help_heading = super::heading::MEMORY)]
pub struct MemoryArgs {
    /// Most unused Metal memory kept for reuse, in GB [default: no limit]; beyond it the device
    /// finishes its work between two blocks and gives it back.
    #[arg(long, value_name = "GB", value_parser = gigabytes)]
    metal_cache_gb: Option<u64>,
    /// Most Metal memory in all, in GB [default: what the device recommends].
    #[arg(long, value_name = "GB", value_parser = gigabytes)]
    metal_memory_gb: Option<u64>,
}

#[cfg(feature = "metal")]
impl MemoryArgs {
    /// The limits. An error of usage where `device` has none.
    fn limits(&self, device: &Device) -> Result<native_metal::Limits> {
        let limits = native_metal::Limits {
            cache: self.metal_cache_gb,
            most: self.metal_memory_gb,
        };
        if !device.is_metal() && limits.cache.or(limits.most).is_some() {
            return Err(UsageError("--metal-… limits need --device metal".into()).into());
        }
        Ok(limits)
    }
}

/// Bytes of a number of GB (10⁹).
#[cfg(feature = "metal")]
fn gigabytes(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(gb) if (0.0..=1e6).contains(&gb) => Ok((gb * 1e9) as u64),
        _ => Err("a number of GB, 0 or more".into()),
    }
}
