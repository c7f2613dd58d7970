//! Where the databases are that rows name, and what runs the rows' queries on them.

use super::modes;
use super::pool::Pool;
use super::session::{Options, REPEATS, Rules};
use super::shown::most_bytes;
use super::stop::Stop;
use super::worker::{Job, Reply, Setup};
use crate::db::home::Home;
use crate::db::sqlite::Now;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Duration;

/// Databases and processes that run queries on them, in the first mode.
#[derive(Clone, Debug)]
pub struct Databases {
    pub home: Home,
    /// What starts a process that runs queries.
    pub worker: Vec<PathBuf>,
    /// Most processes.
    pub workers: usize,
    /// Processor time of a query.
    pub timeout: Duration,
    pub rules: Rules,
    /// Ends the processes at work.
    pub stop: Stop,
}

impl Databases {
    /// Those of a home, each query in a process of its own that `worker` starts, one a core.
    pub fn new(home: Home, worker: Vec<PathBuf>, timeout: Duration, rules: Rules) -> Self {
        Self {
            home,
            worker,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            timeout,
            rules,
            stop: Stop::default(),
        }
    }

    /// The same, at work until `stop` says otherwise.
    pub fn until(&self, stop: &Stop) -> Self {
        Self {
            stop: stop.clone(),
            ..self.clone()
        }
    }

    /// The reply to one job.
    pub fn reply(&self, job: Job) -> Result<Reply> {
        let mut found = None;
        self.pool(1).run(vec![(0, job)], |_, reply, _| {
            found = Some(reply);
            Ok(())
        })?;
        found.context("a scoring process left a job out")
    }

    /// The processes for so many rows.
    pub fn pool(&self, rows: usize) -> Pool {
        self.of(rows, Now::current(), false)
    }

    /// Those that judge what is to be learned: a reply is right only where it is so on every database of a row's test suite. All queries see
    /// that time of day.
    pub fn judges(&self, rows: usize, now: Now) -> Pool {
        self.of(rows, now, true)
    }

    fn of(&self, rows: usize, now: Now, suites: bool) -> Pool {
        let setup = Setup {
            home: self.home.clone(),
            modes: vec![modes::ALL[0].name().to_owned()],
            options: Options {
                timeout: self.timeout,
                keep_distinct: false,
                suites,
                rules: self.rules,
                now,
                shown: most_bytes(rows),
                gold_dir: None,
                repeats: REPEATS,
            },
        };
        Pool::new(&self.worker, &setup, self.workers.min(rows)).until(&self.stop)
    }
}
