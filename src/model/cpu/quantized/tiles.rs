//! Quantized matrices in the order in which kernels read them.

use super::super::fetch;
use super::{BLOCK, GROUP, ROWS};
use anyhow::{Result, ensure};
use half::f16;
use rayon::prelude::*;

/// Bits of a quant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// 0 to 15; a block has a scale and a minimum.
    Four,
    /// 0 to 255, of which 128 are taken away; a block has a scale.
    Eight,
}

impl Bits {
    /// Bytes of the quants of a tile's block.
    const fn bytes(self) -> usize {
        match self {
            Self::Four => ROWS * BLOCK / 2,
            Self::Eight => ROWS * BLOCK,
        }
    }
}

/// A cache line: what kernels read at once does not cross one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

const LINE: usize = 64;

/// A matrix `[rows, width]`, 16 rows a tile. The blocks of a tile lie one after another; in a block, four weights of the first row,
/// of the second, and so on, then the next four. In a byte of 4-bit quants the high half is that of 16 weights further on.
pub struct Tiles {
    pub rows: usize,
    pub width: usize,
    pub bits: Bits,
    quants: Vec<Line>,
    /// Scales of the 16 rows of each block, as f16.
    scales: Vec<[u16; ROWS]>,
    /// Their minima; empty where there are none.
    minima: Vec<[u16; ROWS]>,
}

/// The blocks of 16 rows.
pub struct Tile<'a> {
    pub bits: Bits,
    /// Of each row.
    pub blocks: usize,
    /// 512 bytes a block, or 256 of 4 bits; aligned to cache lines.
    pub quants: &'a [u8],
    pub scales: &'a [[u16; ROWS]],
    pub minima: &'a [[u16; ROWS]],
    /// Quants of the tile that comes behind those at work; none at the end.
    pub next: &'a [u8],
}

impl Tile<'_> {
    /// The quants of a block, four of each row at a time.
    #[inline(always)]
    pub fn groups(&self, b: usize) -> &[[[u8; GROUP]; ROWS]] {
        let size = self.bits.bytes();
        let quants = &self.quants[b * size..][..size];
        quants.as_chunks().0.as_chunks().0
    }

    /// Has memory fetch a block.
    #[inline(always)]
    pub fn fetch(&self, b: usize) {
        fetch(self.groups(b));
        fetch(&self.scales[b..=b]);
        fetch(self.minima.get(b..=b).unwrap_or_default());
    }

    /// Has memory fetch a block of the tile that comes next.
    pub fn fetch_next(&self, block: usize) {
        let size = self.bits.bytes();
        fetch(
            self.next
                .get(block * size..(block + 1) * size)
                .unwrap_or_default(),
        );
    }
}

/// A row's block as files have it.
struct Stored {
    scale: f16,
    minimum: f16,
    /// As lines have them; of 4 bits the first half is in use.
    quants: [u8; BLOCK],
}

impl Tiles {
    /// From blocks of GGUF's Q8_0: an f16 scale, 32 signed bytes.
    pub fn from_q8_0(bytes: &[u8], rows: usize, width: usize) -> Result<Self> {
        Self::new(Bits::Eight, (rows, width), bytes, 34, |block| Stored {
            scale: half_at(block, 0),
            minimum: f16::ZERO,
            quants: std::array::from_fn(|i| block[2 + i] ^ 0x80),
        })
    }

    /// From blocks of Q4_0: an f16 scale, 16 bytes of which the low halves come first; 8 is 0.
    pub fn from_q4_0(bytes: &[u8], rows: usize, width: usize) -> Result<Self> {
        Self::new(Bits::Four, (rows, width), bytes, 18, |block| {
            let scale = half_at(block, 0);
            Stored {
                scale,
                minimum: f16::from_f32(scale.to_f32() * -8.0),
                quants: quants(&block[2..]),
            }
        })
    }

    /// From blocks of Q4_1: the same with a minimum behind the scale.
    pub fn from_q4_1(bytes: &[u8], rows: usize, width: usize) -> Result<Self> {
        Self::new(Bits::Four, (rows, width), bytes, 20, |block| Stored {
            scale: half_at(block, 0),
            minimum: half_at(block, 2),
            quants: quants(&block[4..]),
        })
    }

