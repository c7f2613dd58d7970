//! What a token is chosen by: the best of a row of logits, and how likely each is.

use super::{vector, wide};

/// The best of some logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// The first place of the largest.
    pub index: usize,
    /// How far the second largest is below it.
    pub gap: f32,
}

/// Independent partial results: as many as two vector registers hold.
const LANES: usize = 16;
/// Logits that are looked through at once for a value.
const CHUNK: usize = 256;

/// The best of `logits`; `None` where one is no number, or the largest is not finite.
pub fn best(logits: &[f32]) -> Option<Best> {
    wide(
        #[inline(always)]
        || {
            let (largest, second, numbers) = two_largest(logits);
            if !numbers || !largest.is_finite() {
                return None;
            }
            let mut chunks = logits.chunks(CHUNK);
            let has = |chunk: &[f32]| chunk.iter().fold(false, |has, l| has | (*l == largest));
            let chunk = chunks.position(has)?;
            let within = logits[chunk * CHUNK..].iter().position(|l| *l == largest)?;
            Some(Best {
                index: chunk * CHUNK + within,
                gap: largest - second,
            })
        },
    )
}

/// The two largest, and whether all are numbers.
#[inline(always)]
fn two_largest(logits: &[f32]) -> (f32, f32, bool) {
    let nothing = [f32::NEG_INFINITY; LANES];
    let (mut first, mut second, mut others) = (nothing, nothing, [0u32; LANES]);
    for chunk in logits.chunks(LANES) {
        let lanes = first.iter_mut().zip(&mut second).zip(&mut others);
        for (((first, second), others), &l) in lanes.zip(chunk) {
            let smaller = if l < *first { l } else { *first };
            *second = if smaller > *second { smaller } else { *second };
            *first = if l > *first { l } else { *first };
            *others |= u32::from(l.is_nan());
        }
    }
    let (mut largest, mut next) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for l in first.into_iter().chain(second) {
        match l > largest {
            true => (largest, next) = (l, largest),
            false => next = next.max(l),
        }
    }
    (largest, next, others.iter().all(|lane| *lane == 0))
}

/// e to the power of (logit − `largest`) / `temperature`, of each.
pub fn likelihoods(logits: &[f32], largest: f32, temperature: f64) -> Vec<f32> {
    let scale = (1.0 / temperature) as f32;
    let mut weights = logits.to_vec();
    wide(
        #[inline(always)]
        || {
            for weight in &mut weights {
                *weight = vector::exp((*weight - largest) * scale);
            }
        },
    );
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_two_largest_are_found_wherever_they_are() {
        let mut rng = StdRng::seed_from_u64(1);
        for length in [1, 2, 15, 16, 17, 255, 300, 1000] {
            for _ in 0..50 {
                // Few values, so that the largest is there twice.
                let logits: Vec<f32> = (0..length)
                    .map(|_| rng.random_range(-9..90) as f32)
                    .collect();
                let found = best(&logits).unwrap();
                let mut sorted = logits.clone();
                sorted.sort_by(f32::total_cmp);
                let largest = sorted[length - 1];
                let second = length
                    .checked_sub(2)
                    .map_or(f32::NEG_INFINITY, |at| sorted[at]);
                let index = logits.iter().position(|l| *l == largest).unwrap();
                assert_eq!((found.index, found.gap), (index, largest - second));
            }
        }
    }

    #[test]
    fn what_is_no_number_is_seen_in_every_place() {
        for at in 0..40 {
            for value in [f32::NAN, f32::INFINITY] {
                let mut logits = vec![1.0; 40];
                logits[at] = value;
                assert_eq!(best(&logits), None, "{at}");
            }
        }
        assert_eq!(best(&[f32::NEG_INFINITY; 40]), None);
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn likelihoods_are_exponentials() {
        let found = likelihoods(&[1.0, 0.0, -1.0, f32::NEG_INFINITY], 1.0, 0.5);
        for (found, exact) in found.iter().zip([0f64, -2.0, -4.0, f64::NEG_INFINITY]) {
            assert!((f64::from(*found) - exact.exp()).abs() < 1e-6);
        }
        // As cold as may be.
        assert_eq!(likelihoods(&[3.0, 2.0], 3.0, 1e-7), [1.0, 0.0]);
    }
}
