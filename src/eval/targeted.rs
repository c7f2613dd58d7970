//! Training rows for what a model gets wrong: out of a pool, rows that ask for what the failed ones ask for, each kind of failure in
//! its proportion. Nothing that is like a scored row, or in a held-out file, is chosen.

mod pool;

use super::choices::named;
use super::example::Example;
use super::score::ScoredRow;
use super::slices::features;
use super::summary::failures;
use crate::data::jsonl::Line;
use crate::data::record::Columns;
use crate::sql::shape::shape;
use anyhow::Result;
use pool::{Held, Pool, Row};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What to choose from, and how much.
pub struct Request<'a> {
    /// Scored rows; the failed ones are targeted.
    pub rows: &'a [ScoredRow],
    /// The scored rows as they were asked, where they are at hand: their prompts are not chosen, and their domain and curriculum count.
    pub asked: &'a [Example],
    /// Files of which the same holds: their prompts are not chosen, and they say what the scored rows of the same id are.
    pub heldout: &'a [PathBuf],
    /// Training rows with a question and an answer.
    pub pool: &'a Path,
    /// How the pool's columns are called.
    pub columns: &'a Columns,
    /// How many rows are wanted.
    pub count: usize,
    /// Decides between rows that are as good; same seed, same rows.
    pub seed: u64,
}

/// Rows as they were written, and why they.
pub struct Targeted {
    /// In the order of the manifest.
    pub lines: Vec<Line>,
    pub manifest: Manifest,
}

/// What was chosen and why. It holds no text of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    pub pool: PathBuf,
    pub pool_rows: usize,
    pub seed: u64,
    pub wanted: usize,
    pub chosen: usize,
    /// Rows of the pool that are like a scored or held-out row, or their prompts.
    pub held_out: usize,
    /// Rows of the pool whose answer has no query.
    pub without_query: usize,
    /// Rows of the pool that say what one before them says.
    pub repeated: usize,
    /// By kind of failure, the most frequent first.
    pub failures: Vec<Share>,
    pub rows: Vec<Chosen>,
}

/// A kind of failure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    pub failure_type: String,
    pub failed: usize,
    pub wanted: usize,
    pub chosen: usize,
}

/// A chosen row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// Its line in the pool.
    pub line: usize,
    pub id: Option<String>,
    pub failure_type: String,
    /// The failed row that it is for.
    pub failed: String,
    pub why: Why,
}

/// What a chosen row has in common with the failed one, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The same query but for names and literals.
    Shape,
    /// The same clauses: joins, aggregates, filters, groups, order.
    Clauses,
    /// The same curriculum.
    Curriculum,
    /// The clause that the kind of failure is about.
    FailedClause,
    /// The same domain, where the failure is about names.
    Domain,
}

/// Chooses rows. There may be fewer than wanted: those that have nothing in common with a failed row teach nothing about it.
///
/// Errors where a file cannot be read, or a row of the pool means nothing to training.
pub fn choose(request: &Request) -> Result<Targeted> {
    let held = Held::read(request.rows, request.asked, request.heldout)?;
    let Pool {
        rows: pool,
        all,
        held_out,
        without_query,
        repeated,
    } = Pool::read(request.pool, request.columns, &held, request.seed)?;
    let kinds = failures(request.rows);
    let wanted = quotas(&kinds, request.count);
    let mut used = vec![false; pool.len()];
    let (mut picked, mut shares) = (Vec::new(), Vec::new());
    for ((kind, failed), wanted) in kinds.into_iter().zip(wanted) {
        let of_kind = |row: &&ScoredRow| row.scores.failure_type.as_deref() == Some(kind);
        let needs = request.rows.iter().filter(of_kind);
        let mut needs: Vec<Need> = needs.map(|row| Need::of(row, kind, &held)).collect();
        let before = picked.len();
        // Every failed row takes one in turn, until there are enough or none takes any.
        while picked.len() - before < wanted && !needs.is_empty() {
            let mut still = Vec::new();
            for need in needs {
                if picked.len() - before == wanted {
                    break;
                }
                if let Some((at, why)) = need.best(&pool, &used) {
                    used[at] = true;
                    picked.push((at, need.chosen(&pool[at], why)));
                    still.push(need);
                }
            }
            needs = still;
        }
        shares.push(Share {
            failure_type: kind.to_owned(),
            failed,
            wanted,
            chosen: picked.len() - before,
        });
    }
    let mut lines: BTreeMap<usize, Line> =
        pool.into_iter().map(|row| row.line).enumerate().collect();
    let (places, rows): (Vec<usize>, Vec<Chosen>) = picked.into_iter().unzip();
    Ok(Targeted {
        lines: places.iter().filter_map(|at| lines.remove(at)).collect(),
        manifest: Manifest {
            pool: request.pool.to_owned(),
            pool_rows: all,
            seed: request.seed,
            wanted: request.count,
            chosen: rows.len(),
            held_out,
            without_query,
            repeated,
            failures: shares,
            rows,
        },
    })
}

