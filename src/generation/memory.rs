//! How many rows fit in memory together.

use super::stop::StopConfig;
use crate::model::decoder::Decoder;
use crate::model::memory;
use crate::model::ops::Path;
use anyhow::{Result, ensure};

/// Most tokens of new prompts that one step runs, unless a single prompt has more.
pub const PREFILL: usize = 4096;

const F32: usize = 4;

/// Bytes that answering takes beside the model.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Positions of the longest prompt with its answer.
    pub positions: usize,
    /// Of each row that is answered at once: keys and values for all those positions, and logits.
    pub row: usize,
    /// Of the largest step, however many rows there are.
    step: usize,
}

impl Need {
    /// Of prompts of `lengths` tokens, all of which fit the model; `None` where there are none.
    pub fn of(decoder: &Decoder, lengths: &[usize], stop: &StopConfig) -> Option<Self> {
        let (config, size) = (&decoder.config, decoder.dtype.size_in_bytes());
        let longest = lengths.iter().copied().max()?;
        let tokens = PREFILL.max(longest).min(lengths.iter().sum());
        let scores = match decoder.path {
            Path::Fused => 0,
            // With their exponentials and the probabilities.
            Path::Portable => 3 * config.num_attention_heads * longest * F32,
        };
        let positions = longest + stop.max_tokens;
        Some(Self {
            positions,
            // The logits as they come from the device, and as they are sampled from.
            row: positions * memory::cached(config) * size + 2 * config.vocab_size * F32,
            step: tokens * (memory::passing(config) * size + scores),
        })
    }

    /// How many rows `bytes` hold. Errors where not one fits.
    pub fn rows(&self, bytes: usize) -> Result<usize> {
        // An allocator cuts the tables from heaps of its own, of which a third may be left over (glibc: 64 MB, tables up to 32).
        let rows = bytes.saturating_sub(self.step) / (self.row + self.row / 2);
        let mb = |bytes: usize| bytes.div_ceil(1_000_000);
        ensure!(
            rows > 0,
            "one row with an answer of the longest kind, {} tokens in all, takes {} MB for keys and values and {} MB to compute; {} MB of memory can be had: lower --max-tokens, or shorten the longest prompts",
            self.positions,
            mb(self.row),
            mb(self.step),
            mb(bytes)
        );
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fill_what_the_step_leaves() {
        let need = Need {
            positions: 8_010,
            row: 370_000_000,
            step: 100_000_000,
        };
        assert_eq!(need.rows(1_210_000_000).unwrap(), 2);
        assert_eq!(need.rows(655_000_000).unwrap(), 1);
        let error = need.rows(654_000_000).unwrap_err().to_string();
        for part in ["8010 tokens", "370 MB", "100 MB", "654 MB", "--max-tokens"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
