//! Preference rows: a train row's answer beside a wrong one of a known kind.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::corrupt::{Corruption, WRONG_SCHEMA, corruptions, malformed};
use super::database::Database;
use super::fill::rank;
use super::rows::{PreferenceRow, TrainRow};

/// Pairs `count` of the train rows with a wrong answer each, the kinds of failure as even as they can be.
pub fn make(
    train: &[TrainRow],
    databases: &BTreeMap<String, Database>,
    count: usize,
    seed: u64,
) -> Result<Vec<PreferenceRow>> {
    let mut order: Vec<usize> = (0..train.len()).collect();
    order.sort_by_cached_key(|at| rank(seed, &["preference", &train[*at].id]));
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    let mut chosen = BTreeMap::new();
    for at in order.into_iter().take(count) {
        let row = &train[at];
        let database = databases
            .get(&row.domain)
            .with_context(|| row.domain.clone())?;
        let wrong = wrong_answers(&row.response, database)?
            .into_iter()
            .min_by_key(|wrong| {
                let times = used.get(wrong.failure).copied().unwrap_or(0);
                (
                    times,
                    rank(seed, &[wrong.failure, &row.id]),
                    rank(seed, &[&row.id, &wrong.text]),
                )
            })
            .with_context(|| format!("no wrong answer to {}", row.id))?;
        *used.entry(wrong.failure).or_default() += 1;
        chosen.insert(at, wrong);
    }
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let rows = chosen.into_iter().map(|(at, wrong)| {
        let row = &train[at];
        let number = numbers.entry(&row.domain).or_default();
        *number += 1;
        PreferenceRow {
            id: format!("{}-pref-{:03}", row.domain, *number - 1),
            domain: row.domain.clone(),
            failure_type: wrong.failure.to_string(),
            prompt: row.instruction.clone(),
            chosen: row.response.clone(),
            rejected: wrong.text,
        }
    });
    Ok(rows.collect())
}

/// The wrong answers that are wrong: of the wrong form, failing for want of a name, or answering otherwise.
fn wrong_answers(sql: &str, database: &Database) -> Result<Vec<Corruption>> {
    let gold = database.answer(sql)?;
    let mut found = malformed(sql, &gold);
    found.extend(corruptions(sql, database).into_iter().filter(|wrong| {
        match database.answer(&wrong.text) {
            Ok(answer) => wrong.failure != WRONG_SCHEMA && answer != gold,
            Err(_) => wrong.failure == WRONG_SCHEMA,
        }
    }));
    Ok(found)
}
