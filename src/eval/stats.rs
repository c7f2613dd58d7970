//! How sure an accuracy is, and whether two of them differ.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// A share of rows with its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub value: f64,
    pub passed: usize,
    pub n: usize,
    /// Wilson's score interval (Wilson 1927), which holds for few rows and for shares near 0 and 1 too.
    pub wilson95: [f64; 2],
}

/// A mean over rows, each between 0 and 1, with its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    pub value: f64,
    pub n: usize,
    /// Wilson's, as if each row were a yes or a no with that chance: no numbers between 0 and 1 vary more, so that it is rather too wide.
    pub wilson95: [f64; 2],
}

/// `passed` of `n`. Of no rows nothing is known: the share is 0, the interval everything.
pub fn share(passed: usize, n: usize) -> Share {
    let value = passed as f64 / n.max(1) as f64;
    Share {
        value,
        passed,
        n,
        wilson95: wilson95(value, n),
    }
}

/// The mean of numbers between 0 and 1; of none it is 0, the interval everything.
pub fn mean(of: impl Iterator<Item = f64>) -> Mean {
    let (sum, n) = of.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    let value = sum / n.max(1) as f64;
    Mean {
        value,
        n,
        wilson95: wilson95(value, n),
    }
}

fn wilson95(value: f64, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let z = Normal::standard().inverse_cdf(0.975);
    let n = n as f64;
    let whole = 1.0 + z * z / n;
    let middle = (value + z * z / (2.0 * n)) / whole;
    let half = z * (value * (1.0 - value) / n + z * z / (4.0 * n * n)).sqrt() / whole;
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

/// How likely one of `k` is right that are drawn without return from `n` of which `right` are: what is expected of a row's pass@k
/// (Chen et al. 2021, equation 1). `k` is at most `n`.
pub fn pass_at(k: usize, right: usize, n: usize) -> f64 {
    let none: f64 = (n - right + 1..=n)
        .map(|i| 1.0 - (k as f64 / i as f64).min(1.0))
        .product();
    1.0 - none
}

/// McNemar's exact two-sided p: the chance that fair coins split `gained + lost` rows at least as unevenly.
pub fn mcnemar_exact(gained: usize, lost: usize) -> f64 {
    let flipped = (gained + lost) as u64;
    match Binomial::new(0.5, flipped) {
        Ok(coins) => (2.0 * coins.cdf(gained.min(lost) as u64)).min(1.0),
        // One half is a probability.
        Err(error) => unreachable!("{error}"),
    }
}

/// A chance, with as many digits as say something.
pub fn shown_p(p: f64) -> String {
    match p < 1e-4 {
        true => format!("{p:.1e}"),
        false => format!("{p:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    /// statsmodels 0.15: proportion_confint(k, n, method="wilson").
    #[test]
    fn wilson_is_statsmodels() {
        for (passed, n, low, high) in WILSON {
            let [a, b] = share(passed, n).wilson95;
            assert!(near(a, low) && near(b, high), "{passed} of {n}: {a} {b}");
        }
        assert_eq!(share(0, 0).wilson95, [0.0, 1.0]);
    }

    #[test]
    fn a_mean_of_yes_and_no_is_a_share() {
        let (one, other) = (mean([1.0, 0.0, 1.0, 1.0].into_iter()), share(3, 4));
        assert_eq!((one.value, one.n), (other.value, other.n));
        assert_eq!(one.wilson95, other.wilson95);
        assert_eq!(mean(std::iter::empty()).wilson95, [0.0, 1.0]);
    }

    /// By counting all ways to choose k of n.
    #[test]
    fn pass_at_k_is_what_counting_gives() {
        for n in 1..8u32 {
            for right in 0..=n {
                for k in 1..=n {
                    let ways = (0..1u32 << n).filter(|set| set.count_ones() == k);
                    let (mut all, mut with) = (0, 0);
                    for set in ways {
                        all += 1;
                        with += usize::from(set & ((1 << right) - 1) != 0);
                    }
                    let found = pass_at(k as usize, right as usize, n as usize);
                    assert!(near(found, with as f64 / all as f64), "{k} {right} {n}");
                }
            }
        }
    }

    /// statsmodels 0.15: mcnemar([[0, gained], [lost, 0]], exact=True).pvalue.
    #[test]
    fn mcnemar_is_statsmodels() {
        for (gained, lost, p) in MCNEMAR {
            assert!(near(mcnemar_exact(gained, lost), p), "{gained} {lost}");
        }
        assert_eq!(mcnemar_exact(0, 0), 1.0);
    }

    const WILSON: [(usize, usize, f64, f64); 4] = [
        (4, 6, 0.29999331513839184, 0.9032285888942195),
        (0, 50, 0.0, 0.07134759913335874),
        (43, 50, 0.7381380628941445, 0.930491665729837),
        (1999, 2000, 0.9971731374967338, 0.9999117322692944),
    ];
    const MCNEMAR: [(usize, usize, f64); 4] = [
        (1, 0, 1.0),
        (10, 2, 0.03857421875),
        (5, 5, 1.0),
        (40, 61, 0.046044066929342785),
    ];
}
