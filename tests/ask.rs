//! Black-box tests of `factory ask`.

mod common;
#[path = "common/parrot.rs"]
mod parrot;

use common::{factory, fails, golden, ok, tiny};
use parrot::{answered, parrot};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const SHOP: &str = "CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO buyers VALUES (1, 'Ada'), (2, NULL);";

fn shop() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.sql");
    fs::write(&file, SHOP).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (dir, file)
}

#[test]
fn a_question_is_put_as_in_training_and_its_rows_are_shown() {
    let (dir, db) = shop();
    let lora = parrot(dir.path(), "select id, name from buyers;");
    let asking: Value =
        serde_json::from_slice(&fs::read(Path::new(&lora).join("asking.json")).unwrap()).unwrap();
    assert_eq!(
        asking,
        json!({"prompt": "Answer. Schema: {schema}. Question: {question}", "notation": "list", "value_hints": 0})
    );
    let base = tiny();
    let ask = [
        "ask", "--base", &base, "--device", "cpu", "--lora", &lora, "--db", &db,
    ];
    let with = |more: &[&str]| ok(&[&ask[..], more].concat());
    let question = "Who is number 3?";
    assert_eq!(
        with(&[question, "--sql-only"]).trim(),
        "select id, name from buyers;"
    );
    assert_eq!(with(&[question, "--csv"]), "id,name\n1,Ada\n2,\n");
    let table = with(&[question]);
    for part in [
        "select id, name from buyers;",
        "┌",
        "│ id ┆ name │",
        "│ 2  ┆ NULL │",
    ] {
        assert!(table.contains(part), "{table}");
    }
    let answer: Value = serde_json::from_str(&with(&[question, "--json"])).unwrap();
    answered(&answer);

    // Without a question, one a line.
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args([&ask[..], &["--sql-only"]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"Who is number 1?\n\nWho is number 2?\n")
        .unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(said, "select id, name from buyers;\n".repeat(2));
}

#[test]
fn an_answer_that_is_no_query_is_not_sure() {
    let (dir, db) = shop();
    let lora = parrot(dir.path(), "drop table buyers;");
    let base = tiny();
    let output = factory(&[
        "ask",
        "--base",
        &base,
        "--device",
        "cpu",
        "--lora",
        &lora,
        "--db",
        &db,
        "Who is number 3?",
    ]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("the query fails") && errors.contains("not sure"),
        "{errors}"
    );
}

#[test]
fn databases_that_cannot_be_asked_are_said() {
    let (dir, db) = shop();
    let base = tiny();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ask = |db: &str, code: i32, more: &[&str], parts: &[&str]| {
        let own = [
            "ask", "--base", &base, "--device", "cpu", "--db", db, "Who?",
        ];
        fails(&[&own[..], more].concat(), code, parts);
    };
    ask(
        &file(
            "noise.db",
            b"not a database at all, but long enough to look at",
        ),
        1,
        &[],
        &["noise.db"],
    );
    ask(&file("empty.sql", b"SELECT 1;"), 1, &[], &["has no tables"]);
    ask("nowhere.db", 1, &[], &["nowhere.db"]);
    ask(
        &db,
        2,
        &["--table", "sellers"],
        &["no table is called sellers", "buyers"],
    );
    ask(
        &db,
        2,
        &["--prompt", "Tell me {question}"],
        &["has no {schema}"],
    );
    ask(&db, 2, &["--sure", "2"], &["--sure"]);
    let lora = golden("tiny-llama-lora").display().to_string();
    let output = factory(&[
        "ask", "--base", &base, "--device", "cpu", "--lora", &lora, "--db", &db, "Who?",
    ]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not say how it was asked"));
}
