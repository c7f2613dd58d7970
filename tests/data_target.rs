//! Black-box tests of `factory data target`: training rows for what a scoring failed.

mod common;

use common::{fails, ok, text};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

fn workplace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: &[Value]| {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(dir.path().join(name), text).unwrap();
    };
    let scored = |id: &str, question: &str, gold: &str, failure: Option<&str>| {
        json!({
            "index": 0, "id": id, "db": "hives", "question": question, "predicted_sql": "", "scored_sql": "", "gold_sql": gold,
            "exec_match": failure.is_none(), "predicted_error": null, "gold_error": null, "predicted_rows": null,
            "gold_rows": null, "failure_type": failure, "elapsed_ms": 0,
        })
    };
    let rows = [
        scored(
            "a",
            "How many hives are there?",
            "select count(*) from hives",
            Some("sql_wrong_aggregation"),
        ),
        scored(
            "b",
            "Which hives are old?",
            "select name from hives where age > 5",
            None,
        ),
    ];
    write("rows.jsonl", &rows);
    write("passed.jsonl", &rows[1..]);
    let taught = |id: &str, prompt: &str, sql: &str| json!({"id": id, "instruction": prompt, "response": sql});
    write(
        "pool.jsonl",
        &[
            taught(
                "p0",
                "Schema: hives. How many hives are there?",
                "select count(*) from hives;",
            ),
            taught(
                "p1",
                "How many bees are there?",
                "select count(*) from bees;",
            ),
            taught(
                "p2",
                "How much honey is in the cellar?",
                "select sum(weight) from jars where place = 'cellar';",
            ),
            taught("p3", "The names of the bees", "select name from bees;"),
            taught("p4", "Count the drones", "select count(*) from drones;"),
        ],
    );
    write("dev.jsonl", &[json!({"prompt": "Count the drones"})]);
    dir
}

#[test]
fn rows_are_chosen_as_they_stand_with_a_manifest() {
    let dir = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let (rows, pool, out, dev) = (
        path("rows.jsonl"),
        path("pool.jsonl"),
        path("out.jsonl"),
        path("dev.jsonl"),
    );
    let args = [
        "data",
        "target",
        "--rows",
        &rows,
        "--pool",
        &pool,
        "--count",
        "9",
        "--out",
        &out,
        "--heldout",
        &dev,
    ];
    let said = ok(&args);
    assert!(
        said.starts_with("sql_wrong_aggregation: 1 failed, 2 of 9 rows\n"),
        "{said}"
    );
    assert!(said.contains("(2 of 9 rows wanted; held out 2)"), "{said}");
    let pool_text = fs::read_to_string(&pool).unwrap();
    let lines: Vec<&str> = pool_text.lines().collect();
    let chosen = fs::read_to_string(&out).unwrap();
    assert_eq!(chosen.lines().collect::<Vec<_>>(), [lines[1], lines[2]]);
    let manifest: Value =
        serde_json::from_slice(&fs::read(path("out.manifest.json")).unwrap()).unwrap();
    assert_eq!(
        manifest["rows"],
        json!([
            {"line": 2, "id": "p1", "failure_type": "sql_wrong_aggregation", "failed": "a", "why": "shape"},
            {"line": 3, "id": "p2", "failure_type": "sql_wrong_aggregation", "failed": "a", "why": "failed_clause"},
        ])
    );
    // The same call, the same bytes.
    ok(&args);
    assert_eq!(fs::read_to_string(&out).unwrap(), chosen);
}

#[test]
fn what_gives_no_rows_is_said_and_nothing_is_written() {
    let dir = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let (pool, out) = (path("pool.jsonl"), path("out.jsonl"));
    let refused = |rows: &str, pool: &str, more: &[&str], code, part: &str| {
        let args = [
            "data", "target", "--rows", rows, "--pool", pool, "--count", "2", "--out", &out,
        ];
        fails(&[&args[..], more].concat(), code, &[part]);
        assert!(
            !dir.path().join("out.jsonl").exists()
                && !dir.path().join("out.manifest.json").exists()
        );
    };
    let rows = path("rows.jsonl");
    refused(&path("passed.jsonl"), &pool, &[], 1, "no row failed");
    refused(&rows, &path("dev.jsonl"), &[], 1, "dev.jsonl:1");
    refused(
        &pool,
        &pool,
        &[],
        1,
        "pool.jsonl:1: no row of `eval-sql --out`",
    );
    let pool_of_one = path("one.jsonl");
    let first = fs::read_to_string(&pool)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    fs::write(&pool_of_one, first).unwrap();
    refused(
        &rows,
        &pool_of_one,
        &[],
        1,
        "of 1 rows 1 are like a held-out row",
    );
    refused(&rows, &pool, &["--heldout", &out], 2, "named twice");
}
