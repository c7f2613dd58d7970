//! How often any of a row's samples is right, beside the one that was chosen: the most that choosing could reach.

use super::example::{Example, SAMPLES};
use super::golds::Golds;
use super::judged::{Judged, judged};
use super::pool::Pool;
use super::stats::{Share, share};
use crate::data::jsonl::Faults;
use crate::sql::error::SqlError;
use anyhow::{Result, anyhow};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What a row's samples say; `None` of one that has no answer.
pub type Samples = Vec<Option<String>>;

/// Shares of rows that are right, by the first metric of the first mode that can score them.
#[derive(Clone, Debug, Serialize)]
pub struct Passes {
    /// Samples of a row, at most.
    pub samples: usize,
    /// Of rows with any right sample.
    pub any: Share,
    /// The mean share of right samples: what one drawn at random reaches.
    pub mean: f64,
    /// Of rows whose first sample is right.
    pub first: Share,
    /// Of rows whose answer is right.
    pub chosen: Share,
}

impl Passes {
    /// In one line.
    pub fn line(&self) -> String {
        format!(
            "samples: pass@{}={:.3} mean={:.3} first={:.3} chosen={:.3} (n={})",
            self.samples,
            self.any.value,
            self.mean,
            self.first.value,
            self.chosen.value,
            self.any.n
        )
    }
}

/// The samples of each row. Errors name all rows without any.
pub fn samples(path: &Path, examples: &[Example]) -> Result<Vec<Samples>> {
    let (mut all, mut faults) = (Vec::new(), Faults::default());
    for example in examples {
        match own(example) {
            Some(samples) => all.push(samples),
            None => faults.add(anyhow!(
                "{}: field \"{SAMPLES}\" is no list of samples (`generate --samples` writes one)",
                example.place(path)
            )),
        }
    }
    faults.refuse()?;
    Ok(all)
}

fn own(example: &Example) -> Option<Samples> {
    let samples = example.fields.get(SAMPLES)?.as_array()?;
    let answer = |sample: &Value| match sample.get("answer")? {
        Value::Null => Some(None),
        answer => Some(Some(answer.as_str()?.to_owned())),
    };
    let samples: Option<Samples> = samples.iter().map(answer).collect();
    samples.filter(|samples| !samples.is_empty())
}

/// Scores all samples; one that a row has twice is scored once. `broken` are rows whose reference fails, `passed` says which rows passed.
pub fn score(
    examples: &[Example],
    samples: &[Samples],
    golds: &Golds,
    broken: &BTreeMap<usize, SqlError>,
    passed: &[bool],
    pool: &mut Pool,
) -> Result<Passes> {
    let each = samples.iter().enumerate();
    let replies: Vec<(usize, &str)> = each
        .flat_map(|(row, own)| own.iter().flatten().map(move |reply| (row, &**reply)))
        .collect();
    // What two replies have in common is the mode's own matter.
    let alike = str::to_owned;
    let judged = judged(examples, golds, broken, &replies, alike, pool, || Ok(()))?;
    let mut judged = judged.iter();
    let mut right = |answer: &Option<String>| match answer {
        Some(_) => judged.next().is_some_and(Judged::passed),
        None => false,
    };
    let mut of_row = |own: &Samples| own.iter().map(&mut right).collect();
    let rows: Vec<Vec<bool>> = samples.iter().map(&mut of_row).collect();
    let count = |is: &dyn Fn(&Vec<bool>) -> bool| rows.iter().filter(|row| is(row)).count();
    let mean =
        |row: &Vec<bool>| row.iter().filter(|right| **right).count() as f64 / row.len() as f64;
    let n = rows.len();
    Ok(Passes {
        samples: rows.iter().map(Vec::len).max().unwrap_or(0),
        any: share(count(&|row| row.contains(&true)), n),
        mean: rows.iter().map(mean).sum::<f64>() / n.max(1) as f64,
        first: share(count(&|row| row[0]), n),
        chosen: share(passed.iter().filter(|passed| **passed).count(), n),
    })
}
