//! `connection_list`

use crate::db::connections::Connection;
use crate::db::registry::Kind;
use crate::mcp::desk::Call;
use crate::mcp::tool::{Said, Tool};
use anyhow::Result;
use rmcp::schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct Arguments {}

pub fn tool() -> Tool {
    let description = "The databases that there are, by the connectionId that other tools take: driver, dialect of SQL, and whether queries can run there.";
    Tool::new("connection_list", description, run)
}

fn run(call: &Call, _: Arguments) -> Result<Said> {
    let connections: Vec<Value> = call.desk.connections.all().map(told).collect();
    Ok(Said::Structured(json!({"connections": connections})))
}

fn told(connection: &Connection) -> Value {
    let dialect = match connection.driver.kind() {
        Kind::Warehouse(dialect) => Some(dialect.id()),
        Kind::Context => None,
    };
    json!({
        "connectionId": connection.name,
        "driver": connection.driver.id(),
        "dialect": dialect,
        "runsQueries": connection.place.is_reachable(),
    })
}
