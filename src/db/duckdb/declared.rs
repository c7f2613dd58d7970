//! What a DuckDB file declares of its tables, by its catalog's own functions.

use super::connection::Connection;
use crate::db::declared::{Declared, declare};
use crate::sql::error::SqlError;

/// DuckDB keeps no word of which columns are generated but in the statement.
const FACTS: &str = "
    SELECT schema_name, table_name, column_name, is_nullable, column_default, NULL, NULL, comment
    FROM system.main.duckdb_columns()
    WHERE database_name = system.main.current_database() AND NOT internal
    UNION ALL
    SELECT schema_name, table_name, NULL, NULL, NULL, NULL, NULL, comment FROM system.main.duckdb_tables()
    WHERE database_name = system.main.current_database() AND NOT internal
    UNION ALL
    SELECT schema_name, view_name, NULL, NULL, NULL, NULL, NULL, comment FROM system.main.duckdb_views()
    WHERE database_name = system.main.current_database() AND NOT internal";

impl Connection<'_> {
    /// Its tables and views as they were declared.
    pub fn declared(&self) -> Result<Vec<Declared>, SqlError> {
        Ok(declare(self.schema()?, self.catalog(FACTS)?))
    }
}
