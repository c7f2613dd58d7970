//! `entity_details`

use crate::db::declared::Declared;
use crate::db::schema::ForeignKey;
use crate::mcp::desk::Call;
use crate::mcp::tool::{Said, Tool};
use anyhow::{Result, bail};
use rmcp::schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arguments {
    /// One of connection_list.
    connection_id: String,
    /// Names of tables and views, with their schema or without; all where there are none.
    #[serde(default)]
    entities: Vec<String>,
}

pub fn tool() -> Tool {
    let description = "Tables and views of a connection: columns with types, NULL, defaults and comments, primary and foreign keys, about how many rows. Where not all fit, more has the names of the others.";
    Tool::new("entity_details", description, run)
}

fn run(call: &Call, arguments: Arguments) -> Result<Said> {
    let connection = call.connection(&arguments.connection_id)?;
    let door = call.door()?;
    let all = door.declared(connection)?;
    let chosen = chosen(&all, &arguments.entities)?;
    let (mut told, mut more, mut room) = (Vec::new(), Vec::new(), door.limits.bounds.bytes);
    for declared in chosen {
        let entity = entity(declared);
        let size = entity.to_string().len();
        match room.checked_sub(size) {
            Some(left) if more.is_empty() => {
                room = left;
                told.push(entity);
            }
            _ => more.push(declared.table.written()),
        }
    }
    Ok(Said::Structured(json!({
        "connectionId": connection.name,
        "entities": told,
        "truncated": !more.is_empty(),
        "more": more,
    })))
}

/// The tables of these names; all where there are none.
fn chosen<'a>(all: &'a [Declared], names: &[String]) -> Result<Vec<&'a Declared>> {
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        let before = chosen.len();
        chosen.extend(all.iter().filter(|one| is(one, name)));
        if chosen.len() == before {
            bail!("no table is called {name:?}: discover_data finds tables by words");
        }
    }
    Ok(chosen)
}

fn is(declared: &Declared, name: &str) -> bool {
    let table = &declared.table;
    let whole = format!("{}.{}", table.schema, table.name);
    table.is_called(name) || whole.eq_ignore_ascii_case(name)
}

fn entity(declared: &Declared) -> Value {
    let table = &declared.table;
    let columns = table.columns.iter().zip(&declared.columns);
    let columns: Vec<Value> = columns
        .map(|(column, declaration)| {
            json!({
                "name": column.name,
                "type": column.declared,
                "nullable": declaration.nullable,
                "default": declaration.default,
                "comment": declaration.comment,
            })
        })
        .collect();
    let keys: Vec<Value> = table.foreign_keys.iter().map(key).collect();
    json!({
        "schema": table.schema,
        "name": table.name,
        "kind": if table.view { "view" } else { "table" },
        "rows": table.rows,
        "comment": declared.comment,
        "columns": columns,
        "primaryKey": table.primary_key,
        "foreignKeys": keys,
    })
}

fn key(key: &ForeignKey) -> Value {
    json!({"columns": key.columns, "entity": key.table, "references": key.referenced})
}
