//! DuckDB as an engine like the others.

use super::Connection;
use crate::db::answer::{Answer, Bounds};
use crate::db::declared::Declared;
use crate::db::engine::Engine;
use crate::db::schema::Table;
use crate::sql::error::SqlError;

impl Engine for Connection<'static> {
    fn version(&self) -> Result<String, SqlError> {
        Ok(format!("DuckDB {}", self.session.library().version()))
    }

    fn schema(&self) -> Result<Vec<Table>, SqlError> {
        self.schema()
    }

    fn declared(&self) -> Result<Vec<Declared>, SqlError> {
        self.declared()
    }

    fn run(&self, sql: &str, bounds: Bounds) -> Result<Answer, SqlError> {
        self.run(sql, bounds)
    }

    fn explain(&self, sql: &str, bounds: Bounds) -> Result<Answer, SqlError> {
        self.run(&format!("EXPLAIN {sql}"), bounds)
    }
}
