//! What a mode may ask while it scores one row: databases, results, schemas. A row's queries share one deadline.

use crate::sql::execute::{Sandbox, SqlError};
use crate::sql::spider::Schema;
use crate::sql::value::{Row, Value};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Most bytes of reference results that are kept.
const MAX_CACHE: usize = 64 << 20;

/// The rows of a query, or why there are none.
pub type Outcome = Rc<Result<Vec<Row>, SqlError>>;

/// Whose query it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Side {
    Predicted,
    Gold,
}

/// A query on one database file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Query {
    pub side: Side,
    pub file: PathBuf,
    pub sql: String,
    /// Whether tables are walked backwards.
    pub reversed: bool,
}

/// What is about to happen and may take long; a message before each, so that whoever watches the process knows what it is
/// stuck in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    Opening,
    Running(Query),
    /// A query returned so many rows that comparing them may take a while.
    Returned,
}

/// Rows from which on that is said.
const MANY: usize = 1_000;

/// How to score.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// Deadline of all predicted queries of a row together, and of each reference query.
    pub timeout: Duration,
    /// Whether spider-ts leaves DISTINCT where it is.
    pub keep_distinct: bool,
}

/// What stays from row to row: open databases and reference results.
pub struct Desk {
    pub options: Options,
    sandbox: Sandbox,
    gold: HashMap<Query, Outcome>,
    /// Bytes of `gold`.
    held: usize,
    notify: Box<dyn FnMut(Event)>,
}

impl Desk {
    /// `notify` hears of every event before it happens.
    pub fn new(folder: &Path, options: Options, notify: Box<dyn FnMut(Event)>) -> Self {
        Self {
            options,
            sandbox: Sandbox::new(folder),
            gold: HashMap::new(),
            held: 0,
            notify,
        }
    }

    /// Begins a row. `known` are outcomes of queries that must not run again: they took their process with them.
    /// Its reference query may take `patience` deadlines.
    pub fn session<'a>(&'a mut self, known: &'a [(Query, SqlError)], patience: u32) -> Session<'a> {
        let left = self.options.timeout;
        Session {
            patience,
            desk: self,
            known,
            left,
            own: None,
            predicted: HashMap::new(),
        }
    }

    fn run(&mut self, query: &Query, timeout: Duration) -> Result<Vec<Row>, SqlError> {
        if !self.sandbox.is_open(&query.file, query.reversed) {
            (self.notify)(Event::Opening);
            self.sandbox.open(&query.file, query.reversed)?;
        }
        (self.notify)(Event::Running(query.clone()));
        let Query { file, sql, .. } = query;
        let result = self.sandbox.run(file, query.reversed, sql, timeout);
        if result.as_ref().is_ok_and(|rows| rows.len() >= MANY) {
            (self.notify)(Event::Returned);
        }
        result
    }

    fn keep(&mut self, query: Query, outcome: &Outcome) {
        let bytes = match outcome.as_ref() {
            Ok(rows) => rows.iter().flatten().map(Value::bytes).sum(),
            Err(_) => 0,
        };
        self.held += bytes + size_of::<Query>() + 2 * query.sql.len();
        if self.held > MAX_CACHE {
            self.gold.clear();
            self.held = bytes;
        }
        self.gold.insert(query, outcome.clone());
    }
}

/// One row's view of the [`Desk`].
pub struct Session<'a> {
    desk: &'a mut Desk,
    known: &'a [(Query, SqlError)],
    patience: u32,
    /// What is left of the deadline of the predicted queries.
    left: Duration,
    /// The row's own database, whose results several modes may ask for; those of a suite's other databases are not kept.
    own: Option<PathBuf>,
    predicted: HashMap<Query, Outcome>,
}

impl Session<'_> {
    pub fn options(&self) -> &Options {
        &self.desk.options
    }

    /// The files of a database, the first its own, others of its test suite.
    pub fn locate(&mut self, db: &str) -> Result<Vec<PathBuf>, SqlError> {
        let files = self.desk.sandbox.locate(db)?;
        self.own = files.first().cloned();
        Ok(files)
    }

    /// The tables of a database.
    pub fn schema(&mut self, file: &Path) -> Result<Rc<Schema>, SqlError> {
        (self.desk.notify)(Event::Opening);
        self.desk.sandbox.schema(file)
    }

    /// What the reference query returns; it ran once for all rows that have it.
    pub fn gold(&mut self, file: &Path, sql: &str, reversed: bool) -> Outcome {
        let query = Query {
            side: Side::Gold,
            file: file.to_owned(),
            sql: sql.to_owned(),
            reversed,
        };
        if let Some(outcome) = self.desk.gold.get(&query) {
            return outcome.clone();
        }
        // What took a process with it may have done so for want of luck: another row may try again.
        if let Some(error) = self.known(&query) {
            return Rc::new(Err(error));
        }
        let timeout = self.desk.options.timeout * self.patience;
        let outcome = Rc::new(self.desk.run(&query, timeout));
        self.desk.keep(query, &outcome);
        outcome
    }

    /// What the predicted query returns, once for all modes.
    pub fn predicted(&mut self, file: &Path, sql: &str) -> Outcome {
        let query = Query {
            side: Side::Predicted,
            file: file.to_owned(),
            sql: sql.to_owned(),
            reversed: false,
        };
        if let Some(outcome) = self.predicted.get(&query) {
            return outcome.clone();
        }
        // What one of the row's queries did to a process, none of them may do again.
        let lost = self
            .known
            .iter()
            .find(|(known, _)| known.side == Side::Predicted);
        let outcome = Rc::new(match lost {
            Some((_, error)) => Err(error.clone()),
            None => self.run_predicted(&query),
        });
        if self.own.as_deref() == Some(file) {
            self.predicted.insert(query, outcome.clone());
        }
        outcome
    }

    fn run_predicted(&mut self, query: &Query) -> Result<Vec<Row>, SqlError> {
        let whole = SqlError::Timeout(self.desk.options.timeout.as_millis() as u64);
        if self.left.is_zero() {
            return Err(whole);
        }
        let start = Instant::now();
        let result = self.desk.run(query, self.left);
        self.left = self.left.saturating_sub(start.elapsed());
        match result {
            Err(SqlError::Timeout(_)) => {
                self.left = Duration::ZERO;
                Err(whole)
            }
            other => other,
        }
    }

    fn known(&self, query: &Query) -> Option<SqlError> {
        let known = self.known.iter().find(|(known, _)| known == query)?;
        Some(known.1.clone())
    }
}
