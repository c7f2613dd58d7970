//! What a database holds that the role may read, by the server's catalog.

use super::connection::Connection;
use super::session::Session;
use super::statement;
use crate::db::answer::{Bounds, Column};
use crate::db::cell::Cell;
use crate::db::error::Error;
use crate::db::schema::{ForeignKey, Table};
use std::collections::BTreeMap;

/// Of what the catalog says; a hundred thousand tables take less.
const MOST: Bounds = Bounds {
    rows: usize::MAX,
    bytes: 256 << 20,
};

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

/// A schema's and a table's name.
type Place = (String, String);

impl Connection {
    /// Its tables and views that the role may read, in all schemas but the system's, by the names of their schemas and their own.
    pub fn schema(&self) -> Result<Vec<Table>, Error> {
        self.with(read)
    }
}

async fn read(session: &Session<'_>) -> Result<Vec<Table>, Error> {
    let mut tables = BTreeMap::new();
    for [schema, name, view, rows] in catalog(session, TABLES).await? {
        let table = Table {
            schema: text(schema),
            name: text(name),
            view: view == Cell::Boolean(true),
            rows: match rows {
                Cell::Integer(rows) => u64::try_from(rows).ok(),
                _ => None,
            },
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
        };
        tables.insert((table.schema.clone(), table.name.clone()), table);
    }
    for [schema, table, name, declared] in catalog(session, COLUMNS).await? {
        if let Some(table) = at(&mut tables, schema, table) {
            table.columns.push(Column {
                name: text(name),
                declared: text(declared),
            });
        }
    }
    for [schema, table, columns, other, referenced] in catalog(session, KEYS).await? {
        if let Some(table) = at(&mut tables, schema, table) {
            match other {
                Cell::Text(other) => table.foreign_keys.push(ForeignKey {
                    columns: texts(columns),
                    table: other,
                    referenced: texts(referenced),
                }),
                _ => table.primary_key = texts(columns),
            }
        }
    }
    Ok(tables.into_values().collect())
}

async fn catalog<const N: usize>(
    session: &Session<'_>,
    sql: &str,
) -> Result<Vec<[Cell; N]>, Error> {
    let sql = format!("{READABLE} {sql}");
    let prepared = statement::own(session, &sql).await?;
    let answer = statement::run(session, prepared, MOST).await?;
    session.close_cursor().await?;
    if answer.cut.is_some() {
        return Err(Error::Limit(format!(
            "the catalog takes more than {} bytes",
            MOST.bytes
        )));
    }
    let other = |_| Error::Database("the catalog has other columns".to_owned());
    let rows = answer.rows.into_iter();
    rows.map(|row| row.try_into().map_err(other)).collect()
}

fn at(tables: &mut BTreeMap<Place, Table>, schema: Cell, table: Cell) -> Option<&mut Table> {
    tables.get_mut(&(text(schema), text(table)))
}

fn text(cell: Cell) -> String {
    match cell {
        Cell::Text(text) => text,
        _ => String::new(),
    }
}

fn texts(cell: Cell) -> Vec<String> {
    match cell {
        Cell::List(cells) => cells.into_iter().map(text).collect(),
        _ => Vec::new(),
    }
}
