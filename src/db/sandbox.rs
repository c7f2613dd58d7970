//! The databases that rows name, open in this process: SQLite files and scripts, DuckDB files, a server. Untrusted queries run on them, each
//! within a deadline and bounds on its result.

use super::answer::{Answer, Bounds, Column};
use super::connections::{self, Place};
use super::duckdb::{self, Library};
use super::engine::{CONNECT, Engine};
use super::home::Home;
use super::postgres::{Kept, Timeouts};
use super::processor;
use super::registry::Driver;
use super::schema::{Table, spider};
use super::sqlite::engine::Sqlite;
use super::sqlite::{self, Draws, execute};
use super::values::value;
use crate::sql::error::SqlError;
use crate::sql::spider::Schema;
use crate::sql::value::Row;
use rusqlite::{Connection, ErrorCode};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Most rows that a query may return.
pub const MAX_ROWS: usize = 100_000;
/// Most bytes that a result may take here, every cell counted with its place in its row.
pub const MAX_BYTES: usize = 32 << 20;
/// Databases kept open; beyond that all are closed, so that a thousand of them do not hold a thousand caches.
const MAX_OPEN: usize = 32;
/// Of these, databases built in memory.
const MAX_BUILT: usize = 8;
/// Memory of an open DuckDB file in bytes.
const MEMORY: u64 = 256 << 20;
/// The longest that anything but a query may take of a server.
const CATALOG: Duration = Duration::from_secs(30);

/// An open database.
enum Open {
    Sqlite(Connection, Draws),
    Duckdb(Box<duckdb::Connection<'static>>),
    /// One for all schemas.
    Postgres(Box<Kept>),
}

/// The databases of one home, opened once each. It runs in this process: one SQLite operation cannot be stopped from
/// inside (`instr` on a megabyte outlives a deadline by seconds), and no query of DuckDB's is; whoever must go on puts it in a process of its own.
pub struct Sandbox {
    home: Home,
    follow_links: bool,
    /// When it was made.
    start: Instant,
    located: BTreeMap<String, Vec<PathBuf>>,
    open: BTreeMap<(PathBuf, bool), Open>,
    schemas: BTreeMap<PathBuf, Rc<Schema>>,
}

impl Sandbox {
    /// Touches nothing yet. With `follow_links`, links may lead out of a folder.
    pub fn new(home: Home, follow_links: bool) -> Self {
        Self {
            home,
            follow_links,
            start: Instant::now(),
            located: BTreeMap::new(),
            open: BTreeMap::new(),
            schemas: BTreeMap::new(),
        }
    }

    /// Whether queries run elsewhere, on a server that minds their time.
    pub fn is_elsewhere(&self) -> bool {
        matches!(&self.home, Home::Connection(connection) if connection.driver == Driver::Postgres)
    }

    /// The clock that queries are timed by: the processor time of this thread; of a server the time of day.
    pub fn clock(&self) -> Duration {
        match self.is_elsewhere() {
            true => self.start.elapsed(),
            false => processor::of_thread(),
        }
    }

    /// The files of a database, the first its own; see [`Home::locate`].
    pub fn locate(&mut self, db: &str) -> Result<Vec<PathBuf>, SqlError> {
        if let Some(files) = self.located.get(db) {
            return Ok(files.clone());
        }
        let files = self.home.locate(db, self.follow_links);
        let files = files.map_err(of_database)?;
        self.located.insert(db.to_owned(), files.clone());
        Ok(files)
    }

    /// Whether a located file is open already.
    pub fn is_open(&self, file: &Path, reversed: bool) -> bool {
        self.open.contains_key(&self.key(file, reversed))
    }

    /// Opens a located file, to have it open when a clock starts.
    pub fn open(&mut self, file: &Path, reversed: bool) -> Result<(), SqlError> {
        self.opened(file, reversed).map(drop)
    }

