//! How many tokens training rows have, how many of them are learned, and which rows are too long.

use super::config::Tokens;
use super::finding::{Finding, Kind, reason};
use super::rows::{Row, Side};
use crate::data::record::Record;
use crate::run::observer::Observer;
use crate::session::lengths::{self, Lengths};
use crate::training::sft::Example;
use anyhow::Result;
use serde::Serialize;

/// The lengths of all training rows together.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub base: String,
    pub template: String,
    pub max_seq: usize,
    /// Most are one a row.
    pub examples: usize,
    pub median: usize,
    /// 95 of 100 are no longer.
    pub p95: usize,
    pub longest: usize,
    pub tokens: usize,
    /// Tokens with the loss on them.
    pub labels: usize,
    pub label_share: f64,
    /// In the order of the rows.
    #[serde(skip)]
    pub all: Vec<usize>,
}

/// Makes the training rows tokens; those that are refused then, or are too long, become findings. None without rows.
pub fn find(
    rows: &[Row],
    tokens: &Tokens,
    findings: &mut Vec<Finding>,
    observer: &dyn Observer,
) -> Result<Option<Summary>> {
    let train: Vec<&Row> = rows.iter().filter(|r| r.side == Side::Train).collect();
    let records = train.iter().filter_map(|row| {
        Some(Record {
            place: row.place.clone(),
            content: row.content.clone()?,
        })
    });
    let Lengths { rows, positions } =
        lengths::measure(&tokens.base, tokens.template, records.collect(), observer)?;
    let most = tokens.max_seq.min(positions);
    let (mut all, mut labels) = (Vec::new(), 0);
    for (row, examples) in train.iter().zip(rows) {
        match examples {
            Ok(examples) => {
                for example in examples {
                    all.push(example.len());
                    labels += example.labels();
                    findings.extend(too_long(&example, most, &row.place));
                }
            }
            Err(error) => {
                let detail = reason(&row.place, &error);
                findings.push(Finding::new(Kind::Refused, &row.place, detail));
            }
        }
    }
    let mut sorted = all.clone();
    sorted.sort_unstable();
    let (Some(&longest), count) = (sorted.last(), sorted.len()) else {
        return Ok(None);
    };
    let sum: usize = all.iter().sum();
    Ok(Some(Summary {
        base: tokens.base.clone(),
        template: tokens.template.name(),
        max_seq: tokens.max_seq,
        examples: count,
        median: sorted[(count - 1) / 2],
        p95: sorted[(count * 95).div_ceil(100) - 1],
        longest,
        tokens: sum,
        labels,
        label_share: labels as f64 / sum as f64,
        all,
    }))
}

fn too_long(example: &Example, most: usize, place: &str) -> Option<Finding> {
    let length = example.len();
    let cut = length.checked_sub(most).filter(|cut| *cut > 0)?;
    let what = match example.can_be_cut(most) {
        true => format!("truncate-prompt cuts {cut} of them"),
        false => "truncate-prompt refuses it too: an answer is never cut".to_owned(),
    };
    let detail = format!("{length} tokens, {most} fit: sft refuses it; with --on-long {what}");
    Some(Finding::new(Kind::Long, place, detail))
}
