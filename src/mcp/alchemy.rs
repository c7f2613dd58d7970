//! The four tools of mcp-alchemy ([`crate::db::alchemy`]). They ask one connection, the one called `default` or the only one.

use super::desk::{Call, Desk};
use super::tool::{Said, Tool};
use crate::db::alchemy;
use crate::db::connections::Connection;
use anyhow::Result;
use rmcp::schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

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
                alchemy::MOST
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
    alchemy::all_table_names(|| call.door(), call.own()?).map(Said::Text)
}

fn filtered(call: &Call, filter: Filter) -> Result<Said> {
    alchemy::filter_table_names(|| call.door(), call.own()?, &filter.q).map(Said::Text)
}

fn definitions(call: &Call, tables: Tables) -> Result<Said> {
    let names = &tables.table_names;
    alchemy::schema_definitions(|| call.door(), call.own()?, "", names).map(Said::Text)
}

fn execute(call: &Call, query: Query) -> Result<Said> {
    let (query, params) = (&query.query, &query.params);
    alchemy::execute_query(|| call.door(), call.own()?, query, params).map(Said::Text)
}
