//! `discover_data`

use super::words::{alike, words};
use crate::db::connections::Connection;
use crate::db::declared::Declared;
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
    /// What the data is about, in a few words.
    query: String,
    /// One of connection_list; all where there is none.
    connection_id: Option<String>,
    /// Most tables, 1 to 100; 10 where nothing is said.
    limit: Option<usize>,
}

/// What a word counts that is found in the name of a table, of a column, in a comment.
const WEIGHTS: [u32; 3] = [5, 3, 1];

pub fn tool() -> Tool {
    let description = "Finds tables and views by words that are in their names, the names of their columns, or comments; the best first. Connections that cannot be read are named with the reason.";
    Tool::new("discover_data", description, run)
}

fn run(call: &Call, arguments: Arguments) -> Result<Said> {
    let limit = arguments.limit.unwrap_or(10);
    ensure!(
        (1..=100).contains(&limit),
        "limit is {limit}: give 1 to 100"
    );
    let wanted = words(&arguments.query);
    ensure!(!wanted.is_empty(), "query has no words");
    let connections: Vec<&Connection> = match &arguments.connection_id {
        Some(id) => vec![call.connection(id)?],
        None => {
            let all = call.desk.connections.all();
            all.filter(|one| one.place.is_reachable()).collect()
        }
    };
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for connection in connections {
        match call.door()?.declared(connection) {
            Ok(tables) => {
                let tables = tables.iter().map(|table| hit(connection, table, &wanted));
                found.extend(tables.filter(|(score, _)| *score > 0));
            }
            Err(error) if arguments.connection_id.is_some() => return Err(error.into()),
            Err(error) => {
                failed.push(json!({"connectionId": connection.name, "error": error.to_string()}));
            }
        }
    }
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let total = found.len();
    let best: Vec<Value> = found.into_iter().take(limit).map(|(_, hit)| hit).collect();
    Ok(Said::Structured(json!({
        "query": arguments.query,
        "entities": best,
        "truncated": total > limit,
        "failed": failed,
    })))
}

/// How well a table fits, and what is told of it.
fn hit(connection: &Connection, declared: &Declared, wanted: &[String]) -> (u32, Value) {
    let table = &declared.table;
    let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    let of_columns = declared.columns.iter();
    let mut comments: Vec<&str> = of_columns.filter_map(|c| c.comment.as_deref()).collect();
    comments.extend(declared.comment.as_deref());
    let places = [vec![table.name.as_str()], columns.clone(), comments];
    let places = places.map(|texts| texts.into_iter().flat_map(words).collect::<Vec<_>>());
    let mut score = 0;
    let mut matched = Vec::new();
    for word in wanted {
        let holds = |place: &Vec<String>| place.iter().any(|known| alike(known, word));
        let weights = places.iter().zip(WEIGHTS).filter(|(place, _)| holds(place));
        let weight: u32 = weights.map(|(_, weight)| weight).sum();
        if weight > 0 {
            score += weight;
            matched.push(word);
        }
    }
    let told = json!({
        "connectionId": connection.name,
        "schema": table.schema,
        "name": table.name,
        "kind": if table.view { "view" } else { "table" },
        "rows": table.rows,
        "comment": declared.comment,
        "columns": columns,
        "matched": matched,
        "score": score,
    });
    (score, told)
}