    fn opened(&mut self, file: &Path, reversed: bool) -> Result<&mut Open, SqlError> {
        let key = self.key(file, reversed);
        if !self.open.contains_key(&key) {
            // Built ones lie in the same memory as whatever queries need.
            let built = |file: &Path| file.extension().is_some_and(|extension| extension == "sql");
            let held = self.open.keys().filter(|(file, _)| built(file)).count();
            if self.open.len() >= MAX_OPEN || (built(file) && held >= MAX_BUILT) {
                self.open.clear();
            }
            let opened = match self.home.driver(file) {
                Driver::Duckdb => {
                    let library = Library::find()?;
                    let opened = duckdb::Connection::open(library, file, MEMORY)?;
                    Open::Duckdb(Box::new(opened.for_many()?))
                }
                Driver::Postgres => Open::Postgres(Box::new(self.kept()?)),
                _ => self.open_sqlite(file, reversed)?,
            };
            self.open.insert(key.clone(), opened);
        }
        let lost = || SqlError::Database("it was closed at once".to_owned());
        self.open.get_mut(&key).ok_or_else(lost)
    }

    fn kept(&self) -> Result<Kept, SqlError> {
        let timeouts = Timeouts {
            connect: CONNECT,
            call: CATALOG,
        };
        match &self.home {
            Home::Connection(connections::Connection {
                place: Place::Server(address),
                ..
            }) => Kept::new(address.secret(), timeouts),
            home => Err(SqlError::Database(format!("{home} is no server"))),
        }
    }

    fn open_sqlite(&mut self, file: &Path, reversed: bool) -> Result<Open, SqlError> {
        let mut opened = sqlite::open(file, reversed);
        if !self.open.is_empty() && opened.as_ref().is_err_and(needs_memory) {
            self.open.clear();
            opened = sqlite::open(file, reversed);
        }
        let (connection, draws) = opened.map_err(of_database)?;
        Ok(Open::Sqlite(connection, draws))
    }

    /// What is open once. Only SQLite walks tables backwards. One process should open a file of DuckDB's once alone: the end of a second
    /// opening ends the lock of the first.
    fn key(&self, file: &Path, reversed: bool) -> (PathBuf, bool) {
        match self.home.driver(file) {
            Driver::Postgres => (PathBuf::new(), false),
            driver => (file.to_owned(), reversed && driver == Driver::Sqlite),
        }
    }

    /// What opens a located file.
    pub fn driver(&self, file: &Path) -> Driver {
        self.home.driver(file)
    }

    /// The tables of a located file.
    pub fn schema(&mut self, file: &Path) -> Result<Rc<Schema>, SqlError> {
        if let Some(schema) = self.schemas.get(file) {
            return Ok(schema.clone());
        }
        let schema = match self.home.driver(file) {
            Driver::Sqlite => sqlite::schema(file).map_err(of_database)?,
            _ => spider(&self.tables(file)?),
        };
        let schema = Rc::new(schema);
        self.schemas.insert(file.to_owned(), schema.clone());
        Ok(schema)
    }

    /// The tables and views of a located file, as its engine tells them.
    pub fn tables(&mut self, file: &Path) -> Result<Vec<Table>, SqlError> {
        Ok(match self.opened(file, false)? {
            Open::Sqlite(..) => Sqlite::open(file)?.schema()?,
            Open::Duckdb(connection) => {
                let mut tables = Engine::schema(&**connection)?;
                // What queries may name without a schema.
                tables.retain(|table| table.schema == "main");
                tables
            }
            Open::Postgres(kept) => kept.tables(schema_of(file))?,
        })
    }

