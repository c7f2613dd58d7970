//! One file, open for reading, and queries of strangers to it.

use super::calls::{self, Strangers};
use super::gate;
use super::library::Library;
use super::session::Session;
use super::statement::{self, Extracted, Kind, Prepared};
use crate::db::answer::{Answer, Bounds, Column};
use crate::db::cell::Cell;
use crate::sql::error::SqlError;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where every file of DuckDB has `DUCK`, and where the version that wrote it.
const MAGIC: Range<usize> = 8..12;
const WRITER: Range<usize> = 52..84;

/// What is set before a file is opened, besides its memory, in this order: without access nothing about folders can be set.
const SETTINGS: [(&str, &str); 8] = [
    // No file to put aside what does not fit into memory.
    ("temp_directory", ""),
    ("max_temp_directory_size", "0B"),
    ("access_mode", "READ_ONLY"),
    ("enable_external_access", "false"),
    ("autoload_known_extensions", "false"),
    ("autoinstall_known_extensions", "false"),
    ("allow_persistent_secrets", "false"),
    // Sums of floating point numbers, and rows in no order, differ from time to time with more; workers are what runs at once.
    ("threads", "1"),
];

/// What is set once it is open. A library without ICU knows no time zones and no such setting: that one may fail.
const ZONE: &str = "SET TimeZone = 'UTC'";
const LOCK: &str = "SET lock_configuration = true";
/// Chance begins anew with each query.
const CHANCE: &str = "SELECT system.main.setseed(0.5)";
/// A query whose plan has to name its function.
const CALL: (&str, &str) = ("FROM system.main.duckdb_settings()", "DUCKDB_SETTINGS");

/// An open file. It belongs to the thread that opened it.
pub struct Connection<'l> {
    pub(super) session: Session<'l>,
    chance: Prepared<'l>,
    strangers: Strangers,
}

impl<'l> Connection<'l> {
    /// Opens a file for reading, with so many bytes of memory for what DuckDB keeps count of. It, and a log of changes beside
    /// it, stay as they are.
    pub fn open(library: &'l Library, file: &Path, memory: u64) -> Result<Self, SqlError> {
        let shown = file.display();
        let this = format!("this is DuckDB {}", library.version());
        let failed = |error: &dyn Display| SqlError::Database(format!("{shown}: {error} ({this})"));
        let full = full_path(file)?;
        let memory = format!("{memory}B");
        let mut settings = SETTINGS.to_vec();
        settings.push(("memory_limit", &memory));
        let session =
            Session::open(library, &full, &settings).map_err(|error| match writer(&full) {
                None => SqlError::Database(format!("{shown}: no DuckDB database")),
                Some(writer) => SqlError::Database(format!(
                    "{shown}: {error} (written by DuckDB {writer}; {this})"
                )),
            })?;
        // See there for why this may fail.
        let _ = statement::run(&session, ZONE);
        let prepared = |sql| Extracted::new(&session, sql)?.prepare();
        let chance = statement::run(&session, LOCK).and_then(|_| prepared(CHANCE));
        let chance = chance.map_err(|error| failed(&error))?;
        let opened = Self {
            session,
            chance,
            strangers: Strangers::unknown(),
        };
        let (sql, function) = CALL;
        match calls::functions(&opened.plan(sql)?).eq([function]) {
            true => Ok(opened),
            false => Err(failed(
                &"its plans are not understood, so that no query can be trusted",
            )),
        }
    }

    /// The same for many queries: what most of them need not be asked is found out once, which takes as long as some thirty of them.
    pub fn for_many(self) -> Result<Self, SqlError> {
        let strangers = strangers(&self.session)?;
        Ok(Self { strangers, ..self })
    }

    /// The columns that a query would give. It is planned, not run.
    pub fn prepare(&self, sql: &str) -> Result<Vec<Column>, SqlError> {
        Ok(self.prepared(sql)?.columns())
    }

    /// The rows of one query, or its plan for `EXPLAIN`.
    pub fn run(&self, sql: &str, bounds: Bounds) -> Result<Answer, SqlError> {
        let query = self.prepared(sql)?;
        if self.strangers.may_be_in(sql) {
            self.chance.run(bounds)?;
        }
        query.run(bounds)
    }

