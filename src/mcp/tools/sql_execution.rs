//! `sql_execution`

use crate::db::answer::{Answer, Bounds, Cut};
use crate::db::door::Limits;
use crate::db::refused::explained;
use crate::mcp::desk::Call;
use crate::mcp::tool::{Said, Tool};
use anyhow::{Result, ensure};
use rmcp::schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    /// One of connection_list.
    connection_id: String,
    /// One query in the connection's dialect. It may only read.
    sql: String,
    /// Most rows, from 1 up to the server's own limit, which holds where nothing is said.
    max_rows: Option<usize>,
}

pub fn tool() -> Tool {
    let description = "Runs one SQL query that only reads, and gives headers, their types and rows. Where rows were cut, truncated is true and limit says by what.";
    Tool::new("sql_execution", description, run)
}

fn run(call: &Call, arguments: Arguments) -> Result<Said> {
    let connection = call.connection(&arguments.connection_id)?;
    let door = call.door()?;
    let most = door.limits.bounds;
    let rows = arguments.max_rows.unwrap_or(most.rows);
    ensure!(
        (1..=most.rows).contains(&rows),
        "maxRows is {rows}: give 1 to {}",
        most.rows
    );
    let bounds = Bounds { rows, ..most };
    let limits = Limits {
        bounds,
        ..door.limits
    };
    let sql = &arguments.sql;
    let answer = door.within(limits).run(connection, sql);
    let answer = answer.map_err(|error| explained(error, sql))?;
    Ok(Said::Structured(told(&answer, bounds)))
}

fn told(answer: &Answer, bounds: Bounds) -> Value {
    let headers: Vec<&str> = answer.columns.iter().map(|c| c.name.as_str()).collect();
    let types: Vec<&str> = answer.columns.iter().map(|c| c.declared.as_str()).collect();
    let rows = answer.rows.iter();
    let rows: Vec<Vec<Value>> = rows
        .map(|row| row.iter().map(|cell| cell.plain()).collect())
        .collect();
    let limit = answer.cut.map(|cut| match cut {
        Cut::Rows => json!({"rows": bounds.rows}),
        Cut::Bytes => json!({"bytes": bounds.bytes}),
    });
    json!({
        "headers": headers,
        "headerTypes": types,
        "rowCount": rows.len(),
        "rows": rows,
        "truncated": limit.is_some(),
        "limit": limit,
    })
}
