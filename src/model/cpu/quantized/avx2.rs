//! The kernel for AVX2: a register holds 8 rows of weights, four of each. A byte is taken in its halves, since sums of two products of
//! whole ones do not fit 16 bits.

use super::activations::Activations;
use super::tiles::{Bits, Tile};
use super::{BLOCK, ROWS, Sums, tile_by_tile};
use std::arch::x86_64::*;
use std::ops::Range;

/// Rows of a register.
pub const HALF: usize = ROWS / 2;

/// Whether the processor has what it needs.
pub fn is_there() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

/// The sums of some tiles for some rows of activations.
///
/// # Safety
/// The processor must have AVX2, FMA and F16C.
pub unsafe fn sums(tiles: &[Tile], x: &Activations, rows: Range<usize>, sums: &mut [Sums]) {
    // SAFETY: the caller's.
    unsafe { tile_by_tile(&[(2, some::<2>), (1, some::<1>)], tiles, x, rows, sums) }
}

/// `R` rows from `first` on.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn some<const R: usize>(
    tile: &Tile,
    x: &Activations,
    first: usize,
    sums: &mut [[f32; ROWS]],
) {
    let mut all = [[_mm256_setzero_ps(); 2]; R];
    for b in 0..tile.blocks {
        let at: [usize; R] = std::array::from_fn(|r| (first + r) * x.blocks + b);
        // SAFETY: a tile's slices are as long as its blocks say; rows and blocks are those of `x`.
        unsafe {
            let found = match tile.bits {
                Bits::Eight => eight(tile, x, b, at),
                Bits::Four => four(tile, x, b, at),
            };
            for side in 0..2 {
                let scales = halves(tile.scales.as_ptr().add(b), side);
                for r in 0..R {
                    let e = _mm256_set1_ps(*x.scales.as_ptr().add(at[r]));
                    let (scale, sum) = (_mm256_mul_ps(scales, e), found[r][side]);
                    all[r][side] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(sum), all[r][side]);
                }
                if tile.bits == Bits::Four {
                    let minima = halves(tile.minima.as_ptr().add(b), side);
                    for r in 0..R {
                        let sum = _mm256_set1_ps(*x.scaled_sums.as_ptr().add(at[r]));
                        all[r][side] = _mm256_fmadd_ps(minima, sum, all[r][side]);
                    }
                }
            }
        }
    }
    for (all, sums) in all.iter().zip(sums) {
        for (side, all) in all.iter().enumerate() {
            // SAFETY: 16 elements, of which these are half.
            unsafe { _mm256_storeu_ps(sums.as_mut_ptr().add(side * HALF), *all) };
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
unsafe fn eight<const R: usize>(
    tile: &Tile,
    x: &Activations,
    b: usize,
    at: [usize; R],
) -> [[__m256i; 2]; R] {
    // SAFETY: the caller's.
    unsafe {
        let weights = tile.quants.as_ptr().add(b * ROWS * BLOCK);
        let mut found = at.map(|at| [_mm256_set1_epi32(*x.excess.as_ptr().add(at)); 2]);
        let mut high = [[_mm256_setzero_si256(); 2]; R];
        for g in 0..BLOCK / 4 {
            for side in 0..2 {
                let (l, h) = nibbles(weights.add(g * 64 + side * 32));
                for r in 0..R {
                    let s = _mm256_set1_epi32(x.group(at[r], g));
                    found[r][side] = _mm256_add_epi32(found[r][side], products(l, s));
                    high[r][side] = _mm256_add_epi32(high[r][side], products(h, s));
                }
            }
        }
        for r in 0..R {
            for side in 0..2 {
                let high = _mm256_slli_epi32::<4>(high[r][side]);
                found[r][side] = _mm256_add_epi32(found[r][side], high);
            }
        }
        found
    }
}

#[target_feature(enable = "avx2")]
#[inline]
#[allow(clippy::needless_range_loop)] // `side` names a half of three things.
unsafe fn four<const R: usize>(
    tile: &Tile,
    x: &Activations,
    b: usize,
    at: [usize; R],
) -> [[__m256i; 2]; R] {
    // SAFETY: the caller's.
    unsafe {
        let weights = tile.quants.as_ptr().add(b * ROWS * BLOCK / 2);
        let mut found = [[_mm256_setzero_si256(); 2]; R];
        for g in 0..BLOCK / 8 {
            for side in 0..2 {
                let (w, further) = nibbles(weights.add(g * 64 + side * 32));
                for r in 0..R {
                    let (s, t) = (
                        _mm256_set1_epi32(x.group(at[r], g)),
                        _mm256_set1_epi32(x.group(at[r], g + 4)),
                    );
                    found[r][side] = _mm256_add_epi32(found[r][side], products(w, s));
                    found[r][side] = _mm256_add_epi32(found[r][side], products(further, t));
                }
            }
        }
        found
    }
}

/// The low and the high halves of 32 bytes, which are aligned.
///
/// # Safety
/// The bytes are there, and the processor must have AVX2.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn nibbles(bytes: *const u8) -> (__m256i, __m256i) {
    let low = _mm256_set1_epi8(15);
    // SAFETY: the caller's.
    let both = unsafe { _mm256_load_si256(bytes.cast()) };
    let high = _mm256_srli_epi16::<4>(both);
    (_mm256_and_si256(both, low), _mm256_and_si256(high, low))
}

/// Σ of four products a row, of weights up to 15.
#[target_feature(enable = "avx2")]
#[inline]
fn products(w: __m256i, s: __m256i) -> __m256i {
    _mm256_madd_epi16(_mm256_maddubs_epi16(w, s), _mm256_set1_epi16(1))
}

/// Numbers of a register's rows, which are f16.
///
/// # Safety
/// The processor must have AVX2 and F16C.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub unsafe fn halves(of: *const [u16; ROWS], side: usize) -> __m256 {
    // SAFETY: the caller's.
    unsafe { _mm256_cvtph_ps(_mm_loadu_si128(of.cast::<u16>().add(side * HALF).cast())) }
}
