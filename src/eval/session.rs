//! What a mode may ask while it scores one row: databases, results, schemas. Each mode has a deadline of its own.

mod timed;

use crate::db::home::Home;
use crate::db::registry::Driver;
use crate::db::sandbox::Sandbox;
use crate::db::schema::Table;
use crate::db::sqlite::Now;
use crate::sql::error::SqlError;
use crate::sql::extract::Extraction;
use crate::sql::spider::Schema;
use crate::sql::value::{Row, Value};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Most bytes of reference results that are kept.
const MAX_CACHE: usize = 64 << 20;
/// How often r-ves runs each query unless told otherwise, as the original does.
pub const REPEATS: u16 = 100;

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

/// What is about to happen and may take long.
#[derive(Clone, Debug)]
pub enum Event {
    /// A database is opened, maybe built.
    Opening,
    /// A query runs and may use so much processor time; as much as it is given where it runs on a server, which minds its time.
    Running(Query, Option<Duration>),
    /// It ended; its result is compared.
    Returned,
}

/// How replies and database names are read, by every mode that needs to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// How the query is found in a reply.
    pub extract: Extraction,
    /// Whether links may lead out of the database folder.
    pub follow_links: bool,
}

/// How to score.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// Processor time that all predicted queries of a row may use together in each mode, and each reference query.
    pub timeout: Duration,
    /// Whether spider-ts leaves DISTINCT where it is.
    pub keep_distinct: bool,
    /// Whether mode factory wants a match on every database of a row's test suite, and not on its own alone.
    pub suites: bool,
    pub rules: Rules,
    /// The time of day that all queries see.
    pub now: Now,
    /// Most bytes that a scored row shows of a result.
    pub shown: usize,
    /// Folder of gold results in files, where there is one.
    pub gold_dir: Option<PathBuf>,
    /// How often r-ves runs each query, at most.
    pub repeats: u16,
}

/// What stays from row to row: open databases and reference results.
pub struct Desk {
    pub options: Options,
    sandbox: Sandbox,
    gold: HashMap<Query, Outcome>,
    /// Bytes of `gold`.
    held: usize,
    notify: Box<dyn FnMut(Event)>,
    /// Why nothing can be said of rows any more.
    pub gone: Option<SqlError>,
}

/// How long is waited before a server is asked once more, which does not answer or has no room.
const WAITS: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(4),
];

