//! Black-box tests of `factory data correct`: replies and the right queries become rows and pairs.

mod common;

use common::{fails, ok, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const SCHEMA: &str = "CREATE TABLE trees(id INTEGER, kind TEXT, height INTEGER);
INSERT INTO trees VALUES (1, 'oak', 9), (2, 'elm', 7), (3, 'oak', 4);";

fn write(path: &Path, rows: &[Value]) {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(path, text).unwrap();
}

fn read(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn corrected(prompt: &str, reply: &str, right: &str) -> Value {
    json!({"prompt": prompt, "predicted_sql": reply, "gold_sql": right, "db": "grove"})
}

/// A database, ten rows of before, and a held-out row.
fn workplace(corrections: &[Value]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("grove.sql"), SCHEMA).unwrap();
    write(&dir.path().join("fixes.jsonl"), corrections);
    let old = |i: usize| json!({"instruction": format!("Old question {i}?"), "response": format!("select {i}"), "n": i});
    write(
        &dir.path().join("old.jsonl"),
        &(0..10).map(old).collect::<Vec<_>>(),
    );
    write(
        &dir.path().join("dev.jsonl"),
        &[json!({"prompt": "Old question 3?"})],
    );
    dir
}

fn run(dir: &TempDir, more: &[&str]) -> String {
    ok(&args(dir, more)
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>())
}

fn args(dir: &TempDir, more: &[&str]) -> Vec<String> {
    let path = |name: &str| text(&dir.path().join(name));
    let fixed = [
        "data",
        "correct",
        "--rows",
        &path("fixes.jsonl"),
        "--out",
        &path("rows.jsonl"),
        "--prefs-out",
        &path("prefs.jsonl"),
    ];
    fixed
        .iter()
        .chain(more)
        .map(|word| word.to_string())
        .collect()
}

#[test]
fn corrections_become_rows_and_pairs_beside_rows_of_before() {
    let first = json!({
        "id": "a", "domain": "wood", "prompt": "How many trees?", "predicted_sql": " select sum(id) from trees\n",
        "gold_sql": "select count(*) from trees;", "question": "not read",
    });
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let dir = workplace(&[
        first.clone(),
        // The same question, replied to otherwise.
        json!({"id": "b", "instruction": "how many  trees?", "predicted_sql": "I do not know.", "gold_sql": "SELECT COUNT(*) FROM trees"}),
        json!({"messages": [turn("system", "Be short."), turn("user", "Oaks?")], "predicted_sql": "", "gold_sql": "select 1"}),
        json!({"messages": [turn("user", "Oaks?"), turn("assistant", "How old?"), turn("user", "Any.")],
            "predicted_sql": "Sure: select 2", "gold_sql": "select 2"}),
        corrected("Old question 7?", "select 70", "select 77"),
    ]);
    let path = |name: &str| text(&dir.path().join(name));
    let (old, dev) = (path("old.jsonl"), path("dev.jsonl"));
    let flags = [
        "--replay",
        &old,
        "--replay-share",
        "0.6",
        "--heldout",
        &dev,
        "--seed",
        "4",
    ];
    let said = run(&dir, &flags);
    assert!(
        said.contains("(4 corrections, 6 rows of before of 6 wanted)"),
        "{said}"
    );
    let rows = read(&dir.path().join("rows.jsonl"));
    assert_eq!(
        rows[..4],
        [
            json!({"id": "a-corrected", "domain": "wood", "instruction": "How many trees?", "response": "select count(*) from trees;"}),
            json!({"id": "row-3-corrected", "system": "Be short.", "instruction": "Oaks?", "response": "select 1"}),
            json!({"id": "row-4-corrected", "prompt": [turn("user", "Oaks?"), turn("assistant", "How old?"), turn("user", "Any.")],
                "completion": [turn("assistant", "select 2")]}),
            json!({"id": "row-5-corrected", "db": "grove", "instruction": "Old question 7?", "response": "select 77"}),
        ]
    );
    // What is corrected and what is held out does not come again; the others do as they were, in their order.
    let again: Vec<i64> = rows[4..]
        .iter()
        .map(|row| row["n"].as_i64().unwrap())
        .collect();
    assert_eq!(again.len(), 6);
    assert!(
        again.is_sorted() && !again.contains(&3) && !again.contains(&7),
        "{again:?}"
    );
    let pairs = read(&dir.path().join("prefs.jsonl"));
    assert_eq!(
        pairs[0],
        json!({"id": "a-corrected-pref", "domain": "wood", "failure_type": "sql_wrong_result", "prompt": "How many trees?",
            "chosen": "select count(*) from trees;", "rejected": "select sum(id) from trees"})
    );
    let kinds: Vec<_> = pairs
        .iter()
        .map(|pair| pair["failure_type"].as_str().unwrap())
        .collect();
    // An empty reply makes no pair.
    assert_eq!(
        kinds,
        [
            "sql_wrong_result",
            "sql_no_select",
            "sql_prose_wrapped",
            "sql_wrong_result"
        ]
    );
    assert_eq!(
        pairs[2]["rejected"],
        json!([turn("assistant", "Sure: select 2")])
    );
    let manifest: Value =
        serde_json::from_slice(&fs::read(dir.path().join("rows.manifest.json")).unwrap()).unwrap();
    assert_eq!(
        (&manifest["taught"], &manifest["pairs"]),
        (&json!(4), &json!(4))
    );
    let replay = &manifest["replay"];
    assert_eq!(
        (
            &replay["wanted"],
            &replay["taken"],
            &replay["kept_out"],
            &replay["files"][0]["rows"]
        ),
        (&json!(6), &json!(6), &json!(2), &json!(10))
    );
    assert!(!manifest.to_string().contains("trees"), "{manifest}");

    // Training reads all of it; the same seed gives the same bytes, another one other rows.
    ok(&["data", "check", "--data", &path("rows.jsonl")]);
    let before = fs::read(path("rows.jsonl")).unwrap();
    run(&dir, &flags);
    assert_eq!(fs::read(path("rows.jsonl")).unwrap(), before);
    let others = (5..9).any(|seed| {
        run(
            &dir,
            &[&flags[..6], &["--seed", &seed.to_string()]].concat(),
        );
        fs::read(path("rows.jsonl")).unwrap() != before
    });
    assert!(others);
}

#[test]
fn what_cannot_be_taught_is_named_by_row_or_counted() {
    let dir = workplace(&[
        corrected("Old question 3?", "select 1", "select 2"),
        corrected("A", "SELECT kind\nFROM trees ;", "select kind from trees"),
        corrected("B", "select height from trees", "select hight from trees"),
        corrected(
            "C",
            "select max(height) from trees",
            "select height from trees order by height desc limit 1",
        ),
        corrected("D", "select 1", "the tallest"),
        corrected("E", "select 1", "select kind from trees"),
        corrected("E", "select 2", "select id from trees"),
        json!({"prompt": "F", "predicted_sql": "select 1", "gold_sql": "select 2"}),
        json!({"prompt": "G", "gold_sql": "select 2", "db": "grove"}),
        // The right rows, but not a query alone.
        corrected(
            "H",
            "```sql\nselect count(id) from trees\n```",
            "select count(*) from trees",
        ),
    ]);
    let path = |name: &str| text(&dir.path().join(name));
    let (db_dir, dev) = (text(dir.path()), path("dev.jsonl"));
    let flags = ["--db-dir", &db_dir, "--heldout", &dev];
    let refused = args(&dir, &flags);
    let words: Vec<&str> = refused.iter().map(String::as_str).collect();
    fails(
        &words,
        1,
        &[
            "(--keep-going leaves them out): 8 rows are wrong: ",
            "fixes.jsonl:1: a held-out row has this prompt",
            "fixes.jsonl:2: the reply is the right query",
            "fixes.jsonl:3: gold_sql gives no rows: no such column: hight",
            "fixes.jsonl:4: the reply gives the rows of gold_sql",
            "fixes.jsonl:5: field \"gold_sql\" is no query",
            "fixes.jsonl:7: line 6 has another gold_sql for this prompt",
            "fixes.jsonl:8: names no database",
            "fixes.jsonl:9: field \"predicted_sql\" is missing",
        ],
    );
    assert!(
        !dir.path().join("rows.jsonl").exists() && !dir.path().join("rows.manifest.json").exists()
    );
    let said = run(&dir, &[&flags[..], &["--keep-going"]].concat());
    assert!(
        said.starts_with("left out: 1 held out, 1 identical, 1 right already, "),
        "{said}"
    );
    let rows = read(&dir.path().join("rows.jsonl"));
    let prompts: Vec<_> = rows
        .iter()
        .map(|row| row["instruction"].as_str().unwrap())
        .collect();
    assert_eq!(prompts, ["E", "H"]);
    let pairs = read(&dir.path().join("prefs.jsonl"));
    assert_eq!(pairs[1]["failure_type"], "sql_prose_wrapped");

    // Nothing is left: that is an error, and what was written stays.
    write(
        &dir.path().join("fixes.jsonl"),
        &[corrected("A", "select 1", "select 1")],
    );
    let refused = args(&dir, &["--keep-going"]);
    let words: Vec<&str> = refused.iter().map(String::as_str).collect();
    fails(&words, 1, &["no row can be taught: 1 identical"]);
    assert_eq!(read(&dir.path().join("rows.jsonl")).len(), 2);
    fails(
        &[&words[..], &["--replay-share", "0.5"]].concat(),
        2,
        &["required arguments"],
    );
}
