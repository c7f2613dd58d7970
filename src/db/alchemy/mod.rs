//! What mcp-alchemy's four tools say of a database, with its own texts: what assistants and models know of it holds here too. Errors are errors
//! here; there an `execute_query` that fails is an answer that begins with `Error:`.
//!
//! Each function asks for the `door` anew for every call that it makes, so that whoever opens it can give the calls one time together.

mod binds;
mod definitions;
mod moments;
mod python;
mod rows;
mod types;

use super::connections::Connection;
use super::door::Door;
use super::refused::explained;
use super::registry::Driver;
use anyhow::Result;
pub use rows::MOST;
use serde_json::{Map, Value};
use types::Types;

/// `all_table_names`: the names with commas between them.
pub fn all_table_names(door: impl Fn() -> Result<Door>, connection: &Connection) -> Result<String> {
    Ok(names(door, connection)?.join(", "))
}

/// `filter_table_names`: the names that have the text `q` in them.
pub fn filter_table_names(
    door: impl Fn() -> Result<Door>,
    connection: &Connection,
    q: &str,
) -> Result<String> {
    let mut names = names(door, connection)?;
    names.retain(|name| name.contains(q));
    Ok(names.join(", "))
}

/// `schema_definitions`: columns, keys and relations of the tables of these names; on a server those of `schema`, where it is not empty. Errors
/// name one that is not there.
pub fn schema_definitions(
    door: impl Fn() -> Result<Door>,
    connection: &Connection,
    schema: &str,
    table_names: &[String],
) -> Result<String> {
    let declared = door()?.declared(connection)?;
    let types = Types::of(&door()?, connection)?;
    definitions::text(&declared, table_names, schema, connection.driver, &types)
}

/// `execute_query`: the rows below each other, a column a line, cut after [`MOST`] characters. `params` are the values of `:name` in the query.
pub fn execute_query(
    door: impl Fn() -> Result<Door>,
    connection: &Connection,
    query: &str,
    params: &Map<String, Value>,
) -> Result<String> {
    let sql = binds::filled(query, params)?;
    let answer = door()?.run(connection, &sql);
    let answer = answer.map_err(|error| explained(error, &sql).context("Error"))?;
    Ok(rows::text(&answer))
}

/// The names of tables that need no schema before them.
pub fn names(door: impl Fn() -> Result<Door>, connection: &Connection) -> Result<Vec<String>> {
    match connection.driver {
        Driver::Postgres => visible(&door()?, connection),
        _ => {
            let tables = door()?.schema(connection)?.into_iter();
            let own = tables.filter(|table| !table.view && table.schema == "main");
            let mut names: Vec<String> = own.map(|table| table.name).collect();
            names.sort();
            Ok(names)
        }
    }
}

/// In the order of the server's own catalog, as SQLAlchemy has them.
fn visible(door: &Door, connection: &Connection) -> Result<Vec<String>> {
    const NAMES: &str = "
        SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = ANY (ARRAY['r', 'p']) AND c.relpersistence <> 't'
        AND pg_catalog.pg_table_is_visible(c.oid) AND n.nspname <> 'pg_catalog'";
    let answer = door.run(connection, NAMES)?;
    let cells = answer.rows.iter().flatten();
    Ok(cells.filter_map(|cell| cell.text()).collect())
}
