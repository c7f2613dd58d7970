//! The texts of mcp-alchemy's tools; scripts/mcp_alchemy.py holds a hundred of them to its own.

use super::{error, shop, text};
use serde_json::{Value, json};

#[test]
fn texts_are_those_of_mcp_alchemy() {
    let dir = shop();
    let say =
        |tool: &str, arguments: Value| text(dir.path(), &["--db", "shop.sqlite"], tool, arguments);
    assert_eq!(say("all_table_names", json!({})), "buyers, sales");
    assert_eq!(say("filter_table_names", json!({"q": "uy"})), "buyers");
    assert_eq!(say("filter_table_names", json!({"q": "x"})), "");
    assert_eq!(
        say(
            "schema_definitions",
            json!({"table_names": ["buyers", "sales"]})
        ),
        "buyers:
    id: primary key, INTEGER, nullable, primary_key=1
    name: TEXT, default='nobody'
    home: TEXT, nullable
sales:
    id: primary key, INTEGER, nullable, primary_key=1
    buyer: INTEGER, nullable
    amount: DECIMAL(10, 2), nullable
    day: DATE, nullable

    Relationships:
      buyer -> buyers.id"
    );
    let query =
        "SELECT id, name, home, 0.1 + 0.2 AS real FROM buyers WHERE name = :name OR id > :id";
    let arguments = json!({"query": query, "params": {"name": "Ada", "id": 1}});
    assert_eq!(
        say("execute_query", arguments),
        "1. row\nid: 1\nname: Ada\nhome: London\nreal: 0.30000000000000004\n\n2. row\nid: 2\nname: Grace\nhome: NULL\nreal: 0.30000000000000004\n\nResult: 2 rows"
    );
    let none = json!({"query": "SELECT 1 WHERE 0"});
    assert_eq!(say("execute_query", none), "No rows returned");
}

#[test]
fn errors_begin_as_there() {
    let dir = shop();
    let flags = ["--db", "shop.sqlite"];
    let wrong = error(
        dir.path(),
        &flags,
        "execute_query",
        json!({"query": "SELECT x FROM nothing"}),
    );
    assert_eq!(wrong, "Error: no such table: nothing");
    let arguments = json!({"query": "DELETE FROM buyers"});
    assert!(error(dir.path(), &flags, "execute_query", arguments).starts_with("Error: refused"));
    let arguments = json!({"query": "SELECT :id", "params": {"ID": 1}});
    assert!(error(dir.path(), &flags, "execute_query", arguments).contains(":id"));
    let arguments = json!({"table_names": ["nothing"]});
    assert!(error(dir.path(), &flags, "schema_definitions", arguments).contains("\"nothing\""));
}
