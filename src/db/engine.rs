//! What every engine does, each behind its own confinement.

use super::answer::{Answer, Bounds};
use super::connections::{Connection, Place};
use super::declared::Declared;
use super::duckdb;
use super::postgres;
use super::registry::{Driver, Kind};
use super::schema::Table;
use super::sqlite::engine::Sqlite;
use crate::sql::error::SqlError;
use std::time::Duration;

/// An open database. Whoever calls it kills its process at the deadline, whatever the engine does.
pub trait Engine {
    /// What the engine is, with its version.
    fn version(&self) -> Result<String, SqlError>;

    /// Its tables and views, in the order of their making where the engine tells.
    fn schema(&self) -> Result<Vec<Table>, SqlError>;

    /// The same tables with all that was declared of them.
    fn declared(&self) -> Result<Vec<Declared>, SqlError>;

    /// The rows of one query, as far as `bounds` allow.
    fn run(&self, sql: &str, bounds: Bounds) -> Result<Answer, SqlError>;

    /// How the engine would run a query, in its own words.
    fn explain(&self, sql: &str, bounds: Bounds) -> Result<Answer, SqlError>;
}

/// The longest that connecting to a server may take.
pub const CONNECT: Duration = Duration::from_secs(10);

/// Opens the database of a connection, with so many bytes of memory where the engine counts them, and so much time where a server
/// has to be told.
pub fn open(
    connection: &Connection,
    memory: u64,
    time: Duration,
) -> Result<Box<dyn Engine>, SqlError> {
    match (connection.driver, &connection.place) {
        (Driver::Sqlite, Place::File(file)) => Ok(Box::new(Sqlite::open(file)?)),
        (Driver::Duckdb, Place::File(file)) => {
            let library = duckdb::Library::find()?;
            let opened = duckdb::Connection::open(library, file, memory)?;
            Ok(Box::new(opened))
        }
        (Driver::Postgres, Place::Server(address)) => {
            let timeouts = postgres::Timeouts {
                connect: CONNECT,
                call: time,
            };
            let opened = postgres::Connection::new(address.secret(), timeouts)?;
            Ok(Box::new(opened))
        }
        (_, Place::Unknown(reason)) => Err(SqlError::Database(reason.clone())),
        (driver, _) if matches!(driver.kind(), Kind::Context) => Err(SqlError::Database(format!(
            "{} is not a SQL warehouse connection",
            driver.id()
        ))),
        (driver, _) => Err(SqlError::Database(format!(
            "no connector for {} in this build",
            driver.id()
        ))),
    }
}
