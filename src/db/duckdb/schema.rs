//! What a DuckDB file holds, by its catalog's own functions.

use super::connection::Connection;
use super::statement::Extracted;
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

/// A schema's and a table's name.
type Place = (String, String);

impl Connection<'_> {
    /// Its tables and views, by the names of their schemas and their own.
    pub fn schema(&self) -> Result<Vec<Table>, Error> {
        let mut tables = BTreeMap::new();
        for row in self.catalog(TABLES)? {
            let [schema, name, view, rows] = row;
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
        for [schema, table, name, declared] in self.catalog(COLUMNS)? {
            if let Some(table) = at(&mut tables, schema, table) {
                table.columns.push(Column {
                    name: text(name),
                    declared: text(declared),
                });
            }
        }
        for [schema, table, columns, other, referenced] in self.catalog(KEYS)? {
            if let Some(table) = at(&mut tables, schema, table) {
                match other {
                    Cell::Text(other) if !other.is_empty() => table.foreign_keys.push(ForeignKey {
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

    fn catalog<const N: usize>(&self, sql: &str) -> Result<Vec<[Cell; N]>, Error> {
        let answer = Extracted::new(&self.session, sql)?.prepare()?.run(MOST)?;
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
