//! The kernel for AVX-512 with VNNI: a register holds 16 rows of weights, four of each. Loops over arrays rather than `map`, whose
//! closures a compiler may leave in functions of their own, without these instructions.

#![allow(clippy::needless_range_loop)]

use super::activations::Activations;
use super::tiles::{Bits, Tile};
use super::{BLOCK, GROUP, MOST, ROWS, Sums};
use std::arch::x86_64::*;
use std::array::from_fn;
use std::ops::Range;

/// Whether the processor has what it needs.
pub fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// The sums of one or two tiles for some rows of activations.
///
/// # Safety
/// The processor must have AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub unsafe fn sums(tiles: &[Tile], x: &Activations, rows: Range<usize>, sums: &mut [Sums]) {
    assert!(rows.end <= x.rows && rows.len() <= MOST && sums.len() >= tiles.len());
    assert!(tiles.iter().all(|tile| tile.blocks == x.blocks));
    let mut at = rows.start;
    // SAFETY: the caller's; rows and blocks are there.
    unsafe {
        while at < rows.end {
            let place = at - rows.start;
            at += match (tiles, rows.end - at) {
                ([a, b], 4..) => part::<2, 4>([a, b], x, at, sums, place),
                ([a, b], 2..) => part::<2, 2>([a, b], x, at, sums, place),
                ([a, b], _) => part::<2, 1>([a, b], x, at, sums, place),
                (_, 4..) => part::<1, 4>([&tiles[0]], x, at, sums, place),
                (_, 2..) => part::<1, 2>([&tiles[0]], x, at, sums, place),
                (_, _) => part::<1, 1>([&tiles[0]], x, at, sums, place),
            };
        }
    }
}

/// `R` rows from `first` on, whose sums begin at `place`; returns `R`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn part<const T: usize, const R: usize>(
    tiles: [&Tile; T],
    x: &Activations,
    first: usize,
    sums: &mut [Sums],
    place: usize,
) -> usize {
    // SAFETY: a tile's slices are as long as its blocks say; rows and blocks are those of `x`.
    unsafe {
        let found = match tiles[0].bits {
            Bits::Eight => blocks::<T, R, false>(tiles, x, first),
            Bits::Four => blocks::<T, R, true>(tiles, x, first),
        };
        for (t, found) in found.iter().enumerate() {
            for (r, found) in found.iter().enumerate() {
                _mm512_storeu_ps(sums[t][place + r].as_mut_ptr(), *found);
            }
        }
    }
    R
}

/// The sums of all blocks, one after the other.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn blocks<const T: usize, const R: usize, const FOUR: bool>(
    tiles: [&Tile; T],
    x: &Activations,
    first: usize,
) -> [[__m512; R]; T] {
    let mut all = [[_mm512_setzero_ps(); R]; T];
    let share = x.share(first..first + R);
    for b in 0..x.blocks {
        if share.contains(&b) {
            tiles.iter().for_each(|tile| tile.fetch_next(b));
        }
        let at: [usize; R] = from_fn(|r| (first + r) * x.blocks + b);
        // SAFETY: the caller's.
        unsafe {
            let found = match FOUR {
                true => four(tiles, x, b, at),
                false => eight(tiles, x, b, at),
            };
            let mut scales = [_mm512_setzero_ps(); T];
            for t in 0..T {
                scales[t] = halves(tiles[t].scales.as_ptr().add(b));
            }
            for r in 0..R {
                let e = _mm512_set1_ps(*x.scales.as_ptr().add(at[r]));
                for t in 0..T {
                    let found = _mm512_cvtepi32_ps(found[t][r]);
                    all[t][r] = _mm512_fmadd_ps(_mm512_mul_ps(scales[t], e), found, all[t][r]);
                }
            }
            if FOUR {
                for t in 0..T {
                    let minima = halves(tiles[t].minima.as_ptr().add(b));
                    for r in 0..R {
                        let sum = _mm512_set1_ps(*x.scaled_sums.as_ptr().add(at[r]));
                        all[t][r] = _mm512_fmadd_ps(minima, sum, all[t][r]);
                    }
                }
            }
        }
    }
    all
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn eight<const T: usize, const R: usize>(
    tiles: [&Tile; T],
    x: &Activations,
    b: usize,
    at: [usize; R],
) -> [[__m512i; R]; T] {
    let mut found = [[_mm512_setzero_si512(); R]; T];
    // SAFETY: the caller's.
    unsafe {
        for r in 0..R {
            let excess = _mm512_set1_epi32(*x.excess.as_ptr().add(at[r]));
            for t in 0..T {
                found[t][r] = excess;
            }
        }
        for g in 0..BLOCK / GROUP {
            let mut w = [_mm512_setzero_si512(); T];
            for t in 0..T {
                w[t] = line(tiles[t], b * (BLOCK / GROUP) + g);
            }
            multiply(&mut found, w, x, at, g);
        }
    }
    found
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn four<const T: usize, const R: usize>(
    tiles: [&Tile; T],
    x: &Activations,
    b: usize,
    at: [usize; R],
) -> [[__m512i; R]; T] {
    const LINES: usize = BLOCK / GROUP / 2;
    let low = _mm512_set1_epi8(15);
    let mut found = [[_mm512_setzero_si512(); R]; T];
    for g in 0..LINES {
        let [mut near, mut far] = [[_mm512_setzero_si512(); T]; 2];
        // SAFETY: the caller's.
        unsafe {
            for t in 0..T {
                let both = line(tiles[t], b * LINES + g);
                near[t] = _mm512_and_si512(both, low);
                far[t] = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
            }
            multiply(&mut found, near, x, at, g);
            multiply(&mut found, far, x, at, g + LINES);
        }
    }
    found
}

/// Adds the products of a line of each tile with the `g`-th four activations of each row.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
unsafe fn multiply<const T: usize, const R: usize>(
    found: &mut [[__m512i; R]; T],
    w: [__m512i; T],
    x: &Activations,
    at: [usize; R],
    g: usize,
) {
    for r in 0..R {
        // SAFETY: the caller's.
        let s = unsafe { _mm512_set1_epi32(x.group(at[r], g)) };
        for t in 0..T {
            found[t][r] = _mm512_dpbusd_epi32(found[t][r], w[t], s);
        }
    }
}

/// The `i`-th line of a tile's quants.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn line(tile: &Tile, i: usize) -> __m512i {
    // SAFETY: the caller's.
    unsafe { _mm512_load_si512(tile.quants.as_ptr().add(i * 64).cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn halves(of: *const [u16; ROWS]) -> __m512 {
    // SAFETY: the caller's.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(of.cast())) }
}
