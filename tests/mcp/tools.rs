//! What tools say, and what they say of bad input.

use super::{ENDLESS, call, duckdb_writer, error, object, shop};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

const SERVED: [&str; 10] = [
    "connection_list",
    "entity_details",
    "sql_execution",
    "sql_dialect_notes",
    "dictionary_search",
    "discover_data",
    "all_table_names",
    "filter_table_names",
    "schema_definitions",
    "execute_query",
];

#[test]
fn tools_are_listed_that_only_read() {
    let dir = shop();
    let program = env!("CARGO_BIN_EXE_factory");
    let list = |json: bool| {
        let output = Command::new(program)
            .args(["mcp", "call"])
            .args(json.then_some("--json"))
            .args(["--", program, "mcp", "serve"])
            .current_dir(dir.path())
            .env_remove("DB_URL")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = list(false);
    let names: Vec<&str> = lines
        .lines()
        .map(|l| l.split(':').next().unwrap())
        .collect();
    assert_eq!(names, SERVED);
    let tools: Vec<Value> = serde_json::from_str(&list(true)).unwrap();
    for tool in tools {
        let hints = &tool["annotations"];
        for (hint, value) in [
            ("readOnlyHint", true),
            ("idempotentHint", true),
            ("destructiveHint", false),
            ("openWorldHint", false),
        ] {
            assert_eq!(hints[hint], value, "{tool}");
        }
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
    }
}

#[test]
fn a_database_is_looked_at_and_asked() {
    let dir = shop();
    let object = |tool: &str, arguments: Value| object(dir.path(), &[], tool, arguments);
    let list = object("connection_list", json!({}));
    assert_eq!(
        list["connections"][1],
        json!({"connectionId": "shop", "driver": "sqlite", "dialect": "sqlite", "runsQueries": true})
    );
    assert_eq!(list["connections"][3]["dialect"], Value::Null);

    let sql = "SELECT id, name, home FROM buyers";
    let rows = object("sql_execution", json!({"connectionId": "shop", "sql": sql}));
    assert_eq!(
        rows,
        json!({"headers": ["id", "name", "home"], "headerTypes": ["INTEGER", "TEXT", "TEXT"], "rowCount": 2,
               "rows": [[1, "Ada", "London"], [2, "Grace", null]], "truncated": false, "limit": null})
    );
    let arguments = json!({"connectionId": "shop", "sql": sql, "maxRows": 1});
    let cut = object("sql_execution", arguments);
    assert_eq!(
        (&cut["rowCount"], &cut["truncated"], &cut["limit"]),
        (&json!(1), &json!(true), &json!({"rows": 1}))
    );

    let arguments = json!({"connectionId": "shop", "entities": ["SALES", "totals"]});
    let entities = object("entity_details", arguments);
    let sales = &entities["entities"][0];
    assert_eq!(sales["primaryKey"], json!(["id"]));
    assert_eq!(
        sales["foreignKeys"],
        json!([{"columns": ["buyer"], "entity": "buyers", "references": ["id"]}])
    );
    assert_eq!(entities["entities"][1]["kind"], "view");
    let all = object("entity_details", json!({"connectionId": "shop"}));
    assert_eq!(all["entities"].as_array().unwrap().len(), 3);
    assert_eq!(
        all["entities"][0]["columns"][1],
        json!({"name": "name", "type": "TEXT", "nullable": false, "default": "'nobody'", "comment": null})
    );

    let notes = object("sql_dialect_notes", json!({"connectionId": "warehouse"}));
    assert_eq!(notes["dialect"], "snowflake");
    assert!(notes["notes"].as_str().unwrap().starts_with("# Snowflake"));

    let arguments = json!({"connectionId": "shop", "value": "LONDON"});
    let found = object("dictionary_search", arguments);
    assert_eq!(
        found["matches"],
        json!([{"entity": "buyers", "column": "home", "value": "London"}])
    );
    assert_eq!(
        (&found["truncated"], &found["failed"]),
        (&json!(false), &json!([]))
    );

    let found = object("discover_data", json!({"query": "which buyer paid"}));
    let names: Vec<&Value> = found["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["name"])
        .collect();
    assert_eq!(names, ["buyers", "sales", "totals"]);
    // The DuckDB file is not there.
    assert_eq!(found["failed"][0]["connectionId"], "lake");
}

#[test]
fn what_is_cut_is_said() {
    let dir = shop();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'some text' FROM n";
    let arguments = json!({"connectionId": "shop", "sql": sql});
    let rows = object(
        dir.path(),
        &["--max-rows", "5"],
        "sql_execution",
        arguments.clone(),
    );
    assert_eq!(
        (&rows["rowCount"], &rows["limit"]),
        (&json!(5), &json!({"rows": 5}))
    );
    let flags = ["--max-bytes", "1KiB"];
    let bytes = object(dir.path(), &flags, "sql_execution", arguments);
    assert_eq!(bytes["limit"], json!({"bytes": 1024}));
    let entities = object(
        dir.path(),
        &flags,
        "entity_details",
        json!({"connectionId": "shop"}),
    );
    assert_eq!(entities["truncated"], true);
    assert!(
        entities["more"]
            .as_array()
            .unwrap()
            .contains(&json!("totals"))
    );
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let dir = shop();
    let execution = |connection: &str, sql: &str| json!({"connectionId": connection, "sql": sql});
    for (tool, arguments, parts) in [
        (
            "sql_execution",
            execution("shpo", "SELECT 1"),
            &["lake, shop, warehouse, wiki", "did you mean \"shop\"?"][..],
        ),
        (
            "sql_execution",
            execution("shop.sqlite", "SELECT 1"),
            &["no connection is called \"shop.sqlite\""],
        ),
        (
            "sql_execution",
            execution("sqlite:///shop.sqlite", "SELECT 1"),
            &["no connection is called"],
        ),
        (
            "sql_execution",
            execution("warehouse", "SELECT 1"),
            &["no connector for snowflake in this build"],
        ),
        (
            "sql_execution",
            execution("wiki", "SELECT 1"),
            &["metabase is not a SQL warehouse connection"],
        ),
        (
            "sql_dialect_notes",
            json!({"connectionId": "wiki"}),
            &["not a SQL warehouse connection"],
        ),
        (
            "sql_execution",
            execution("shop", "SELECT 1; DROP TABLE buyers"),
            &["refused", "2 statements, which begin with SELECT, DROP"],
        ),
        (
            "sql_execution",
            execution("shop", "COMMIT; DROP TABLE buyers"),
            &["refused"],
        ),
        (
            "sql_execution",
            execution("shop", "/* SELECT */ DROP TABLE buyers"),
            &["refused", "begins with DROP"],
        ),
        (
            "sql_execution",
            execution("shop", "PRAGMA user_version = 7"),
            &["refused"],
        ),
        (
            "sql_execution",
            execution("shop", "ATTACH 'x.db' AS x"),
            &["refused"],
        ),
        (
            "sql_execution",
            execution("shop", "INSERT INTO buyers VALUES (3, 'x', 'y')"),
            &["refused"],
        ),
        (
            "sql_execution",
            execution("shop", "SELECT nothing FROM buyers"),
            &["no such column: nothing"],
        ),
        (
            "sql_execution",
            json!({"connectionId": "shop", "sql": "SELECT 1", "maxRows": 0}),
            &["maxRows is 0"],
        ),
        (
            "sql_execution",
            json!({"connectionId": "shop", "sql": "SELECT 1", "limit": 3}),
            &["unknown field `limit`", "maxRows"],
        ),
        (
            "sql_execution",
            json!({"connectionId": "shop"}),
            &["missing field `sql`"],
        ),
        (
            "sql_execution",
            json!({"connectionId": 7, "sql": "SELECT 1"}),
            &["invalid type: integer"],
        ),
        (
            "connection_list",
            json!({"all": true}),
            &["unknown field `all`"],
        ),
        (
            "entity_details",
            json!({"connectionId": "shop", "entities": ["sellers"]}),
            &["no table is called \"sellers\""],
        ),
        (
            "dictionary_search",
            json!({"connectionId": "shop", "value": " "}),
            &["0 characters"],
        ),
        (
            "discover_data",
            json!({"query": "?!"}),
            &["query has no words"],
        ),
        (
            "discover_data",
            json!({"query": "buyers", "limit": 1000}),
            &["limit is 1000"],
        ),
        // Several connections, none of them called default.
        (
            "all_table_names",
            json!({}),
            &["connection called default", "connectionId"],
        ),
    ] {
        let error = error(dir.path(), &[], tool, arguments);
        for part in parts {
            assert!(error.contains(part), "{tool}: {error} lacks {part}");
        }
    }
    let content = fs::read(dir.path().join("shop.sqlite")).unwrap();
    let file = rusqlite::Connection::open(dir.path().join("shop.sqlite")).unwrap();
    let buyers: i64 = file
        .query_row("SELECT count(*) FROM buyers", [], |r| r.get(0))
        .unwrap();
    assert_eq!(buyers, 2);
    assert_eq!(content, fs::read(dir.path().join("shop.sqlite")).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);

    // No tool at all is an error of the protocol.
    let output = call(dir.path(), &[], "drop_table", &json!({}), false);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("no tool is called \"drop_table\"; there are connection_list"),
        "{stderr}"
    );
}

#[test]
fn a_late_query_is_ended_at_its_time() {
    let dir = shop();
    let arguments = json!({"connectionId": "shop", "sql": ENDLESS});
    let late = error(dir.path(), &["--timeout", "1"], "sql_execution", arguments);
    assert!(late.contains("exceeded 1 s"), "{late}");
}

#[test]
#[ignore = "needs FACTORY_DUCKDB_LIB, which scripts/fetch_duckdb.sh fetches"]
fn duckdb_answers_as_sqlite_does() {
    let dir = shop();
    duckdb_writer::write(&dir.path().join("shop.duckdb"), super::SHOP);
    let file = |tool: &str, arguments: Value| object(dir.path(), &[], tool, arguments);
    let sql = "SELECT id, amount, day FROM sales ORDER BY id";
    let rows = file("sql_execution", json!({"connectionId": "lake", "sql": sql}));
    assert_eq!(
        rows["headerTypes"],
        json!(["INTEGER", "DECIMAL(10,2)", "DATE"])
    );
    assert_eq!(rows["rows"][0], json!([1, "19.50", "2024-02-29"]));
    let entities = file(
        "entity_details",
        json!({"connectionId": "lake", "entities": ["buyers"]}),
    );
    assert_eq!(entities["entities"][0]["columns"][1]["nullable"], false);
    let found = file(
        "dictionary_search",
        json!({"connectionId": "lake", "value": "grace"}),
    );
    assert_eq!(found["matches"][0]["value"], "Grace");
    let found = file(
        "discover_data",
        json!({"connectionId": "lake", "query": "sale"}),
    );
    assert_eq!(found["entities"][0]["name"], "sales");
    for sql in [
        "COPY buyers TO 'x.csv'",
        "PRAGMA enable_profiling",
        "SELECT 1; DROP TABLE buyers",
    ] {
        let arguments = json!({"connectionId": "lake", "sql": sql});
        let refused = error(dir.path(), &[], "sql_execution", arguments);
        assert!(refused.contains("refused"), "{sql}: {refused}");
    }
    let flags = ["--db", "shop.duckdb"];
    let names = super::text(dir.path(), &flags, "all_table_names", json!({}));
    assert_eq!(names, "buyers, sales");
    let arguments =
        json!({"query": "SELECT amount, day FROM sales WHERE id = :id", "params": {"id": 1}});
    let rows = super::text(dir.path(), &flags, "execute_query", arguments);
    assert_eq!(
        rows,
        "1. row\namount: 19.50\nday: 2024-02-29\n\nResult: 1 rows"
    );
}
