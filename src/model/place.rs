//! Where a base is loaded to.

use super::load::Base;
use super::weight::Held;
use anyhow::Result;
use candle_core::{DType, Device};

/// An open device, the type that weights and activations have there, and limits.
pub struct Place {
    pub device: Device,
    /// f32, or bf16 on the portable path.
    pub dtype: DType,
    /// How weights are held; nothing is as is best for answers.
    pub held: Option<Held>,
    /// On a Metal device's memory.
    #[cfg(feature = "metal")]
    pub limits: native_metal::Limits,
}

impl Place {
    /// Loads `base` here; see [`Base::load_held`].
    pub fn load(&self, base: &str) -> Result<Base> {
        let base = Base::load_held(base, self.held, self.dtype, &self.device)?;
        #[cfg(feature = "metal")]
        let base = self.limited(base)?;
        Ok(base)
    }

    /// `base`, whose passes keep to the limits where it lies on a Metal device.
    #[cfg(feature = "metal")]
    fn limited(&self, mut base: Base) -> Result<Base> {
        if self.device.is_metal() {
            let memory = native_metal::Memory::new(&self.device, self.limits)?;
            base.decoder.after_block = Some(Box::new(move || memory.check()));
        }
        Ok(base)
    }
}

/// What a device is called: `cpu`, `metal` or `cuda`.
pub fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Metal(_) => "metal",
        Device::Cuda(_) => "cuda",
    }
}
