//! Whether a difference between two settings may be chance: over rows, and over rows and seeds.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Resamples of an interval.
const RESAMPLES: usize = 2_000;

/// The chance that the sum of `sums`, none larger than `most`, is at least as far from 0 when each has its sign by a fair coin. The
/// distribution is computed whole: sums of one size flip as a binomial does.
pub fn randomization(sums: &[i64], most: usize) -> f64 {
    let observed = sums.iter().sum::<i64>().unsigned_abs() as usize;
    // Of sums from -reach to reach, by their chance.
    let (mut chances, mut reach) = (vec![1.0], 0);
    for size in 1..=most {
        let count = sums
            .iter()
            .filter(|sum| sum.unsigned_abs() as usize == size)
            .count();
        if count == 0 {
            continue;
        }
        let wider = reach + size * count;
        let mut next = vec![0.0; 2 * wider + 1];
        for (plus, chance) in coins(count).into_iter().enumerate() {
            // The lowest sum has every sign minus.
            let shift = 2 * size * plus;
            for (at, old) in chances.iter().enumerate() {
                next[at + shift] += chance * old;
            }
        }
        (chances, reach) = (next, wider);
    }
    let far = |at: &usize| at.abs_diff(reach) >= observed;
    let tail = (0..chances.len()).filter(far).map(|at| chances[at]);
    tail.sum::<f64>().min(1.0)
}

/// The chances of 0 to `count` heads.
fn coins(count: usize) -> Vec<f64> {
    let mut logs = vec![0.0; count + 1];
    for heads in 1..=count {
        logs[heads] = logs[heads - 1] + ((count - heads + 1) as f64 / heads as f64).ln();
    }
    let all = count as f64 * std::f64::consts::LN_2;
    logs.into_iter().map(|log: f64| (log - all).exp()).collect()
}

/// The middle 95% of the mean of `table`, rows of one number a seed, over draws of as many rows and seeds.
pub fn interval(table: &[Vec<i64>], seeds: usize) -> [f64; 2] {
    let mut random = StdRng::seed_from_u64(0);
    let mut draw = |count: usize| -> Vec<i64> {
        let mut times = vec![0; count];
        (0..count).for_each(|_| times[random.random_range(0..count)] += 1);
        times
    };
    let cells = (table.len() * seeds) as f64;
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let (rows, columns) = (draw(table.len()), draw(seeds));
            let row = |row: &Vec<i64>| {
                row.iter()
                    .zip(&columns)
                    .map(|(d, times)| d * times)
                    .sum::<i64>()
            };
            let sum: i64 = table
                .iter()
                .zip(rows)
                .map(|(r, times)| times * row(r))
                .sum();
            sum as f64 / cells
        })
        .collect();
    found.sort_by(f64::total_cmp);
    [RESAMPLES / 40, RESAMPLES - 1 - RESAMPLES / 40].map(|at| found[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::stats;

    #[test]
    fn with_one_seed_it_is_mcnemar() {
        for (gained, lost) in [(10, 2), (1, 0), (5, 5), (40, 61), (0, 0)] {
            let mut sums = vec![1; gained];
            sums.extend(vec![-1; lost]);
            sums.extend([0, 0]);
            let p = randomization(&sums, 1);
            let expected = stats::mcnemar_exact(gained, lost);
            assert!(
                (p - expected).abs() < 1e-9,
                "{gained} {lost}: {p} {expected}"
            );
        }
    }

    /// Against all sign patterns, counted one by one.
    #[test]
    fn the_distribution_is_that_of_all_signs() {
        for sums in [vec![3, -1, 2, 2, 0, 1, -3], vec![1, 1, 1, 2], vec![-2, 3]] {
            let observed = sums.iter().sum::<i64>().abs();
            let patterns = 1u32 << sums.len();
            let far = (0..patterns).filter(|pattern| {
                let signed = sums.iter().enumerate();
                let sum: i64 = signed
                    .map(|(i, s)| if pattern >> i & 1 == 1 { *s } else { -s })
                    .sum();
                sum.abs() >= observed
            });
            let expected = far.count() as f64 / f64::from(patterns);
            let p = randomization(&sums, 3);
            assert!((p - expected).abs() < 1e-12, "{sums:?}: {p} {expected}");
        }
    }

    #[test]
    fn an_interval_widens_with_the_seeds() {
        // Every row gains with one seed and loses with the other: rows alone would be sure of 0.
        let table = vec![vec![1, -1]; 50];
        let [low, high] = interval(&table, 2);
        assert_eq!([low, high], [-1.0, 1.0]);
        assert_eq!(interval(&vec![vec![1, 1]; 50], 2), [1.0, 1.0]);
    }
}
