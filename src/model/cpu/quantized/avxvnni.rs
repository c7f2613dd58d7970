//! The kernel for AVX-VNNI, which processors without AVX-512 have: a register holds 8 rows of weights, four of each.

use super::activations::Activations;
use super::avx2::{self, HALF, halves, nibbles};
use super::tiles::{Bits, Tile};
use super::{BLOCK, ROWS, Sums, tile_by_tile};
use std::arch::x86_64::*;
use std::ops::Range;

/// Whether the processor has what it needs.
pub fn is_there() -> bool {
    is_x86_feature_detected!("avxvnni") && avx2::is_there()
}

/// The sums of some tiles for some rows of activations.
///
/// # Safety
/// The processor must have AVX-VNNI, AVX2, FMA and F16C.
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

/// `R` rows from `first` on, one half of the tile after the other.
#[target_feature(enable = "avxvnni,avx2,fma,f16c")]
unsafe fn some<const R: usize>(
    tile: &Tile,
    x: &Activations,
    first: usize,
    sums: &mut [[f32; ROWS]],
) {
    let share = x.share(first..first + R);
    for side in 0..2 {
        let mut all = [_mm256_setzero_ps(); R];
        for b in 0..tile.blocks {
            if side == 0 && share.contains(&b) {
                tile.fetch_next(b);
            }
            let at: [usize; R] = std::array::from_fn(|r| (first + r) * x.blocks + b);
            // SAFETY: a tile's slices are as long as its blocks say; rows and blocks are those of `x`.
            unsafe {
                let found = match tile.bits {
                    Bits::Eight => eight(tile, x, b, side, at),
                    Bits::Four => four(tile, x, b, side, at),
                };
                let scales = halves(tile.scales.as_ptr().add(b), side);
                for r in 0..R {
                    let e = _mm256_set1_ps(*x.scales.as_ptr().add(at[r]));
                    let sum = _mm256_cvtepi32_ps(found[r]);
                    all[r] = _mm256_fmadd_ps(_mm256_mul_ps(scales, e), sum, all[r]);
                }
                if tile.bits == Bits::Four {
                    let minima = halves(tile.minima.as_ptr().add(b), side);
                    for r in 0..R {
                        let sum = _mm256_set1_ps(*x.scaled_sums.as_ptr().add(at[r]));
                        all[r] = _mm256_fmadd_ps(minima, sum, all[r]);
                    }
                }
            }
        }
        for (all, sums) in all.iter().zip(sums.iter_mut()) {
            // SAFETY: 16 elements, of which these are half.
            unsafe { _mm256_storeu_ps(sums.as_mut_ptr().add(side * HALF), *all) };
        }
    }
}

#[target_feature(enable = "avxvnni,avx2")]
#[inline]
unsafe fn eight<const R: usize>(
    tile: &Tile,
    x: &Activations,
    b: usize,
    side: usize,
    at: [usize; R],
) -> [__m256i; R] {
    // SAFETY: the caller's; lines are aligned.
    unsafe {
        let weights = tile.quants.as_ptr().add(b * ROWS * BLOCK + side * 32);
        let mut found = at.map(|at| _mm256_set1_epi32(*x.excess.as_ptr().add(at)));
        for g in 0..BLOCK / 4 {
            let w = _mm256_load_si256(weights.add(g * 64).cast());
            for r in 0..R {
                let s = _mm256_set1_epi32(x.group(at[r], g));
                found[r] = _mm256_dpbusd_avx_epi32(found[r], w, s);
            }
        }
        found
    }
}

#[target_feature(enable = "avxvnni,avx2")]
#[inline]
unsafe fn four<const R: usize>(
    tile: &Tile,
    x: &Activations,
    b: usize,
    side: usize,
    at: [usize; R],
) -> [__m256i; R] {
    // SAFETY: the caller's; lines are aligned.
    unsafe {
        let weights = tile.quants.as_ptr().add(b * ROWS * BLOCK / 2 + side * 32);
        let mut found = [_mm256_setzero_si256(); R];
        for g in 0..BLOCK / 8 {
            let (w, further) = nibbles(weights.add(g * 64));
            for r in 0..R {
                let (s, t) = (
                    _mm256_set1_epi32(x.group(at[r], g)),
                    _mm256_set1_epi32(x.group(at[r], g + 4)),
                );
                found[r] = _mm256_dpbusd_avx_epi32(found[r], w, s);
                found[r] = _mm256_dpbusd_avx_epi32(found[r], further, t);
            }
        }
        found
    }
}
