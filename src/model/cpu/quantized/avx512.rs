//! The kernel for AVX-512 with VNNI: a register holds 16 rows of weights, four of each.

use super::activations::Activations;
use super::tiles::{Bits, Tile};
use super::{BLOCK, MOST, ROWS, Sums};
use std::arch::x86_64::*;
use std::ops::Range;

/// Whether the processor has what it needs.
pub fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// The sums of a tile for some rows of activations.
///
/// # Safety
/// The processor must have AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub unsafe fn sums(tile: &Tile, x: &Activations, rows: Range<usize>, sums: &mut Sums) {
    let mut at = rows.start;
    while at < rows.end {
        let place = at - rows.start;
        let sums = &mut sums[place..];
        // SAFETY: the caller's; the rows are there.
        unsafe {
            at += match rows.end - at {
                MOST.. => some::<8>(tile, x, at, sums),
                4.. => some::<4>(tile, x, at, sums),
                2.. => some::<2>(tile, x, at, sums),
                _ => some::<1>(tile, x, at, sums),
            };
        }
    }
}

/// `R` rows from `first` on; returns `R`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn some<const R: usize>(
    tile: &Tile,
    x: &Activations,
    first: usize,
    sums: &mut [[f32; ROWS]],
) -> usize {
    assert!(first + R <= x.rows && sums.len() >= R && tile.blocks == x.blocks);
    // SAFETY: a tile's slices are as long as its blocks say, and rows and blocks are those of `x`.
    unsafe {
        match tile.bits {
            Bits::Eight => eight::<R>(tile, x, first, sums),
            Bits::Four => four::<R>(tile, x, first, sums),
        }
    }
    R
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn eight<const R: usize>(
    tile: &Tile,
    x: &Activations,
    first: usize,
    sums: &mut [[f32; ROWS]],
) {
    let mut all = [_mm512_setzero_ps(); R];
    for b in 0..tile.blocks {
        // SAFETY: the caller's.
        unsafe {
            let weights = tile.quants.as_ptr().add(b * ROWS * BLOCK);
            let at: [usize; R] = std::array::from_fn(|r| (first + r) * x.blocks + b);
            let mut found = at.map(|at| _mm512_set1_epi32(-128 * *x.sums.as_ptr().add(at)));
            for g in 0..BLOCK / 4 {
                let w = _mm512_load_si512(weights.add(g * 64).cast());
                for r in 0..R {
                    found[r] =
                        _mm512_dpbusd_epi32(found[r], w, _mm512_set1_epi32(x.group(at[r], g)));
                }
            }
            let scales = halves(tile.scales.as_ptr().add(b));
            for r in 0..R {
                let scale = _mm512_mul_ps(scales, _mm512_set1_ps(*x.scales.as_ptr().add(at[r])));
                all[r] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(found[r]), all[r]);
            }
        }
    }
    store(&all, sums);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn four<const R: usize>(
    tile: &Tile,
    x: &Activations,
    first: usize,
    sums: &mut [[f32; ROWS]],
) {
    let low = _mm512_set1_epi8(15);
    let mut all = [_mm512_setzero_ps(); R];
    for b in 0..tile.blocks {
        // SAFETY: the caller's.
        unsafe {
            let weights = tile.quants.as_ptr().add(b * ROWS * BLOCK / 2);
            let at: [usize; R] = std::array::from_fn(|r| (first + r) * x.blocks + b);
            let mut found = [_mm512_setzero_si512(); R];
            for g in 0..BLOCK / 8 {
                let both = _mm512_load_si512(weights.add(g * 64).cast());
                let w = _mm512_and_si512(both, low);
                let further = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
                for r in 0..R {
                    found[r] =
                        _mm512_dpbusd_epi32(found[r], w, _mm512_set1_epi32(x.group(at[r], g)));
                    found[r] = _mm512_dpbusd_epi32(
                        found[r],
                        further,
                        _mm512_set1_epi32(x.group(at[r], g + 4)),
                    );
                }
            }
            let scales = halves(tile.scales.as_ptr().add(b));
            let minima = halves(tile.minima.as_ptr().add(b));
            for r in 0..R {
                let scale = _mm512_mul_ps(scales, _mm512_set1_ps(*x.scales.as_ptr().add(at[r])));
                all[r] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(found[r]), all[r]);
                let sum = _mm512_set1_ps(*x.scaled_sums.as_ptr().add(at[r]));
                all[r] = _mm512_fmadd_ps(minima, sum, all[r]);
            }
        }
    }
    store(&all, sums);
}

#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn halves(of: *const [u16; ROWS]) -> __m512 {
    // SAFETY: the caller's.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(of.cast())) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(all: &[__m512], sums: &mut [[f32; ROWS]]) {
    for (all, sums) in all.iter().zip(sums) {
        // SAFETY: it has 16 elements.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), *all) };
    }
}
