//! The reference queries of a set: each different one is looked at once, and by the worker that will need it again.

use super::audit::Finding;
use super::example::Example;
use super::pool::Pool;
use super::worker::{Job, Reply, Task};
use crate::sql::error::SqlError;
use anyhow::Result;
use std::collections::BTreeMap;

/// Deadlines that a reference query may take which needed less than one when it was checked.
const PATIENCE: u32 = 10;

/// What is said of a reference that cannot be used.
pub fn fault(error: &SqlError) -> String {
    match error {
        SqlError::Gold(what) => what.clone(),
        error => format!("gold_sql gave no rows: {error}"),
    }
}

/// The different references.
pub struct Golds {
    /// The first row of each.
    first: Vec<usize>,
    /// For each row, which of them it has.
    home: Vec<usize>,
}

impl Golds {
    pub fn of(examples: &[Example]) -> Self {
        let mut known = BTreeMap::new();
        let mut golds = Self {
            first: Vec::new(),
            home: Vec::new(),
        };
        for (row, example) in examples.iter().enumerate() {
            let next = golds.first.len();
            let home = *known
                .entry((
                    example.text("db"),
                    example.text("gold_sql"),
                    &example.standard,
                ))
                .or_insert(next);
            if home == next {
                golds.first.push(row);
            }
            golds.home.push(home);
        }
        golds
    }

    /// A job for each different reference query.
    fn jobs(&self, examples: &[Example], task: Task) -> Vec<(usize, Job)> {
        let job = |(home, &row): (usize, &usize)| (home, Job::of(&examples[row], task));
        self.first.iter().enumerate().map(job).collect()
    }

    /// The rows whose reference query cannot be used, and why.
    pub fn broken(
        &self,
        examples: &[Example],
        pool: &mut Pool,
    ) -> Result<BTreeMap<usize, SqlError>> {
        let mut broken = BTreeMap::new();
        pool.run(self.jobs(examples, Task::Gold), |home, reply, _| {
            if let Reply::Gold(Some(error)) = reply {
                broken.insert(home, error);
            }
            Ok(())
        })?;
        let rows = self.home.iter().enumerate();
        let rows = rows.filter_map(|(row, home)| Some((row, broken.get(home)?.clone())));
        Ok(rows.collect())
    }

    /// What is odd about the reference query of each row.
    pub fn audit(&self, examples: &[Example], pool: &mut Pool) -> Result<Vec<Vec<Finding>>> {
        let mut findings = vec![Vec::new(); self.first.len()];
        pool.run(self.jobs(examples, Task::Audit), |home, reply, _| {
            if let Reply::Audit(found) = reply {
                findings[home] = found;
            }
            Ok(())
        })?;
        let rows = self.home.iter().map(|home| findings[*home].clone());
        Ok(rows.collect())
    }

    /// The job that scores a row, whose reference query was `broken` when it was checked.
    pub fn score(&self, example: &Example, row: usize, broken: Option<&SqlError>) -> (usize, Job) {
        let mut job = Job::of(example, Task::Score);
        // Broken in another way it may be so for one mode alone.
        if !matches!(broken, Some(SqlError::Timeout(_))) {
            job.patience = PATIENCE;
        }
        (self.home[row], job)
    }
}
