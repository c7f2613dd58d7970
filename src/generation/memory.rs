//! How many rows fit in memory together, and how large the key table is.

use super::speculation;
use super::stop::StopConfig;
use crate::model::decoder::Decoder;
use crate::model::kv::BLOCK;
use crate::model::memory;
use crate::model::ops::Path;
use anyhow::{Result, ensure};

const F32: usize = 4;

/// Bytes of the table beside what the rows in flight may take, for beginnings that rows share, unless it is told how large to be.
const SHARED: usize = 256_000_000;

/// Most tokens of a step, beside one for each row in flight: enough for products to be efficient, and no more, since a long prompt
/// keeps the rows that decode waiting.
pub fn step_tokens(path: Path) -> usize {
    match path {
        Path::Fused => 512,
        // A launch costs more than its work.
        Path::Portable => 4096,
    }
}

/// Bytes that answering takes beside the model.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Positions of the longest prompt with its answer.
    pub positions: usize,
    /// Of keys and values for all those positions.
    pub row: usize,
    /// The same of a block.
    block: usize,
    /// Blocks of all rows together.
    all: usize,
    /// Of the largest step with its logits, however large the table is.
    step: usize,
}

impl Need {
    /// Of prompts of `lengths` tokens, all of which fit the model, `batch` of them at once; `None` where there are none.
    pub fn of(
        decoder: &Decoder,
        lengths: &[usize],
        stop: &StopConfig,
        batch: usize,
    ) -> Option<Self> {
        let (config, size) = (&decoder.config, decoder.dtype.size_in_bytes());
        let longest = lengths.iter().copied().max()?;
        let rows = batch.min(lengths.len());
        let tokens = (step_tokens(decoder.path) + rows).min(lengths.iter().sum());
        let scores = match decoder.path {
            Path::Fused => 0,
            // With their exponentials and the probabilities.
            Path::Portable => 3 * config.num_attention_heads * longest * F32,
        };
        let blocks = |length: usize| (length + stop.max_tokens).div_ceil(BLOCK);
        let block = BLOCK * memory::cached(config) * size;
        Some(Self {
            positions: longest + stop.max_tokens,
            row: blocks(longest) * block,
            block,
            all: lengths.iter().map(|&length| blocks(length)).sum(),
            // The logits as they come from the device, and as they are sampled from.
            step: tokens * (memory::passing(config) * size + scores)
                + rows.max(speculation::ROWS) * 2 * config.vocab_size * F32,
        })
    }

    /// How many blocks a table has for `rows` rows in `free` bytes: `wanted` bytes of them, or as many as those rows may take and some
    /// for what they share; never more than all rows together. Errors where not one row fits.
    pub fn blocks(&self, rows: usize, free: usize, wanted: Option<usize>) -> Result<usize> {
        let mb = |bytes: usize| bytes.div_ceil(1_000_000);
        let row = format!(
            "one row with an answer of the longest kind, {} tokens in all, takes {:.1} MB for keys and values",
            self.positions,
            // Rounded up: as much as is said is enough.
            self.row.div_ceil(100_000) as f64 / 10.0
        );
        if let Some(wanted) = wanted {
            ensure!(
                wanted >= self.row,
                "--kv-memory is {:.1} MB; {row}: raise it, lower --max-tokens, or shorten the longest prompts",
                (wanted / 100_000) as f64 / 10.0
            );
        }
        // An allocator cuts the tables from heaps of its own, of which a third may be left over (glibc: 64 MB, tables up to 32).
        let possible = free.saturating_sub(self.step) / 3 * 2;
        ensure!(
            possible >= self.row,
            "{row} and {} MB to compute; {} MB of memory can be had: lower --max-tokens, or shorten the longest prompts",
            mb(self.step),
            mb(free)
        );
        let wanted = wanted.unwrap_or(self.row.saturating_mul(rows).saturating_add(SHARED));
        let blocks = wanted.min(possible) / self.block;
        Ok(blocks.min(self.all.max(self.row / self.block)))
    }

    /// How many rows are in flight together in a table of `blocks`, whichever they are.
    pub fn rows(&self, blocks: usize) -> usize {
        match blocks < self.all {
            true => blocks * self.block / self.row,
            false => usize::MAX,
        }
    }

    /// Bytes of `blocks`.
    pub fn bytes(&self, blocks: usize) -> usize {
        blocks * self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1_000_000;

    fn need() -> Need {
        Need {
            positions: 8_010,
            row: 370 * MB,
            block: MB,
            all: 5_000,
            step: 100 * MB,
        }
    }

    #[test]
    fn the_table_fills_what_the_step_leaves() {
        let need = need();
        let blocks = need.blocks(16, 1_210 * MB, None).unwrap();
        assert_eq!((blocks, need.rows(blocks)), (740, 2));
        let blocks = need.blocks(16, 655 * MB + 3, None).unwrap();
        assert_eq!((blocks, need.rows(blocks)), (370, 1));
        let error = need.blocks(16, 654 * MB, None).unwrap_err().to_string();
        for part in [
            "8010 tokens",
            "370.0 MB",
            "100 MB",
            "654 MB",
            "--max-tokens",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_table_is_as_large_as_said_and_no_larger_than_all_rows() {
        let (need, free) = (need(), usize::MAX);
        let default = 3 * 370 + SHARED / MB;
        assert_eq!(need.blocks(3, free, None).unwrap(), default);
        assert_eq!(need.blocks(1000, free, None).unwrap(), 5_000);
        assert_eq!((need.rows(4_999), need.rows(5_000)), (13, usize::MAX));
        assert_eq!(need.blocks(3, free, Some(371 * MB)).unwrap(), 371);
        assert_eq!(need.blocks(3, free, Some(usize::MAX)).unwrap(), 5_000);
        let error = need
            .blocks(3, free, Some(370 * MB - 1))
            .unwrap_err()
            .to_string();
        for part in ["--kv-memory is 369.9 MB", "takes 370.0 MB", "raise it"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
