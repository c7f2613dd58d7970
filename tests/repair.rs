//! Repair: rows that teach it, the adapter that says it was taught, and answers that are asked again with their error.

mod common;
#[path = "common/scoring.rs"]
mod scoring;

use common::{fails, ok, text, tiny};
use factory::data::repair::prompt;
use scoring::read_rows;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const ASKED: &str = "oars";
const FAILS: &str = "SELECT x";
const ERROR: &str = "no such column: x";

fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let boats = "CREATE TABLE boats (oars INTEGER); INSERT INTO boats VALUES (7);";
    fs::write(dir.path().join("boats.sql"), boats).unwrap();
    dir
}

fn write(dir: &Path, name: &str, rows: &[Value]) -> String {
    let lines: String = rows.iter().map(|row| row.to_string() + "\n").collect();
    fs::write(dir.join(name), lines).unwrap();
    text(&dir.join(name))
}

#[test]
fn failed_rows_become_rows_that_repair() {
    let dir = folder();
    let row = |id: &str, predicted: Value, gold: &str| json!({"id": id, "prompt": format!("{ASKED} {id}"), "db": "boats", "gold_sql": gold, "predicted_sql": predicted});
    let gold = "SELECT oars FROM boats";
    let mut rows = vec![
        row("right", gold.into(), gold),
        row("schema", "Sure: SELECT nope FROM boats;".into(), gold),
        row("wrong", "SELECT 8".into(), gold),
        row("words", "I do not know.".into(), gold),
        row("write", "DROP TABLE boats".into(), gold),
        row("turns", FAILS.into(), gold),
    ];
    let talk =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED}]);
    let turns = rows[5].as_object_mut().unwrap();
    turns.remove("prompt");
    turns.insert("messages".to_owned(), talk);
    let preds = write(dir.path(), "preds.jsonl", &rows);
    let (scored, out) = (
        text(&dir.path().join("scored.jsonl")),
        text(&dir.path().join("repair.jsonl")),
    );
    ok(&[
        "eval-sql",
        &preds,
        "--db-dir",
        &text(dir.path()),
        "--out",
        &scored,
    ]);
    let said = ok(&["data", "repair", &scored, "--data", &preds, "--out", &out]);
    assert_eq!(
        said,
        format!(
            "wrote {out} (3 rows that repair; left out 1: asked in several turns; left out 1: right; left out 1: wrong, but without an error)\n"
        )
    );
    let made = read_rows(&out);
    let shown: Vec<&str> = made
        .iter()
        .map(|row| row["prompt"].as_str().unwrap())
        .collect();
    assert_eq!(
        shown,
        [
            prompt(
                "oars schema",
                "SELECT nope FROM boats;",
                "no such column: nope"
            ),
            prompt(
                "oars words",
                "I do not know.",
                "refused: no query in the reply"
            ),
            prompt(
                "oars write",
                "DROP TABLE boats",
                "refused: the reply has a statement that is no query: DROP TABLE boats"
            ),
        ]
    );
    for row in &made {
        assert_eq!(
            (&row["completion"], &row["_repair"]),
            (&json!(gold), &json!(true))
        );
    }
    assert_eq!(made[0]["id"], "schema-repair");
    // Other rows than those that were scored.
    rows.swap(0, 1);
    let other = write(dir.path(), "other.jsonl", &rows);
    let none = text(&dir.path().join("none.jsonl"));
    let args = ["data", "repair", &scored, "--data", &other, "--out", &none];
    fails(&args, 1, &["other.jsonl: row 1", "was scored"]);
    let right = write(dir.path(), "right.jsonl", &rows[1..2]);
    ok(&[
        "eval-sql",
        &right,
        "--db-dir",
        &text(dir.path()),
        "--out",
        &scored,
    ]);
    let args = ["data", "repair", &scored, "--data", &right, "--out", &none];
    fails(&args, 1, &["no query failed", "1: right"]);
    assert!(!Path::new(&none).exists());
}

/// Trains the tiny model on these rows.
fn taught(dir: &Path, out: &str, rows: &[Value], more: &[&str]) -> String {
    let (base, data, out) = (
        tiny(),
        write(dir, "train.jsonl", rows),
        text(&dir.join(out)),
    );
    let fixed = [
        "sft", "--base", &base, "--data", &data, "--out", &out, "--device", "cpu", "--batch", "2",
        "--lr", "0.02", "--rank", "4",
    ];
    ok(&[&fixed[..], more].concat());
    out
}

