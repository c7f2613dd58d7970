//! PostgreSQL as an engine like the others.

use super::Connection;
use crate::db::answer::{Answer, Bounds, Column};
use crate::db::engine::Engine;
use crate::db::error::Error;
use crate::db::schema::Table;

impl Engine for Connection {
    fn version(&self) -> Result<String, Error> {
        Ok(format!("PostgreSQL {}", self.version()?))
    }

    fn schema(&self) -> Result<Vec<Table>, Error> {
        self.schema()
    }

    fn prepare(&self, sql: &str) -> Result<Vec<Column>, Error> {
        self.prepare(sql)
    }

    fn run(&self, sql: &str, bounds: Bounds) -> Result<Answer, Error> {
        self.run(sql, bounds)
    }

    fn explain(&self, sql: &str, bounds: Bounds) -> Result<Answer, Error> {
        self.run(&format!("EXPLAIN {sql}"), bounds)
    }
}
