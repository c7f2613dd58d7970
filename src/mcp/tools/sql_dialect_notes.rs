//! `sql_dialect_notes`

use crate::mcp::desk::Call;
use crate::mcp::tool::{Said, Tool};
use anyhow::Result;
use rmcp::schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    /// One of connection_list.
    connection_id: String,
}

pub fn tool() -> Tool {
    let description = "What a writer of queries must know of a connection's SQL: names, dates, top rows, JSON, series, casts. Read it once before the first query.";
    Tool::new("sql_dialect_notes", description, run)
}

fn run(call: &Call, arguments: Arguments) -> Result<Said> {
    let connection = call.connection(&arguments.connection_id)?;
    let dialect = connection.dialect()?;
    Ok(Said::Structured(json!({
        "connectionId": connection.name,
        "dialect": dialect.id(),
        "notes": dialect.notes(),
    })))
}