#[test]
fn answers_that_fail_are_asked_again_by_who_was_taught_to() {
    let dir = folder();
    let row = |prompt: &str, sql: &str| json!({"prompt": prompt, "completion": sql});
    let mut again = row(&prompt(ASKED, FAILS, ERROR), "SELECT 7");
    again["_repair"] = true.into();
    let rows = [row(ASKED, FAILS), row("seven", "SELECT 3+4"), again];
    let adapter = taught(dir.path(), "adapter", &rows, &["--steps", "300"]);
    let says = |adapter: &str| fs::read_to_string(Path::new(adapter).join("repair.json")).ok();
    assert_eq!(says(&adapter).unwrap(), "{\n  \"rows\": 1\n}\n");
    let ask = |id: &str, prompt: &str| json!({"id": id, "prompt": prompt, "gold_sql": "SELECT 7", "db": "boats"});
    let data = write(
        dir.path(),
        "rows.jsonl",
        &[ask("a", ASKED), ask("b", "seven"), ask("c", ASKED)],
    );
    let (out, db) = (text(&dir.path().join("out.jsonl")), text(dir.path()));
    let generate = |adapter: &str, more: &[&str]| -> Vec<String> {
        let fixed = [
            "generate",
            "--data",
            &data,
            "--out",
            &out,
            "--lora",
            adapter,
            "--device",
            "cpu",
            "--max-tokens",
            "20",
        ];
        [&fixed[..], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let refs = |words: &[String]| -> Vec<Value> {
        ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
        read_rows(&out)
    };
    let answers = |rows: &[Value]| {
        rows.iter()
            .map(|row| row["predicted_sql"].clone())
            .collect::<Vec<_>>()
    };
    let plain = refs(&generate(&adapter, &[]));
    assert_eq!(answers(&plain), [FAILS, "SELECT 3+4", FAILS]);
    let repair = [
        "--repair",
        "2",
        "--db-dir",
        &db,
        "--choice-fields",
        "--confidence",
    ];
    let repaired = refs(&generate(&adapter, &repair));
    assert_eq!(answers(&repaired), ["SELECT 7", "SELECT 3+4", "SELECT 7"]);
    assert_eq!(
        repaired[0]["_choice"],
        json!({"sample": 0, "by": "repair", "error": ERROR})
    );
    assert_eq!(repaired[1]["_choice"], json!({"sample": 0, "by": "first"}));
    // Its own likelihood, not that of the answer that failed.
    let sure = repaired[0]["_confidence"].as_f64().unwrap();
    assert!((sure - repaired[0]["_logprob"].as_f64().unwrap().exp()).abs() < 2e-6);
    // With others drawn: where none runs, and nobody voted for what it becomes.
    let drawn = [
        "--samples",
        "2",
        "--temperature",
        "0.01",
        "--select",
        "vote",
    ];
    let voted = refs(&generate(&adapter, &[&repair[..], &drawn].concat()));
    assert_eq!(answers(&voted), ["SELECT 7", "SELECT 3+4", "SELECT 7"]);
    let sure: Vec<f64> = voted
        .iter()
        .map(|row| row["_confidence"].as_f64().unwrap())
        .collect();
    assert_eq!(sure, [0.0, 1.0, 0.0]);

    // What goes on from it was taught too, and another was not.
    let short = ["--steps", "1", "--init", &adapter];
    let rest = ["--device", "cpu", "--base"];
    let base = tiny();
    let train = write(dir.path(), "more.jsonl", &rows[..2]);
    let next = text(&dir.path().join("next"));
    ok(&[
        &["sft", "--data", &train, "--out", &next][..],
        &short,
        &rest,
        &[&base],
    ]
    .concat());
    assert_eq!(says(&next), says(&adapter));
    let other = taught(dir.path(), "other", &rows[..2], &["--steps", "1"]);
    assert_eq!(says(&other), None);
    let words = generate(&other, &["--repair", "1", "--db-dir", &db]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    fails(
        &words,
        2,
        &[
            "other was not trained on repair rows",
            "factory data repair",
        ],
    );
    let words = generate(&adapter, &["--repair", "1"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    fails(&words, 2, &["--db-dir"]);
}