/// `count` in proportion to the failures, by largest remainder; equals by their order.
fn quotas(kinds: &[(&str, usize)], count: usize) -> Vec<usize> {
    let all: usize = kinds.iter().map(|(_, failed)| failed).sum();
    let exact = |failed: usize| count as u128 * failed as u128;
    let whole = |failed: usize| (exact(failed) / all.max(1) as u128) as usize;
    let mut quotas: Vec<usize> = kinds.iter().map(|(_, failed)| whole(*failed)).collect();
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(exact(kinds[at].1) % all.max(1) as u128));
    let left = count - quotas.iter().sum::<usize>();
    order.iter().take(left).for_each(|&at| quotas[at] += 1);
    quotas
}

/// What a failed row asks for.
struct Need {
    id: String,
    kind: String,
    shape: String,
    clauses: Vec<&'static str>,
    curriculum: Option<String>,
    domain: Option<String>,
}

impl Need {
    fn of(row: &ScoredRow, kind: &str, held: &Held) -> Self {
        let id = named(row.id.as_deref(), row.index);
        let known = held.known.get(&id).cloned().unwrap_or_default();
        Self {
            kind: kind.to_owned(),
            shape: shape(&row.gold_sql),
            clauses: features(&row.gold_sql).collect(),
            curriculum: known.curriculum,
            domain: known.domain,
            id,
        }
    }

    /// The unused row that has most in common with this one.
    fn best(&self, pool: &[Row], used: &[bool]) -> Option<(usize, Why)> {
        let free = pool.iter().enumerate().filter(|(at, _)| !used[*at]);
        let fits = free.filter_map(|(at, row)| {
            let domain = row.domain.is_none() || row.domain != self.domain;
            Some(((self.why(row)?, domain), at))
        });
        // The first of equals: the pool is in the order of the seed.
        fits.min().map(|((why, _), at)| (at, why))
    }

    fn why(&self, row: &Row) -> Option<Why> {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        if row.shape == self.shape {
            Some(Why::Shape)
        } else if row.clauses == self.clauses {
            Some(Why::Clauses)
        } else if same(&row.curriculum, &self.curriculum) {
            Some(Why::Curriculum)
        } else if clause(&self.kind).is_some_and(|clause| row.clauses.contains(&clause)) {
            Some(Why::FailedClause)
        } else if self.kind == "sql_wrong_schema" && same(&row.domain, &self.domain) {
            Some(Why::Domain)
        } else {
            None
        }
    }

    fn chosen(&self, row: &Row, why: Why) -> Chosen {
        Chosen {
            line: row.line.number,
            id: row.id.clone(),
            failure_type: self.kind.clone(),
            failed: self.id.clone(),
            why,
        }
    }
}

/// The clause that a kind of failure is about.
fn clause(kind: &str) -> Option<&'static str> {
    match kind {
        "sql_missing_join" => Some("join"),
        "sql_unneeded_join" => Some("single_table"),
        "sql_wrong_aggregation" => Some("aggregate"),
        "sql_wrong_filter" => Some("filter"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
