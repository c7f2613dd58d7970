//! The tools as functions, in the form that chat templates show.

use crate::db::alchemy::MOST;
use crate::learning::episodes::call::{ALL_TABLES, ANSWER, DEFINITIONS, EXECUTE, FILTER_TABLES};
use serde_json::{Value, json};

/// Those over a database.
pub fn builtin() -> Vec<Value> {
    let text = || json!({"type": "string"});
    vec![
        function(ALL_TABLES, "The names of all tables.", json!({}), &[]),
        function(
            FILTER_TABLES,
            "The names of the tables that have the text q in them.",
            json!({"q": text()}),
            &["q"],
        ),
        function(
            DEFINITIONS,
            "Columns, keys and relations of tables.",
            json!({"table_names": {"type": "array", "items": text()}}),
            &["table_names"],
        ),
        function(
            EXECUTE,
            &format!(
                "Runs one query that only reads; its rows are cut after {MOST} characters. params are the values of :name in it."
            ),
            json!({"query": text(), "params": {"type": "object"}}),
            &["query"],
        ),
    ]
}

/// The one that ends an episode.
pub fn answer() -> Value {
    let sql = json!({"sql": {"type": "string"}});
    function(ANSWER, "Answers with a query.", sql, &["sql"])
}

fn function(name: &str, description: &str, properties: Value, required: &[&str]) -> Value {
    json!({"type": "function", "function": {
        "name": name,
        "description": description,
        "parameters": {"type": "object", "properties": properties, "required": required},
    }})
}
