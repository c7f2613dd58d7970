//! Shards of `generate` and `eval-sql`, put together by `data merge`: the same bytes as without shards.

mod common;

use common::{fails, ok, text, tiny};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const ROWS: usize = 11;

fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("db")).unwrap();
    let schema = "CREATE TABLE pens (id INTEGER); INSERT INTO pens VALUES (1), (2);";
    fs::write(dir.path().join("db/pens.sql"), schema).unwrap();
    let row = |i: usize| {
        let prompt = format!("How many pens have an id above {i}?");
        let gold = format!("SELECT count(*) FROM pens WHERE id > {i}");
        json!({"id": format!("pen-{i}"), "db": "pens", "prompt": prompt, "gold_sql": gold})
            .to_string()
            + "\n"
    };
    let rows: String = (0..ROWS).map(row).collect();
    fs::write(dir.path().join("dev.jsonl"), rows).unwrap();
    dir
}

fn generate(dir: &Path, out: &str, more: &[&str]) -> String {
    let out = text(&dir.join(out));
    let (base, data) = (tiny(), text(&dir.join("dev.jsonl")));
    // Drawn answers depend on a row's place in the whole file.
    let drawn = ["--max-tokens", "6", "--temperature", "1"];
    ok(&common::generate(
        &base,
        &data,
        &out,
        &[&drawn, more].concat(),
    ));
    out
}

fn score(dir: &Path, data: &str, out: &str, more: &[&str]) -> String {
    let (out, db) = (text(&dir.join(out)), text(&dir.join("db")));
    ok(&[&["eval-sql", data, "--db-dir", &db, "--out", &out], more].concat());
    out
}

/// Scored rows without their times.
fn untimed(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row["elapsed_ms"] = 0.into();
        row
    });
    rows.collect()
}

#[test]
fn shards_put_together_are_the_whole() {
    let dir = place();
    let dir = dir.path();
    let data = text(&dir.join("dev.jsonl"));
    let whole = generate(dir, "whole.jsonl", &[]);
    let parts: Vec<String> = (1..=3)
        .map(|i| {
            generate(
                dir,
                &format!("part-{i}.jsonl"),
                &["--shard", &format!("{i}/3")],
            )
        })
        .collect();
    let merged = text(&dir.join("merged.jsonl"));
    let merge = [
        "data", "merge", &parts[0], &parts[1], &parts[2], "--data", &data, "--out", &merged,
    ];
    assert!(ok(&merge).contains("(11 rows)"));
    assert_eq!(fs::read(&merged).unwrap(), fs::read(&whole).unwrap());

    let scored = score(dir, &whole, "whole.rows.jsonl", &[]);
    let parts: Vec<String> = (1..=2)
        .map(|i| {
            score(
                dir,
                &whole,
                &format!("rows-{i}.jsonl"),
                &["--shard", &format!("{i}/2")],
            )
        })
        .collect();
    let merged = text(&dir.join("merged.rows.jsonl"));
    ok(&[
        "data", "merge", &parts[0], &parts[1], "--data", &whole, "--out", &merged,
    ]);
    assert_eq!(untimed(&merged), untimed(&scored));
    assert_eq!(untimed(&merged).len(), ROWS);
}

#[test]
fn mistakes_are_named() {
    let dir = place();
    let dir = dir.path();
    let data = text(&dir.join("dev.jsonl"));
    let out = text(&dir.join("out.jsonl"));
    let (base, wrong) = (tiny(), ["0/2", "3/2", "1", "x/y"]);
    for shard in wrong {
        let words = [
            "generate", "--base", &base, "--data", &data, "--out", &out, "--shard", shard,
        ];
        fails(&words, 2, &["--shard", "give I/N"]);
    }
    let first = generate(dir, "first.jsonl", &["--shard", "1/2"]);
    let second = generate(dir, "second.jsonl", &["--shard", "2/2"]);
    let merge = |parts: &[&str], said: &[&str]| {
        let words = [&["data", "merge"], parts, &["--data", &data, "--out", &out]].concat();
        fails(&words, 1, said);
        assert!(!Path::new(&out).exists());
    };
    merge(
        &[&first],
        &["the shards have 5 rows", "has 11: give all of them"],
    );
    merge(
        &[&second, &first],
        &["second.jsonl:1: another id", "in their order"],
    );
    merge(
        &[&first, &second, &first],
        &["first.jsonl:1: this row comes twice or too late"],
    );
}
