//! Whether answers are as often right as their confidence says.

mod picture;

pub use picture::svg;

use super::example::Example;
use super::stats::{Share, share};
use crate::data::jsonl::{Faults, kind};
use anyhow::{Result, anyhow};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// Bins of about as many rows each: confidences crowd near 1, and of bins as wide as each other most would hold next to nothing. Equal
/// confidences share a bin.
const BINS: usize = 10;

/// Shares of the rows, in percent, whose accuracy is told if only the surest are answered.
const COVERAGE: [usize; 4] = [100, 90, 80, 50];

/// What confidences are worth.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// Where the confidences stood.
    pub field: String,
    pub rows: usize,
    /// The mean over all rows of how far a bin's accuracy is from its mean confidence (Naeini et al. 2015, over these bins).
    pub expected_calibration_error: f64,
    /// How often a right answer has a higher confidence than a wrong one, ties half; none where all are right, or all wrong.
    pub auroc: Option<f64>,
    pub coverage: Vec<Coverage>,
    /// From the least sure to the surest, about as many rows each.
    pub reliability: Vec<Bin>,
}

/// Rows of like confidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Least and largest confidence.
    pub from: f64,
    pub to: f64,
    pub mean_confidence: f64,
    pub accuracy: Share,
}

/// The surest rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coverage {
    /// The share of all rows that they are.
    pub coverage: f64,
    pub rows: usize,
    /// The least confidence among them: `--abstain-below` it answers them, and those that are as sure.
    pub least_confidence: f64,
    /// Of rows that are as sure as the least so many count as there is room for, each as much as the others.
    pub accuracy: f64,
}

/// The confidence of each row. Errors name all rows without one.
pub fn confidences(path: &Path, examples: &[Example], field: &str) -> Result<Vec<f64>> {
    let (mut all, mut faults) = (Vec::new(), Faults::default());
    for example in examples {
        let found = example.fields.get(field);
        match found.and_then(Value::as_f64) {
            _ if example.abstained() => faults.add(anyhow!(
                "{}: has no answer (_abstained): calibrate answers that were made without --abstain-below",
                example.place(path)
            )),
            Some(confidence) if (0.0..=1.0).contains(&confidence) => all.push(confidence),
            Some(other) => faults.add(anyhow!(
                "{}: field \"{field}\" is {other}, expected a number from 0 to 1",
                example.place(path)
            )),
            None => faults.add(anyhow!(
                "{}: field \"{field}\" is {}, expected a confidence (`generate --confidence` writes one)",
                example.place(path),
                found.map_or("missing", kind)
            )),
        }
    }
    faults.refuse()?;
    Ok(all)
}

/// Of rows that are so sure, and right or not.
pub fn calibration(field: &str, mut rows: Vec<(f64, bool)>) -> Calibration {
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let reliability = bins(&rows);
    let off = |bin: &Bin| bin.accuracy.n as f64 * (bin.accuracy.value - bin.mean_confidence).abs();
    let off: f64 = reliability.iter().map(off).sum();
    Calibration {
        field: field.to_owned(),
        rows: rows.len(),
        expected_calibration_error: off / rows.len().max(1) as f64,
        auroc: auroc(&rows),
        coverage: COVERAGE
            .iter()
            .map(|percent| coverage(&rows, *percent))
            .collect(),
        reliability,
    }
}

impl Calibration {
    /// In one line.
    pub fn line(&self) -> String {
        let at = |one: &Coverage| format!("{:.3} at {:.0}%", one.accuracy, 100.0 * one.coverage);
        let coverage: Vec<String> = self.coverage.iter().map(at).collect();
        let auroc = self
            .auroc
            .map_or("none".to_owned(), |auroc| format!("{auroc:.3}"));
        format!(
            "calibration: ece={:.3} auroc={auroc} accuracy={} coverage (n={})",
            self.expected_calibration_error,
            coverage.join(", "),
            self.rows
        )
    }
}

/// Of rows in the order of their confidences.
fn bins(rows: &[(f64, bool)]) -> Vec<Bin> {
    let (mut bins, mut start) = (Vec::new(), 0);
    for bin in 1..=BINS {
        let mut end = bin * rows.len() / BINS;
        if end <= start {
            continue;
        }
        while end < rows.len() && rows[end].0 == rows[end - 1].0 {
            end += 1;
        }
        let own = &rows[start..end];
        bins.push(Bin {
            from: own[0].0,
            to: own[own.len() - 1].0,
            mean_confidence: own.iter().map(|row| row.0).sum::<f64>() / own.len() as f64,
            accuracy: share(right(own), own.len()),
        });
        start = end;
    }
    bins
}

