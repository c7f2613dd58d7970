//! The four tools of mcp-alchemy, with its own texts: what assistants know of it holds here too. They ask one connection, the one called
//! `default` or the only one. Errors are errors here; there an execute_query that fails is an answer that begins with `Error:`.

mod binds;
mod definitions;
mod moments;
mod python;
mod rows;
mod types;

use super::desk::{Call, Desk};
use super::refused::explained;
use super::tool::{Said, Tool};
use crate::db::connections::Connection;
use crate::db::door::Door;
use crate::db::registry::Driver;
use anyhow::Result;
use rmcp::schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use types::Types;

/// The tools.
pub fn tools(desk: &Desk) -> Vec<Tool> {
    let stop = crate::eval::stop::Stop::default();
    let place = match Call::new(desk, stop).own() {
        Ok(connection) => place(connection),
        // Called, they say why.
        Err(_) => String::new(),
    };
    let about = |text: &str| format!("{text}{place}");
    vec![
        Tool::new(
            "all_table_names",
            about("The names of all tables, with commas between them."),
            all,
        ),
        Tool::new(
            "filter_table_names",
            about(
                "The names of the tables that have the text q in them, with commas between them.",
            ),
            filtered,
        ),
        Tool::new(
            "schema_definitions",
            about("Columns, keys and relations of the tables that are named."),
            definitions,
        ),
        Tool::new(
            "execute_query",
            about(&format!(
                "Runs one query that only reads, and writes its rows below each other, a column a line; they are cut after {} characters. Values belong into params: with {{\"id\": 123}} the query says WHERE id = :id.",
                rows::MOST
            )),
            execute,
        ),
    ]
}

/// Which database that is, without its password.
fn place(connection: &Connection) -> String {
    let (place, engine) = (connection.shown(), connection.driver.id());
    format!(" The database is {place} ({engine}).")
}

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct Filter {
    /// What a table's name has in it.
    q: String,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct Tables {
    /// Names of tables.
    table_names: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct Query {
    /// One query that only reads.
    query: String,
    /// Values of :name in the query: texts, numbers, true, false, null.
    #[serde(default)]
    params: Map<String, Value>,
}

fn all(call: &Call, _: Nothing) -> Result<Said> {
    Ok(Said::Text(names(call)?.join(", ")))
}

fn filtered(call: &Call, filter: Filter) -> Result<Said> {
    let mut names = names(call)?;
    names.retain(|name| name.contains(&filter.q));
    Ok(Said::Text(names.join(", ")))
}

fn definitions(call: &Call, tables: Tables) -> Result<Said> {
    let connection = call.own()?;
    let declared = call.door()?.declared(connection)?;
    let types = Types::of(&call.door()?, connection)?;
    let names = &tables.table_names;
    definitions::text(&declared, names, connection.driver, &types).map(Said::Text)
}

fn execute(call: &Call, query: Query) -> Result<Said> {
    let connection = call.own()?;
    let sql = binds::filled(&query.query, &query.params)?;
    let answer = call.door()?.run(connection, &sql);
    let answer = answer.map_err(|error| explained(error, &sql).context("Error"))?;
    Ok(Said::Text(rows::text(&answer)))
}

/// The names of tables that need no schema before them.
fn names(call: &Call) -> Result<Vec<String>> {
    let (door, connection) = (call.door()?, call.own()?);
    match connection.driver {
        Driver::Postgres => visible(&door, connection),
        _ => {
            let tables = door.schema(connection)?.into_iter();
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
