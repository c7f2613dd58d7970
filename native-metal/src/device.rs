//! Opening the device, and what it says of itself.

use crate::budget::gigabytes;
use candle_core::{Device, Result, bail};
use objc2_metal::{MTLCopyAllDevices, MTLDevice};
use std::fmt;

/// The first Metal device, the one candle takes; where there is none (a virtual machine without a
/// graphics device) candle's constructor panics, and this is an error.
pub fn open() -> Result<Device> {
    if MTLCopyAllDevices().is_empty() {
        bail!("this machine has no Metal device")
    }
    Device::new_metal(0)
}

/// What a Metal device says of itself. Displays as one line.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Such as `Apple M2`.
    pub name: String,
    /// Whether the memory is also the processor's.
    pub unified_memory: bool,
    /// Bytes beyond which Metal expects to slow down.
    pub recommended: u64,
    /// Bytes this process has allocated on it.
    pub allocated: u64,
}

impl Facts {
    /// The facts of `device`; an error when it is not a Metal device.
    pub fn of(device: &Device) -> Result<Self> {
        let device = device.as_metal_device()?.metal_device().as_ref();
        Ok(Self {
            name: device.name().to_string(),
            unified_memory: device.hasUnifiedMemory(),
            recommended: device.recommendedMaxWorkingSetSize(),
            allocated: device.currentAllocatedSize() as u64,
        })
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let memory = match self.unified_memory {
            true => "unified memory",
            false => "memory of its own",
        };
        write!(
            f,
            "{}, {memory}, {} GB recommended at most, {} GB allocated",
            self.name,
            gigabytes(self.recommended),
            gigabytes(self.allocated)
        )
    }
}