    /// Prepares a stranger's text if it is one query, or the plan of one.
    fn prepared(&self, sql: &str) -> Result<Prepared<'_>, SqlError> {
        let asked = gate::asked(sql);
        // The query first, also of a plan: `EXPLAIN ANALYZE` runs what it explains.
        let query = self.single(asked.query)?;
        if query.kind() != Kind::Query {
            return refused("it does more than read".to_owned());
        }
        if query.parameters() > 0 {
            return refused("the query has parameters, which nothing fills in".to_owned());
        }
        if self.strangers.may_be_in(asked.query)
            && let Some(function) = calls::stranger(&self.plan(asked.query)?)
        {
            return refused(format!("{function} is no function that only reads"));
        }
        if asked.plan.is_empty() {
            return Ok(query);
        }
        let plan = format!("{} {}", asked.plan, asked.query);
        let plan = Extracted::new(&self.session, &plan)?;
        let plan = plan.prepare()?;
        match plan.kind() {
            Kind::Plan => Ok(plan),
            Kind::Query | Kind::Other => refused(format!("{} is no plan", asked.plan)),
        }
    }

    /// Prepares a text that is one statement and begins like a query.
    fn single(&self, sql: &str) -> Result<Prepared<'_>, SqlError> {
        let statements = Extracted::new(&self.session, sql)?;
        if let Some(word) = gate::stranger(sql) {
            return refused(match word.as_str() {
                "" => "no query".to_owned(),
                word => format!("{word} is no query"),
            });
        }
        match statements.count {
            1 => statements.prepare(),
            count => {
                let pivot = sql.to_ascii_uppercase().contains("PIVOT");
                let why = if pivot {
                    " (PIVOT without IN makes a type first)"
                } else {
                    ""
                };
                refused(format!(
                    "{count} statements{why}; one query may be run at a time"
                ))
            }
        }
    }

    /// The plan of a query, in JSON.
    fn plan(&self, query: &str) -> Result<String, SqlError> {
        let answer = statement::run(&self.session, &format!("EXPLAIN (FORMAT json) {query}"))?;
        let mut cells = answer.rows.into_iter().flatten();
        match cells.nth(1) {
            Some(Cell::Text(plan)) => Ok(plan),
            _ => Err(SqlError::Database("a query without a plan".to_owned())),
        }
    }
}

/// What the queries to a file have to name to do more than read its tables; unknown where it has views or macros of its own.
fn strangers(session: &Session) -> Result<Strangers, SqlError> {
    const VIEWS: &str = "SELECT count(*) = 0 FROM system.main.duckdb_views() WHERE NOT internal";
    const FUNCTIONS: &str = "SELECT DISTINCT function_name, internal FROM system.main.duckdb_functions()
        WHERE function_type NOT IN ('scalar', 'aggregate', 'macro') OR stability = 'VOLATILE' OR NOT internal";
    let views = statement::run(session, VIEWS)?.rows;
    let mut names = Vec::new();
    for row in statement::run(session, FUNCTIONS)?.rows {
        match &row[..] {
            [Cell::Text(name), Cell::Boolean(true)] => names.push(name.clone()),
            _ => return Ok(Strangers::unknown()),
        }
    }
    // Of a list that lacks what is known to be there nothing can be told.
    let whole = names.iter().any(|name| name.eq_ignore_ascii_case(CALL.1));
    match whole && views == [[Cell::Boolean(true)]] {
        true => Ok(Strangers::new(names.into_iter())),
        false => Ok(Strangers::unknown()),
    }
}

fn refused<T>(reason: String) -> Result<T, SqlError> {
    Err(SqlError::Refused(reason))
}

/// A path from the root, which DuckDB never takes for something on a network.
fn full_path(file: &Path) -> Result<PathBuf, SqlError> {
    let error = |error: &dyn Display| SqlError::Database(format!("{}: {error}", file.display()));
    let full = fs::canonicalize(file).map_err(|cause| error(&cause))?;
    match full.is_file() {
        true => Ok(full),
        false => Err(error(&"no file")),
    }
}

/// The version that wrote a file that could not be opened; none if it does not begin like one of DuckDB's. To look into a file
/// that is open elsewhere in this process would end its lock.
fn writer(file: &Path) -> Option<String> {
    let mut beginning = [0; WRITER.end];
    File::open(file).ok()?.read_exact(&mut beginning).ok()?;
    let letters = beginning[WRITER].iter().map(|byte| char::from(*byte));
    let version: String = letters.take_while(char::is_ascii_graphic).collect();
    match (beginning.get(MAGIC), version.as_str()) {
        (Some(b"DUCK"), "") => Some("of an unknown version".to_owned()),
        (Some(b"DUCK"), _) => Some(version),
        _ => None,
    }
}
