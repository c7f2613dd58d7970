//! `ask_database`: the specialist itself as a tool.

use super::common::tiny;
use super::parrot::parrot;
use super::session::Session;
use super::shop;
use serde_json::{Value, json};
use std::fs;

/// What the parrot was asked about in training.
const BUYERS: &str = "CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO buyers VALUES (1, 'Ada'), (2, NULL);";

#[test]
fn a_question_is_answered_by_the_model_and_its_rows_come_with_it() {
    let dir = shop();
    let file = dir.path().join("shop.sqlite");
    fs::remove_file(&file).unwrap();
    let file = rusqlite::Connection::open(file).unwrap();
    file.execute_batch(BUYERS).unwrap();
    let lora = parrot(dir.path(), "select id, name from buyers;");
    let base = tiny();
    let flags = ["--base", &base, "--device", "cpu", "--lora", &lora];
    let mut session = Session::start(dir.path(), &flags);
    let list = session.request("tools/list", json!({}));
    let tools = session.answer(list);
    let tools = tools["result"]["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "ask_database"));

    let question = json!({"connectionId": "shop", "question": "Who is number 3?"});
    let asked = session.call("ask_database", question);
    let answer = session.answer(asked);
    let told = &answer["result"]["structuredContent"];
    assert_eq!(told["sql"], "select id, name from buyers;", "{answer}");
    assert_eq!(told["headers"], json!(["id", "name"]));
    assert_eq!(told["rows"], json!([[1, "Ada"], [2, null]]));
    assert_eq!(
        (&told["confidence"], &told["unsure"]),
        (&json!(1.0), &json!(false))
    );
    assert_eq!(
        (&told["route"], &told["error"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(told["adapters"], json!([["parrot", 1.0]]));

    for (arguments, part) in [
        (
            json!({"connectionId": "shop", "question": " "}),
            "the question is empty",
        ),
        (
            json!({"connectionId": "wiki", "question": "Who?"}),
            "not a SQL warehouse connection",
        ),
        (
            json!({"connectionId": "warehouse", "question": "Who?"}),
            "no connector for snowflake",
        ),
        (
            json!({"connectionId": "lake", "question": "Who?"}),
            "shop.duckdb",
        ),
    ] {
        let asked = session.call("ask_database", arguments);
        let answer = session.answer(asked);
        assert_eq!(answer["result"]["isError"], true);
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(part), "{text}");
    }
    session.end();
}
