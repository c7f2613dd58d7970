//! What a database holds that the role may read, by the server's catalog.

use super::connection::Connection;
use super::session::Session;
use super::statement;
use crate::db::catalog::{MOST, assemble, rows};
use crate::db::cell::Cell;
use crate::db::schema::Table;
use crate::sql::error::SqlError;
use std::collections::BTreeSet;

/// Tables of all kinds, views of both, but no parts of other tables.
const READABLE: &str = "
    WITH readable AS (
        SELECT c.oid, n.nspname, c.relname, c.relkind, c.reltuples
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT c.relispartition
        AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
        AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
    )";

/// Rows by the last ANALYZE or VACUUM; where there was none the number is negative.
const TABLES: &str = "
    SELECT nspname, relname, relkind IN ('v', 'm'), CASE WHEN relkind <> 'v' AND reltuples >= 0 THEN reltuples::int8 END
    FROM readable";

const COLUMNS: &str = "
    SELECT r.nspname, r.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
    FROM readable r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND pg_catalog.has_column_privilege(r.oid, a.attnum, 'SELECT')
    ORDER BY r.oid, a.attnum";

/// A key of which the role may not read each column is none to it.
const KEYS: &str = "
    SELECT r.nspname, r.relname, own.names, other.relname, named.names
    FROM readable r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
    LEFT JOIN readable other ON other.oid = k.confrelid AND other.nspname = r.nspname
    CROSS JOIN LATERAL (
        SELECT pg_catalog.array_agg(a.attname ORDER BY c.place) AS names
        FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS c(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = c.number
        HAVING pg_catalog.bool_and(pg_catalog.has_column_privilege(r.oid, a.attnum, 'SELECT'))
    ) own
    LEFT JOIN LATERAL (
        SELECT pg_catalog.array_agg(a.attname ORDER BY c.place) AS names
        FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS c(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = other.oid AND a.attnum = c.number
        HAVING pg_catalog.bool_and(pg_catalog.has_column_privilege(other.oid, a.attnum, 'SELECT'))
    ) named ON true
    WHERE k.contype = 'p' OR k.contype = 'f' AND named.names IS NOT NULL
    ORDER BY r.oid, k.conname";

impl Connection {
    /// Its tables and views that the role may read, in all schemas but the system's, by the names of their schemas and their own.
    pub fn schema(&self) -> Result<Vec<Table>, SqlError> {
        self.with(read)
    }
}

/// Those of them that a query may name without their schema.
pub async fn visible(session: &Session) -> Result<Vec<Table>, SqlError> {
    const PATH: &str = "SELECT pg_catalog.current_schemas(false)::text[]";
    let path = session.catalog(PATH, &[]).await?;
    let path: Vec<String> = match path.first() {
        Some(row) => session.value(row, 0)?,
        None => Vec::new(),
    };
    let mut tables = read(session).await?;
    tables.retain(|table| path.contains(&table.schema));
    // Of two of one name the first schema's is meant.
    tables.sort_by_key(|table| path.iter().position(|schema| *schema == table.schema));
    let mut names = BTreeSet::new();
    tables.retain(|table| names.insert(table.name.clone()));
    Ok(tables)
}

pub(super) async fn read(session: &Session) -> Result<Vec<Table>, SqlError> {
    let tables = catalog(session, TABLES).await?;
    let columns = catalog(session, COLUMNS).await?;
    Ok(assemble(tables, columns, catalog(session, KEYS).await?))
}

pub(super) async fn catalog<const N: usize>(
    session: &Session,
    sql: &str,
) -> Result<Vec<[Cell; N]>, SqlError> {
    let sql = format!("{READABLE} {sql}");
    let prepared = statement::own(session, &sql).await?;
    let answer = statement::run(session, prepared, MOST).await?;
    session.close_cursor().await?;
    rows(answer)
}
