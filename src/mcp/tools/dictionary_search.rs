//! `dictionary_search`

use crate::db::connections::Connection;
use crate::db::registry::Driver;
use crate::db::schema::Table;
use crate::mcp::desk::Call;
use crate::mcp::tool::{Said, Tool};
use crate::sql::identifier::quoted;
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
    /// What a value has in it, in any case of letters: a name, a city, a status.
    value: String,
    /// Tables to look in; all where there are none.
    #[serde(default)]
    entities: Vec<String>,
}

/// Rows of each table that are looked at.
const ROWS: usize = 10_000;
/// Different values that are told of a column, and of all.
const OF_COLUMN: usize = 5;
const OF_ALL: usize = 100;
/// Columns that one query looks at: engines bound how many parts a query may have.
const AT_ONCE: usize = 40;
/// The longest value that is looked for, in characters.
const LONGEST: usize = 200;

pub fn tool() -> Tool {
    let description = format!(
        "Finds where a value is: looks through the text columns of tables, the first {ROWS} rows of each, and names table, column and the whole value. Tables that were not reached in time are named."
    );
    Tool::new("dictionary_search", description, run)
}

fn run(call: &Call, arguments: Arguments) -> Result<Said> {
    let connection = call.connection(&arguments.connection_id)?;
    let value = arguments.value.trim();
    let length = value.chars().count();
    ensure!(
        (1..=LONGEST).contains(&length) && !value.contains('\0'),
        "value has {length} characters: give 1 to {LONGEST}, without NUL"
    );
    let all = call.door()?.schema(connection)?;
    let named = |table: &Table| {
        let mut entities = arguments.entities.iter();
        arguments.entities.is_empty() || entities.any(|name| table.is_called(name))
    };
    let tables: Vec<&Table> = all
        .iter()
        .filter(|table| !table.view && named(table))
        .collect();
    ensure!(
        arguments.entities.is_empty() || !tables.is_empty(),
        "no table is called {}",
        arguments.entities.join(", ")
    );
    let (mut matches, mut failed, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for table in tables {
        if matches.len() >= OF_ALL || call.left().is_zero() || call.stop.stops() {
            left.push(table.written());
            continue;
        }
        for columns in texts(table).chunks(AT_ONCE) {
            match look(call, connection, table, columns, value) {
                Ok(found) => matches.extend(found),
                Err(error) => {
                    failed.push(json!({"entity": table.written(), "error": error.to_string()}));
                }
            }
        }
    }
    let truncated = matches.len() > OF_ALL || !left.is_empty();
    matches.truncate(OF_ALL);
    Ok(Said::Structured(json!({
        "connectionId": connection.name,
        "value": value,
        "matches": matches,
        "rowsOfEach": ROWS,
        "truncated": truncated,
        "notSearched": left,
        "failed": failed,
    })))
}

/// Columns that hold texts, by what their types are called.
fn texts(table: &Table) -> Vec<&str> {
    let columns = table.columns.iter().filter(|column| {
        let declared = column.declared.to_uppercase();
        let has = |part: &&str| declared.contains(*part);
        declared.is_empty() || ["CHAR", "TEXT", "CLOB", "STRING", "ENUM"].iter().any(has)
    });
    columns.map(|column| column.name.as_str()).collect()
}

fn look(
    call: &Call,
    connection: &Connection,
    table: &Table,
    columns: &[&str],
    value: &str,
) -> Result<Vec<Value>> {
    let sql = query(table, columns, value, connection.driver);
    let answer = call.door()?.run(connection, &sql)?;
    let mut found = Vec::new();
    for row in answer.rows {
        let [place, value] = &row[..] else {
            continue;
        };
        let place = place.text().and_then(|text| text.parse::<usize>().ok());
        if let Some(column) = place.and_then(|place| columns.get(place)) {
            found
                .push(json!({"entity": table.written(), "column": column, "value": value.plain()}));
        }
    }
    Ok(found)
}

/// A query that gives places among `columns` and values.
fn query(table: &Table, columns: &[&str], value: &str, driver: Driver) -> String {
    let find = match driver {
        Driver::Sqlite => "instr",
        _ => "strpos",
    };
    let from = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let wanted = format!("lower('{}')", value.replace('\'', "''"));
    let parts = columns.iter().enumerate().map(|(place, column)| {
        let column = quoted(column);
        format!(
            "SELECT * FROM (SELECT DISTINCT {place} AS place, v FROM (SELECT CAST({column} AS TEXT) AS v FROM {from} LIMIT {ROWS}) AS s
             WHERE {find}(lower(v), {wanted}) > 0 ORDER BY v LIMIT {OF_COLUMN}) AS c{place}"
        )
    });
    parts.collect::<Vec<_>>().join(" UNION ALL ")
}