impl Desk {
    /// `notify` hears of every event before it happens.
    pub fn new(home: Home, options: Options, notify: Box<dyn FnMut(Event)>) -> Self {
        Self {
            sandbox: Sandbox::new(home, options.rules.follow_links),
            options,
            gold: HashMap::new(),
            held: 0,
            notify,
            gone: None,
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

    /// Runs a query; also how much time it used, of the sandbox's clock.
    fn run(&mut self, query: &Query, timeout: Duration) -> (Result<Vec<Row>, SqlError>, Duration) {
        let Query {
            file,
            sql,
            reversed,
            ..
        } = query;
        let mut waits = WAITS.iter();
        loop {
            if !self.sandbox.is_open(file, *reversed) {
                (self.notify)(Event::Opening);
                if let Err(error) = self.sandbox.open(file, *reversed) {
                    return (Err(error), Duration::ZERO);
                }
            }
            let watched = (!self.sandbox.is_elsewhere()).then_some(timeout);
            (self.notify)(Event::Running(query.clone(), watched));
            let start = self.sandbox.clock();
            let result = self.sandbox.run(file, *reversed, sql, timeout);
            let used = self.sandbox.clock().saturating_sub(start);
            (self.notify)(Event::Returned);
            if let (Err(error @ SqlError::Database(_)), true) =
                (&result, self.sandbox.is_elsewhere())
            {
                if let Some(wait) = waits.next() {
                    std::thread::sleep(*wait);
                    continue;
                }
                // It is the query's doing where the server answers others.
                match self.sandbox.columns(file, "SELECT 1") {
                    Ok(_) => {
                        let reason = "the server ends the connection each time".to_owned();
                        return (Err(SqlError::ResourceLimit(reason)), used);
                    }
                    Err(_) => self.gone = Some(error.clone()),
                }
            }
            if !self.sandbox.made_room(&result, file, *reversed) {
                return (result, used);
            }
        }
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
    /// What is left of the deadline of the mode's predicted queries.
    left: Duration,
    /// The row's own database, whose results several modes may ask for; those of a suite's other databases are not kept.
    own: Option<PathBuf>,
    /// Results and how much time they took.
    predicted: HashMap<Query, (Outcome, Duration)>,
}

impl Session<'_> {
    pub fn options(&self) -> &Options {
        &self.desk.options
    }

    /// Begins a mode: it has the whole deadline, whatever the modes before it used.
    pub fn begin_mode(&mut self) {
        self.left = self.desk.options.timeout;
    }

    /// The files of a database, the first its own, others of its test suite.
    pub fn locate(&mut self, db: &str) -> Result<Vec<PathBuf>, SqlError> {
        let files = self.desk.sandbox.locate(db)?;
        self.own = files.first().cloned();
        Ok(files)
    }

    /// What opens a database.
    pub fn driver(&self, file: &Path) -> Driver {
        self.desk.sandbox.driver(file)
    }

    /// The tables of a database.
    pub fn schema(&mut self, file: &Path) -> Result<Rc<Schema>, SqlError> {
        (self.desk.notify)(Event::Opening);
        self.desk.sandbox.schema(file)
    }

    /// The tables and views of a database, as its engine tells them.
    pub fn tables(&mut self, file: &Path) -> Result<Vec<Table>, SqlError> {
        (self.desk.notify)(Event::Opening);
        self.desk.sandbox.tables(file)
    }

    /// The names of the columns of a query that ran.
    pub fn columns(&mut self, file: &Path, sql: &str) -> Result<Vec<String>, SqlError> {
        (self.desk.notify)(Event::Opening);
        self.desk.sandbox.columns(file, sql)
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
        let outcome = Rc::new(self.desk.run(&query, timeout).0);
        self.desk.keep(query, &outcome);
        outcome
    }

    /// What the predicted query returns. It runs once for all modes, and each pays for it.
    pub fn predicted(&mut self, file: &Path, sql: &str) -> Outcome {
        let query = Query {
            side: Side::Predicted,
            file: file.to_owned(),
            sql: sql.to_owned(),
            reversed: false,
        };
        let (outcome, used) = match self.predicted.get(&query) {
            Some(ran) => ran.clone(),
            None => {
                let whole = self.left == self.desk.options.timeout;
                let ran = self.run_predicted(&query);
                if whole && self.own.as_deref() == Some(file) {
                    self.predicted.insert(query, ran.clone());
                }
                ran
            }
        };
        let late = used > self.left || matches!(outcome.as_ref(), Err(SqlError::Timeout(_)));
        self.left = self.left.saturating_sub(used);
        match late {
            true => {
                self.left = Duration::ZERO;
                let whole = self.desk.options.timeout.as_millis() as u64;
                Rc::new(Err(SqlError::Timeout(whole)))
            }
            false => outcome,
        }
    }

    fn run_predicted(&mut self, query: &Query) -> (Outcome, Duration) {
        let (result, used) = match self.known(query) {
            Some(error) => (Err(error), Duration::ZERO),
            None if self.left.is_zero() => (Err(SqlError::Timeout(0)), Duration::ZERO),
            None => self.desk.run(query, self.left),
        };
        (Rc::new(result), used)
    }

    fn known(&self, query: &Query) -> Option<SqlError> {
        let known = self.known.iter().find(|(known, _)| known == query)?;
        Some(known.1.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::desk;

    #[test]
    fn each_mode_pays_for_its_queries_and_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.sql");
        std::fs::write(&file, "CREATE TABLE t(a);").unwrap();
        let mut desk = desk(folder.path(), Duration::from_secs(60));
        let mut session = desk.session(&[], 1);
        session.locate("x").unwrap();
        let query = |sql: &str| Query {
            side: Side::Predicted,
            file: file.clone(),
            sql: sql.to_owned(),
            reversed: false,
        };
        let runs = |session: &mut Session, sql: &str| session.predicted(&file, sql).is_ok();
        session.begin_mode();
        assert!(runs(&mut session, "SELECT 1"));
        assert!(runs(&mut session, "SELECT 2"));
        let kept = |sql: &str| session.predicted.contains_key(&query(sql));
        assert!(kept("SELECT 1"));
        assert!(!kept("SELECT 2"), "it did not have the whole deadline");

        // Two queries that used more than half of it, as if they had run.
        for sql in ["a", "b"] {
            let ran = (Rc::new(Ok(Vec::new())), Duration::from_secs(35));
            session.predicted.insert(query(sql), ran);
        }
        session.begin_mode();
        assert!(runs(&mut session, "a"));
        assert!(!runs(&mut session, "b"), "one deadline for all of a mode");
        assert!(!runs(&mut session, "SELECT 1"), "it is used up");
        session.begin_mode();
        assert!(runs(&mut session, "b"), "another mode has its own");
        assert!(!runs(&mut session, "a"), "and pays for what ran before");
    }
}
