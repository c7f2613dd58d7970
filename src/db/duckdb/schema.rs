//! What a DuckDB file holds, by its catalog's own functions.

use super::connection::Connection;
use super::statement::Extracted;
use crate::db::catalog::{MOST, assemble, rows};
use crate::db::cell::Cell;
use crate::db::schema::Table;
use crate::sql::error::SqlError;

const TABLES: &str = "
    SELECT schema_name, table_name, false, estimated_size FROM system.main.duckdb_tables()
    WHERE database_name = system.main.current_database() AND NOT internal
    UNION ALL
    SELECT schema_name, view_name, true, NULL FROM system.main.duckdb_views()
    WHERE database_name = system.main.current_database() AND NOT internal";

const COLUMNS: &str = "
    SELECT schema_name, table_name, column_name, data_type FROM system.main.duckdb_columns()
    WHERE database_name = system.main.current_database() AND NOT internal
    ORDER BY schema_name, table_name, column_index";

const KEYS: &str = "
    SELECT schema_name, table_name, constraint_column_names, referenced_table, referenced_column_names
    FROM system.main.duckdb_constraints()
    WHERE database_name = system.main.current_database() AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY')
    ORDER BY schema_name, table_name, constraint_index";

impl Connection<'_> {
    /// Its tables and views, by the names of their schemas and their own.
    pub fn schema(&self) -> Result<Vec<Table>, SqlError> {
        let (tables, columns) = (self.catalog(TABLES)?, self.catalog(COLUMNS)?);
        Ok(assemble(tables, columns, self.catalog(KEYS)?))
    }

    pub(super) fn catalog<const N: usize>(&self, sql: &str) -> Result<Vec<[Cell; N]>, SqlError> {
        rows(Extracted::new(&self.session, sql)?.prepare()?.run(MOST)?)
    }
}