    /// The rows of one query, which may use `timeout` of [`Self::clock`]; DuckDB's stops at no time. Nothing that it does outlives the call.
    pub fn run(
        &mut self,
        file: &Path,
        reversed: bool,
        sql: &str,
        timeout: Duration,
    ) -> Result<Vec<Row>, SqlError> {
        // An error of the connection, which is good for nothing more then, or what the query gave.
        let ran = match self.opened(file, reversed)? {
            Open::Sqlite(connection, draws) => {
                draws.store(0, Relaxed);
                // The SQLite binding panics where memory ends between a value and its text.
                let run = || execute::run_before(connection, sql, timeout);
                catch_unwind(AssertUnwindSafe(run)).map_err(|_| SqlError::out_of_memory())
            }
            Open::Duckdb(connection) => still_good(connection.run(sql, MOST).and_then(rows)),
            Open::Postgres(kept) => {
                let answer = kept.run(schema_of(file), sql, MOST, timeout);
                still_good(answer.and_then(rows))
            }
        };
        ran.unwrap_or_else(|broken| {
            self.open.remove(&self.key(file, reversed));
            Err(broken)
        })
    }

    /// The names of the columns that a query returns. It is not run.
    pub fn columns(&mut self, file: &Path, sql: &str) -> Result<Vec<String>, SqlError> {
        match self.opened(file, false)? {
            Open::Sqlite(connection, _) => {
                let statement = execute::query_of(connection, sql, Duration::ZERO)?;
                let names = statement.column_names().into_iter();
                Ok(names.map(str::to_owned).collect())
            }
            Open::Duckdb(connection) => Ok(names(connection.prepare(sql)?)),
            Open::Postgres(kept) => Ok(names(kept.prepare(schema_of(file), sql)?)),
        }
    }

    /// Closes all databases if memory ended while others than this one held some: what a query may need does not depend on
    /// what ran before it. Whether the query should be tried again.
    pub fn made_room(
        &mut self,
        result: &Result<Vec<Row>, SqlError>,
        file: &Path,
        reversed: bool,
    ) -> bool {
        let own = self.key(file, reversed);
        let others = self.open.keys().any(|open| *open != own);
        let again = others && *result == Err(SqlError::out_of_memory());
        if again {
            self.open.clear();
        }
        again
    }
}

fn names(columns: Vec<Column>) -> Vec<String> {
    columns.into_iter().map(|column| column.name).collect()
}

/// The schema that a located "file" of a server is.
fn schema_of(file: &Path) -> &str {
    // It was a text when it was located.
    file.to_str().unwrap_or_default()
}

/// An error of the connection apart from what the query gave.
fn still_good(ran: Result<Vec<Row>, SqlError>) -> Result<Result<Vec<Row>, SqlError>, SqlError> {
    match ran {
        Err(broken @ SqlError::Database(_)) => Err(broken),
        ran => Ok(ran),
    }
}

const MOST: Bounds = Bounds {
    rows: MAX_ROWS,
    bytes: MAX_BYTES,
};

/// What was read within [`MOST`], as the scorer compares it.
fn rows(answer: Answer) -> Result<Vec<Row>, SqlError> {
    if answer.cut.is_some() {
        let most = format!("more than {MAX_ROWS} rows or {MAX_BYTES} bytes");
        return Err(SqlError::ResourceLimit(most));
    }
    let row = |row: Vec<_>| row.into_iter().map(value).collect();
    Ok(answer.rows.into_iter().map(row).collect())
}

fn needs_memory(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<rusqlite::Error>();
        cause.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::OutOfMemory)
    })
}

