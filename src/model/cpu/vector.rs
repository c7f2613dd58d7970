//! Arithmetic that compilers turn into vector instructions, unlike calls of libm and sums in order. Always inlined: the caller's
//! `wide` decides on the instructions.

/// eˣ to two units in the last place; 0 below −87.3 and e^88 above 88.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2; eʳ by its Taylor polynomial of degree 7, 2ⁿ by its exponent bits.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to a whole number and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: n times the first is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const LOWEST: f32 = -87.3;
    let x_in = x.clamp(LOWEST, 88.0);
    let shifted = x_in * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x_in - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for c in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = p * r + c;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let y = p * f32::from_bits(exponent.wrapping_add(127) << 23);
    if x < LOWEST { 0.0 } else { y }
}

/// Independent partial results of a reduction: as many as two vector registers hold.
const LANES: usize = 16;

/// Σ x, in a fixed order of its own.
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (l, v) in lanes.iter_mut().zip(chunk) {
            *l += v;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Σ x · y, in the same order.
#[inline(always)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest = xs.remainder().iter().zip(ys.remainder());
    let rest: f32 = rest.map(|(x, y)| x * y).sum();
    for (x, y) in xs.zip(ys) {
        for ((l, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *l += x * y;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// The largest value; −∞ of nothing. NaN is passed over.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied();
    let rest = rest.fold(f32::NEG_INFINITY, larger);
    for chunk in chunks {
        for (l, v) in lanes.iter_mut().zip(chunk) {
            *l = larger(*l, *v);
        }
    }
    lanes.into_iter().fold(rest, larger)
}

/// eˣ⁻ˢ in place.
#[inline(always)]
pub fn exp_shifted(x: &mut [f32], s: f32) {
    for v in x {
        *v = exp(*v - s);
    }
}

#[cfg(test)]
mod tests {
    use super::{dot, exp, max, sum};

    #[test]
    fn is_e_to_the_x() {
        for i in -8730..8800 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            let error = ((f64::from(exp(x)) - exact) / exact).abs();
            assert!(error < 2.5e-7, "{x}: {error}");
        }
        assert_eq!(
            (exp(0.0), exp(-1e30), exp(f32::NEG_INFINITY)),
            (1.0, 0.0, 0.0)
        );
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_see_every_element() {
        let x: Vec<f32> = (0..37).map(|i| (i * 7 % 37) as f32).collect();
        assert_eq!((sum(&x), max(&x)), (666.0, 36.0));
        assert_eq!(dot(&x, &x), (0..37).map(|i| (i * i) as f32).sum::<f32>());
        assert_eq!((sum(&[]), max(&[])), (0.0, f32::NEG_INFINITY));
        assert_eq!(dot(&[], &[]), 0.0);
    }
}
