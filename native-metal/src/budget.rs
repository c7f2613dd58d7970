//! The arithmetic of the memory limits. It names nothing of Metal, so that tests/metal_budget.rs
//! runs it on any machine.

/// Bounds on a device's allocated bytes.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes that are needed whatever the pool does: those of the weights.
    pub needed: u64,
    /// Most bytes beyond `needed` before unused ones are given back; `None` keeps them.
    pub cache: Option<u64>,
    /// Most bytes in all.
    pub most: u64,
}

impl Budget {
    /// Whether unused buffers must be given back with `allocated` bytes in the pool and in use.
    ///
    /// What is unused cannot be asked of candle. It is at most what exceeds `needed`, so after a
    /// check no more than `cache` bytes are unused.
    pub fn exceeded(&self, allocated: u64) -> bool {
        let beyond = allocated.saturating_sub(self.needed);
        allocated > self.most || self.cache.is_some_and(|cache| beyond > cache)
    }

    /// The error when `allocated` bytes, all of them in use, are too many.
    pub fn check(&self, allocated: u64) -> Result<(), String> {
        if allocated <= self.most {
            return Ok(());
        }
        Err(format!(
            "the model and its activations take {} GB of Metal memory, the limit is {} GB: lower --batch or --max-seq, take a smaller base, or raise --metal-memory-gb",
            gigabytes(allocated),
            gigabytes(self.most)
        ))
    }
}

/// Bytes in units of 10⁹, with one decimal.
pub fn gigabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e9)
}