fn of_database(error: anyhow::Error) -> SqlError {
    SqlError::Database(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::value::Value;
    use std::fs;
    use std::path::Path;
    use std::time::Instant;

    const SCHEMA: &str =
        "CREATE TABLE t(a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, NULL);";

    /// A sandbox, its two databases and a deadline.
    struct Fixture(Sandbox, PathBuf, Duration);

    impl Fixture {
        fn run(&mut self, db: &str, sql: &str) -> Result<Vec<Row>, SqlError> {
            self.0.run(&self.1.join(db), false, sql, self.2)
        }
    }

    fn sandbox(folder: &Path) -> Fixture {
        fs::write(folder.join("memory.sql"), SCHEMA).unwrap();
        Connection::open(folder.join("file.db"))
            .unwrap()
            .execute_batch(SCHEMA)
            .unwrap();
        Fixture(
            Sandbox::new(Home::Folder(folder.to_owned()), false),
            folder.to_owned(),
            Duration::from_millis(300),
        )
    }

    fn cells(rows: &[Row]) -> Vec<Vec<Option<String>>> {
        let text = |value: &Value| Some(String::from_utf8_lossy(&value.text()?).into_owned());
        rows.iter()
            .map(|row| row.iter().map(text).collect())
            .collect()
    }

    #[test]
    fn reads_files_and_databases_built_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut sandbox = sandbox(folder.path());
        for db in ["file.db", "memory.sql"] {
            let rows = sandbox
                .run(db, "SELECT a, b FROM t ORDER BY a; -- done")
                .unwrap();
            let text = |s: &str| Some(s.to_owned());
            assert_eq!(cells(&rows), [[text("1"), text("x")], [text("2"), None]]);
            assert!(
                sandbox
                    .run(db, "WITH c AS (SELECT a FROM t) SELECT * FROM c")
                    .is_ok()
            );
            assert!(
                sandbox
                    .run(db, "SELECT value FROM json_each('[1]')")
                    .is_ok()
            );
            assert!(sandbox.run(db, "SELECT a FROM t WHERE b = \"x\"").is_ok());
            assert_eq!(
                sandbox.run(db, "SELECT CAST(x'ff' AS TEXT)").unwrap(),
                [[Value::Text(b"\xff".to_vec())]]
            );
        }
    }

    #[test]
    fn refuses_whatever_is_not_one_reading_statement() {
        let folder = tempfile::tempdir().unwrap();
        let mut sandbox = sandbox(folder.path());
        let before = fs::read(folder.path().join("file.db")).unwrap();
        let outside = folder.path().join("made.db");
        for db in ["file.db", "memory.sql"] {
            for sql in [
                format!("ATTACH '{}' AS z", outside.display()),
                format!("VACUUM INTO '{}'", outside.display()),
                format!("SELECT writefile('{}', 'x')", outside.display()),
                "VACUUM".into(),
                "PRAGMA query_only = OFF".into(),
                "SELECT load_extension('x')".into(),
                "SELECT fts3_tokenizer('simple')".into(),
                "INSERT INTO t VALUES (3, 'y')".into(),
                "WITH c AS (SELECT 1) DELETE FROM t".into(),
                "UPDATE t SET a = 0".into(),
                "UPDATE sqlite_master SET sql = ''".into(),
                "CREATE TABLE u(a)".into(),
                "CREATE TEMP TABLE u(a)".into(),
                "CREATE VIRTUAL TABLE u USING fts5(a)".into(),
                "DROP TABLE t".into(),
                "BEGIN".into(),
                "SAVEPOINT s".into(),
                "REINDEX".into(),
                "ANALYZE".into(),
                "DETACH main".into(),
                "EXPLAIN SELECT a FROM t".into(),
                "EXPLAIN QUERY PLAN SELECT a FROM t".into(),
                "SELECT 1; SELECT 2".into(),
                "SELECT a FROM t\0".into(),
                "-- only words".into(),
                " ; ".into(),
            ] {
                let result = sandbox.run(db, &sql);
                // A function of the shell, which this SQLite does not have at all.
                let missing = sql.contains("writefile")
                    && result == Err(SqlError::Sql("no such function: writefile".to_owned()));
                assert!(
                    missing || matches!(result, Err(SqlError::Refused(_))),
                    "{db}: {sql}: {result:?}"
                );
            }
            assert_eq!(sandbox.run(db, "SELECT a FROM t").unwrap().len(), 2);
        }
        assert_eq!(fs::read(folder.path().join("file.db")).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_query_without_end_times_out_and_the_next_one_runs() {
        let folder = tempfile::tempdir().unwrap();
        let mut sandbox = sandbox(folder.path());
        let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
        let start = Instant::now();
        assert_eq!(sandbox.run("file.db", endless), Err(SqlError::Timeout(300)));
        assert!(start.elapsed() < Duration::from_secs(3));
        assert!(sandbox.run("file.db", "SELECT a FROM t").is_ok());
    }

    #[test]
    fn too_much_is_a_resource_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut sandbox = sandbox(folder.path());
        sandbox.2 = Duration::from_secs(20);
        let numbers =
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200000)";
        for sql in [
            "SELECT printf('%.*c', 1000000000, 'x')".to_owned(),
            "SELECT randomblob(2000000)".to_owned(),
            format!("{numbers} SELECT x FROM c"),
            format!("{numbers} SELECT zeroblob(900000) FROM c"),
            format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000)),
            format!("SELECT 1{}", " + 1".repeat(5000)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(500)),
            format!("SELECT '{}'", "x".repeat(200_000)),
        ] {
            let result = sandbox.run("file.db", &sql);
            let shown = &sql[..sql.len().min(80)];
            assert!(
                matches!(result, Err(SqlError::ResourceLimit(_))),
                "{shown}: {result:?}"
            );
        }
    }

    #[test]
    fn chance_is_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut sandbox = sandbox(folder.path());
        let sql = "SELECT random(), hex(randomblob(9)), randomblob(NULL) FROM t ORDER BY random()";
        let first = sandbox.run("file.db", sql).unwrap();
        assert_ne!(first[0], first[1]);
        assert!(sandbox.run("file.db", "SELECT random() FROM t").is_ok());
        assert_eq!(sandbox.run("file.db", sql).unwrap(), first);
        assert_eq!(sandbox.run("memory.sql", sql).unwrap(), first);
    }

    /// Values of Python's sqlite3, `python3 -c "import sqlite3; …"`, to the last digit.
    #[test]
    fn mathematical_functions_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut sandbox = sandbox(folder.path());
        for (sql, expected) in [
            ("sqrt(2)", 2f64.sqrt()),
            ("power(2, 10) + pow(2, -1)", 1024.5),
            ("ceil(1.2) + ceiling(-1.2) + floor(-1.2)", -1.0),
            ("ln(10)", std::f64::consts::LN_10),
            ("log(100) + log10(1000) + log2(8) + log(2, 16)", 12.0),
            ("mod(7, 4) + mod(-7, 4)", 0.0),
            ("pi()", std::f64::consts::PI),
            ("exp(1)", std::f64::consts::E),
            (
                "sin(0) + cos(0) + tan(0) + atan2(0, 1) + degrees(pi())",
                181.0,
            ),
            (
                "asin(0) + acos(1) + atan(0) + radians(180)",
                std::f64::consts::PI,
            ),
            (
                "sinh(0) + cosh(0) + tanh(0) + asinh(0) + acosh(1) + atanh(0)",
                1.0,
            ),
            ("trunc(-1.7)", -1.0),
        ] {
            let rows = sandbox.run("file.db", &format!("SELECT {sql}")).unwrap();
            assert_eq!(rows, [[Value::Real(expected)]], "{sql}");
        }
        let none = sandbox
            .run("file.db", "SELECT sqrt(-1), ln(0), sqrt(NULL)")
            .unwrap();
        assert_eq!(none, [[Value::Null, Value::Null, Value::Null]]);
        let integers = sandbox
            .run("file.db", "SELECT ceil(3), floor(3), sign(-2.5)")
            .unwrap();
        assert_eq!(integers, [[3, 3, -1].map(Value::Integer)]);
    }

    #[test]
    fn sqlites_message_stands_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut sandbox = sandbox(folder.path());
        let mut message = |sql: &str| sandbox.run("file.db", sql).unwrap_err().to_string();
        assert_eq!(message("SELECT nope FROM t"), "no such column: nope");
        assert_eq!(message("SELECT FROM t"), "near \"FROM\": syntax error");
        let absent = sandbox.run("absent.db", "SELECT 1");
        assert!(matches!(absent, Err(SqlError::Database(_))));
    }
}
