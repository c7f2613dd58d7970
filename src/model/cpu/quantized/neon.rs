//! The kernel for NEON with the dot product, which Apple's processors and ARM's of the last years have: a register holds 4 rows of
//! weights, four of each.

use super::activations::Activations;
use super::tiles::{Bits, Tile};
use super::{BLOCK, ROWS, Sums, tile_by_tile};
use std::arch::aarch64::*;
use std::arch::asm;
use std::ops::Range;

/// Rows of a register.
const QUARTER: usize = ROWS / 4;
/// Bytes of a register.
const BYTES: usize = 16;

/// Whether the processor has what it needs.
pub fn is_there() -> bool {
    std::arch::is_aarch64_feature_detected!("dotprod")
}

/// The sums of some tiles for some rows of activations.
///
/// # Safety
/// The processor must have the dot product.
pub unsafe fn sums(tiles: &[Tile], x: &Activations, rows: Range<usize>, sums: &mut [Sums]) {
    // SAFETY: the caller's.
    unsafe {
        tile_by_tile(
            &[(4, some::<4>), (2, some::<2>), (1, some::<1>)],
            tiles,
            x,
            rows,
            sums,
        )
    }
}

/// `R` rows from `first` on, one quarter of the tile after the other.
#[target_feature(enable = "neon,dotprod")]
unsafe fn some<const R: usize>(
    tile: &Tile,
    x: &Activations,
    first: usize,
    sums: &mut [[f32; ROWS]],
) {
    let share = x.share(first..first + R);
    for quarter in 0..ROWS / QUARTER {
        let mut all = [vdupq_n_f32(0.0); R];
        for b in 0..tile.blocks {
            if quarter == 0 && share.contains(&b) {
                tile.fetch_next(b);
            }
            let at: [usize; R] = std::array::from_fn(|r| (first + r) * x.blocks + b);
            // SAFETY: a tile's slices are as long as its blocks say; rows and blocks are those of `x`.
            unsafe {
                let quants = at.map(|at| {
                    let quants = x.quants.as_ptr().add(at * BLOCK);
                    [vld1q_s8(quants), vld1q_s8(quants.add(BYTES))]
                });
                let found = match tile.bits {
                    Bits::Eight => eight(tile, b, quarter, quants),
                    Bits::Four => four(tile, b, quarter, quants),
                };
                let scales = halves(tile.scales.as_ptr().add(b), quarter);
                for r in 0..R {
                    let scale = vmulq_n_f32(scales, *x.scales.as_ptr().add(at[r]));
                    all[r] = vfmaq_f32(all[r], scale, vcvtq_f32_s32(found[r]));
                }
                if tile.bits == Bits::Four {
                    let minima = halves(tile.minima.as_ptr().add(b), quarter);
                    for r in 0..R {
                        let sum = *x.scaled_sums.as_ptr().add(at[r]);
                        all[r] = vfmaq_n_f32(all[r], minima, sum);
                    }
                }
            }
        }
        for (all, sums) in all.iter().zip(sums.iter_mut()) {
            // SAFETY: 16 elements, of which these are a quarter.
            unsafe { vst1q_f32(sums.as_mut_ptr().add(quarter * QUARTER), *all) };
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
#[inline]
unsafe fn eight<const R: usize>(
    tile: &Tile,
    b: usize,
    quarter: usize,
    x: [[int8x16_t; 2]; R],
) -> [int32x4_t; R] {
    // SAFETY: the caller's.
    unsafe {
        let weights = tile.quants.as_ptr().add(b * ROWS * BLOCK + quarter * BYTES);
        // The product is of signed bytes.
        let weights = |g: usize| {
            let w = vld1q_u8(weights.add(g * ROWS * 4));
            vreinterpretq_s8_u8(veorq_u8(w, vdupq_n_u8(128)))
        };
        let mut found = [vdupq_n_s32(0); R];
        for half in 0..2 {
            let w: [int8x16_t; 4] = std::array::from_fn(|g| weights(half * 4 + g));
            for r in 0..R {
                found[r] = dots(found[r], w, x[r][half]);
            }
        }
        found
    }
}

#[target_feature(enable = "neon,dotprod")]
#[inline]
unsafe fn four<const R: usize>(
    tile: &Tile,
    b: usize,
    quarter: usize,
    x: [[int8x16_t; 2]; R],
) -> [int32x4_t; R] {
    // SAFETY: the caller's.
    unsafe {
        let weights = tile
            .quants
            .as_ptr()
            .add(b * ROWS * BLOCK / 2 + quarter * BYTES);
        let both: [uint8x16_t; 4] = std::array::from_fn(|g| vld1q_u8(weights.add(g * ROWS * 4)));
        let low = both.map(|both| vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))));
        let high = both.map(|both| vreinterpretq_s8_u8(vshrq_n_u8::<4>(both)));
        let mut found = [vdupq_n_s32(0); R];
        for (half, w) in [low, high].into_iter().enumerate() {
            for r in 0..R {
                found[r] = dots(found[r], w, x[r][half]);
            }
        }
        found
    }
}

/// Adds to `sum` the products of each row with all sixteen of `x`, four in each of `w`.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dots(sum: int32x4_t, w: [int8x16_t; 4], x: int8x16_t) -> int32x4_t {
    let sum = dot::<0>(sum, w[0], x);
    let sum = dot::<1>(sum, w[1], x);
    let sum = dot::<2>(sum, w[2], x);
    dot::<3>(sum, w[3], x)
}

/// Adds to `sum` the four products of each row with the `G`-th four of `x`. std's own function is not stable.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dot<const G: u8>(mut sum: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: it works on these registers alone.
    unsafe {
        asm!("sdot {sum:v}.4s, {w:v}.16b, {x:v}.4b[{g}]", sum = inout(vreg) sum, w = in(vreg) w, x = in(vreg) x, g = const G,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// Four numbers of f16. std's own function is too new.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn halves(of: *const [u16; ROWS], quarter: usize) -> float32x4_t {
    let numbers: float32x4_t;
    // SAFETY: the caller's; it works on these registers alone.
    unsafe {
        let bits = vld1_u16(of.cast::<u16>().add(quarter * QUARTER));
        asm!("fcvtl {numbers:v}.4s, {bits:v}.4h", numbers = lateout(vreg) numbers, bits = in(vreg) bits,
            options(pure, nomem, nostack, preserves_flags));
    }
    numbers
}
