//! Limits on what candle's buffer pool and the model take of a Metal device's memory.

use crate::budget::Budget;
use candle_core::{Device, Error, MetalDevice, Result};

/// The limits a user set, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Most bytes of unused buffers candle may keep for reuse; `None`: as many as it likes.
    pub cache: Option<u64>,
    /// Most bytes in all; `None`: what the device recommends.
    pub most: Option<u64>,
}

/// A Metal device's memory under limits.
pub struct Memory {
    device: MetalDevice,
    budget: Budget,
}

impl Memory {
    /// Limits on `device`, on which the weights lie by now: they are the part that stays needed.
    pub fn new(device: &Device, limits: Limits) -> Result<Self> {
        let device = device.as_metal_device()?.clone();
        // Leftovers of loading would count as needed.
        device.wait_until_completed()?;
        let facts = device.metal_device();
        let budget = Budget {
            needed: facts.current_allocated_size() as u64,
            cache: limits.cache,
            most: match limits.most {
                Some(most) => most,
                None => facts.recommended_max_working_set_size() as u64,
            },
        };
        Ok(Self { device, budget })
    }

    /// Gives unused buffers back when a limit is exceeded, for which the device must finish what it
    /// was given; an error when what is in use still exceeds the limit in all. Between two blocks is
    /// the place: a block drops its temporaries and no readback empties the pool.
    pub fn check(&self) -> Result<()> {
        if !self.budget.exceeded(self.allocated()) {
            return Ok(());
        }
        // Not `Commands::wait_until_completed`: candle's device also drops the buffers nobody holds.
        self.device.wait_until_completed()?;
        self.budget.check(self.allocated()).map_err(Error::msg)
    }

    fn allocated(&self) -> u64 {
        self.device.metal_device().current_allocated_size() as u64
    }
}