    /// From numbers, quantized to 8 bits as Q8_0 is.
    pub fn from_f32(values: &[f32], rows: usize, width: usize) -> Result<Self> {
        let mut bytes = Vec::with_capacity(rows * width.div_ceil(BLOCK) * 34);
        for row in values.chunks(width) {
            for block in row.chunks(BLOCK) {
                let most = block.iter().fold(0f32, |most, x| most.max(x.abs()));
                let scale = most / 127.0;
                let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                bytes.extend(f16::from_f32(scale).to_le_bytes());
                let quant = |i: usize| {
                    let x = block.get(i).copied().unwrap_or(0.0);
                    (x * inverse).round() as i8 as u8
                };
                bytes.extend((0..BLOCK).map(quant));
            }
        }
        ensure!(
            values.iter().all(|x| x.is_finite()),
            "a weight is no number"
        );
        let padded = width.div_ceil(BLOCK) * BLOCK;
        let tiles = Self::from_q8_0(&bytes, rows, padded)?;
        Ok(Self { width, ..tiles })
    }

    fn new(
        bits: Bits,
        (rows, width): (usize, usize),
        bytes: &[u8],
        size: usize,
        read: impl Fn(&[u8]) -> Stored + Sync,
    ) -> Result<Self> {
        let blocks = width / BLOCK;
        ensure!(
            width % BLOCK == 0 && width > 0 && bytes.len() == rows * blocks * size,
            "{} bytes of blocks of {size} for a matrix of {rows} x {width}",
            bytes.len()
        );
        let tiles = rows.div_ceil(ROWS);
        let lines = bits.bytes() / LINE;
        let mut all = Self {
            rows,
            width,
            bits,
            quants: vec![Line([0; LINE]); tiles * blocks * lines],
            scales: vec![[0; ROWS]; tiles * blocks],
            minima: match bits {
                Bits::Four => vec![[0; ROWS]; tiles * blocks],
                Bits::Eight => Vec::new(),
            },
        };
        // Without minima each tile gets an empty piece of them.
        let mut minima: Vec<&mut [[u16; ROWS]]> = match bits {
            Bits::Four => all.minima.chunks_mut(blocks).collect(),
            Bits::Eight => (0..tiles).map(|_| &mut [][..]).collect(),
        };
        let parts = (
            all.quants.par_chunks_mut(blocks * lines),
            all.scales.par_chunks_mut(blocks),
            minima.par_iter_mut(),
        );
        let parts = parts.into_par_iter().enumerate();
        parts.for_each(|(tile, (quants, scales, minima))| {
            for row in 0..ROWS.min(rows - tile * ROWS) {
                let own = &bytes[(tile * ROWS + row) * blocks * size..][..blocks * size];
                for (b, block) in own.chunks_exact(size).enumerate() {
                    let stored = read(block);
                    scales[b][row] = stored.scale.to_bits();
                    if let Some(minima) = minima.get_mut(b) {
                        minima[row] = stored.minimum.to_bits();
                    }
                    let lines = &mut quants[b * lines..][..lines];
                    for (line, group) in lines.iter_mut().zip(stored.quants.chunks(GROUP)) {
                        line.0[row * GROUP..][..GROUP].copy_from_slice(group);
                    }
                }
            }
        });
        Ok(all)
    }

    /// The rows from `16 · at` on.
    pub fn tile(&self, at: usize) -> Tile<'_> {
        let blocks = self.width.div_ceil(BLOCK);
        let lines = blocks * self.bits.bytes() / LINE;
        let range = at * blocks..(at + 1) * blocks;
        Tile {
            bits: self.bits,
            blocks,
            quants: self.quants[at * lines..(at + 1) * lines].as_flattened_lines(),
            scales: &self.scales[range.clone()],
            minima: self.minima.get(range).unwrap_or_default(),
            next: &[],
        }
    }

    /// Bytes of all of it.
    pub fn bytes(&self) -> usize {
        self.quants.len() * LINE + (self.scales.len() + self.minima.len()) * ROWS * 2
    }
}

trait AsBytes {
    fn as_flattened_lines(&self) -> &[u8];
}

impl AsBytes for [Line] {
    fn as_flattened_lines(&self) -> &[u8] {
        // SAFETY: a line is nothing but its bytes, without padding.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.len() * LINE) }
    }
}

fn half_at(bytes: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Two of 4 bits a byte.
fn quants(bytes: &[u8]) -> [u8; BLOCK] {
    let mut quants = [0; BLOCK];
    quants[..bytes.len()].copy_from_slice(bytes);
    quants
}