fn right(rows: &[(f64, bool)]) -> usize {
    rows.iter().filter(|row| row.1).count()
}

fn coverage(rows: &[(f64, bool)], percent: usize) -> Coverage {
    let count = (percent * rows.len()).div_ceil(100);
    let least = rows.len().checked_sub(count).and_then(|at| rows.get(at));
    let least = least.map_or(0.0, |row| row.0);
    let first = rows.partition_point(|row| row.0 < least);
    let behind = rows.partition_point(|row| row.0 <= least);
    let surer = &rows[behind..];
    let as_sure = &rows[first..behind];
    let room = (count - surer.len()) as f64 / as_sure.len().max(1) as f64;
    let passed = right(surer) as f64 + room * right(as_sure) as f64;
    Coverage {
        coverage: percent as f64 / 100.0,
        rows: count,
        least_confidence: least,
        accuracy: passed / count.max(1) as f64,
    }
}

fn auroc(rows: &[(f64, bool)]) -> Option<f64> {
    let (mut wrong, mut above) = (0, 0.0);
    for equal in rows.chunk_by(|a, b| a.0 == b.0) {
        let own_right = right(equal);
        let own_wrong = equal.len() - own_right;
        above += own_right as f64 * (wrong as f64 + own_wrong as f64 / 2.0);
        wrong += own_wrong;
    }
    let pairs = right(rows) * wrong;
    (pairs > 0).then(|| above / pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn bins_hold_as_many_rows_and_keep_equals_together() {
        // 40 rows at 1 to 40 hundredths, those of even ones right.
        let rows: Vec<_> = (1..=40)
            .map(|i| (f64::from(i) / 100.0, i % 2 == 0))
            .collect();
        let found = calibration("c", rows.clone());
        assert_eq!(found.reliability.len(), 10);
        assert!(
            found
                .reliability
                .iter()
                .all(|bin| bin.accuracy.n == 4 && bin.accuracy.value == 0.5)
        );
        // Mean confidence is 0.205, every bin's accuracy 0.5 and above it.
        assert!(near(found.expected_calibration_error, 0.5 - 0.205));
        let many = [vec![(1.0, true); 30], vec![(0.5, false); 10]].concat();
        let found = calibration("c", many);
        let sizes: Vec<usize> = found.reliability.iter().map(|bin| bin.accuracy.n).collect();
        assert_eq!(sizes, [10, 30]);
        assert!(near(found.expected_calibration_error, 0.5 * 10.0 / 40.0));
    }

    #[test]
    fn confidence_that_tells_nothing_has_half_and_one_that_tells_all_has_one() {
        let rows = |all: &[(f64, bool)]| calibration("c", all.to_vec());
        let tied = [(0.9, true), (0.8, true), (0.8, false), (0.3, false)];
        assert_eq!(rows(&tied).auroc, Some(3.5 / 4.0));
        assert_eq!(rows(&[(0.5, true), (0.5, false)]).auroc, Some(0.5));
        assert_eq!(rows(&[(0.5, true), (0.9, true)]).auroc, None);
        assert_eq!(rows(&[]).auroc, None);
    }

    #[test]
    fn coverage_counts_the_surest_whatever_their_order() {
        let mut rows = vec![
            (0.9, true),
            (0.8, true),
            (0.5, true),
            (0.5, false),
            (0.1, false),
        ];
        let want = |found: &Calibration| {
            let at: Vec<_> = found
                .coverage
                .iter()
                .map(|c| (c.rows, c.least_confidence))
                .collect();
            assert_eq!(at, [(5, 0.1), (5, 0.1), (4, 0.5), (3, 0.5)]);
            let accuracy: Vec<f64> = found.coverage.iter().map(|c| c.accuracy).collect();
            // Half of the two at 0.5 is in the half.
            for (found, wanted) in accuracy.iter().zip([0.6, 0.6, 0.75, 2.5 / 3.0]) {
                assert!(near(*found, wanted), "{accuracy:?}");
            }
        };
        want(&calibration("c", rows.clone()));
        rows.reverse();
        let found = calibration("c", rows);
        want(&found);
        assert_eq!(
            found.line(),
            "calibration: ece=0.080 auroc=0.917 accuracy=0.600 at 100%, 0.600 at 90%, 0.750 at 80%, 0.833 at 50% coverage (n=5)"
        );
    }
}
