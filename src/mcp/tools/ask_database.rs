//! `ask_database`

use crate::ask::Answer;
use crate::mcp::desk::Call;
use crate::mcp::tool::{Said, Tool};
use anyhow::{Context, Result};
use rmcp::schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    /// One of connection_list.
    connection_id: String,
    /// The question, in plain words.
    question: String,
}

pub fn tool() -> Tool {
    let description = "Has this server's own model answer a question: the query that it writes, what that returns, how sure it is of it, and which adapter answered. Where unsure is true, check the query before using its rows.";
    Tool::new("ask_database", description, run)
}

fn run(call: &Call, arguments: Arguments) -> Result<Said> {
    let connection = call.connection(&arguments.connection_id)?;
    let specialist = call.desk.specialist.as_ref();
    let specialist = specialist.context("this server has no model")?;
    let answer = specialist.ask(connection, &arguments.question, &call.stop)?;
    Ok(Said::Structured(told(&connection.name, &answer)))
}

fn told(connection: &str, answer: &Answer) -> Value {
    let picked = &answer.picked;
    let (headers, rows, total, error) = match &picked.result {
        Ok(table) => (&table.columns[..], &table.rows[..], table.total, None),
        Err(error) => (&[][..], &[][..], 0, Some(error.to_string())),
    };
    json!({
        "connectionId": connection,
        "question": answer.question,
        "sql": picked.sql,
        "answer": picked.answer,
        "confidence": picked.confidence,
        "unsure": !picked.sure,
        "route": answer.route,
        "adapters": answer.adapters,
        "headers": headers,
        "rows": rows,
        "rowCount": total,
        "truncated": rows.len() < total,
        "error": error,
    })
}
