//! What tests of samples share: a database, rows over it, and an adapter of the tiny model that answers some of them in several ways.

#![allow(dead_code)] // not every test file uses all of it

use crate::common::{ok, text, tiny};
use serde_json::json;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

pub const BOATS: &str = "CREATE TABLE boats (name TEXT, oars INTEGER); INSERT INTO boats VALUES ('Ann', 2), ('Bo', 4), ('Cy', 4);";

/// What the adapter was taught to answer: one question in five ways, one in one.
const TAUGHT: [(&str, &str); 10] = [
    ("oars", "SELECT SUM(oars) FROM boats"),
    ("oars", "SELECT SUM(oars) FROM boats LIMIT 1"),
    ("oars", "SELECT x FROM boats"),
    ("oars", "SELECT COUNT(*) FROM boats"),
    ("oars", "SELECT 10"),
    ("many", "SELECT COUNT(*) FROM boats"),
    ("many", "SELECT COUNT(*) FROM boats"),
    ("many", "SELECT COUNT(*) FROM boats"),
    ("many", "SELECT COUNT(*) FROM boats"),
    ("many", "SELECT COUNT(*) FROM boats"),
];

/// The rows: questions in several ways, in one, and one that the adapter answers wrongly.
pub const ROWS: [(&str, &str); 3] = [
    ("oars", "SELECT SUM(oars) FROM boats"),
    ("many", "SELECT COUNT(*) FROM boats"),
    ("none", "SELECT name FROM boats WHERE oars = 2"),
];

/// A folder with `boats.sql`, `rows.jsonl` (each of [`ROWS`] so many times) and `adapter`.
pub fn taught(times: usize) -> TempDir {
    taught_with(times, &[])
}

/// The same, where the adapter was taught `more`.
pub fn taught_with(times: usize, more: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("boats.sql"), BOATS).unwrap();
    let all = TAUGHT.iter().chain(more);
    let learn = all.map(|(ask, sql)| json!({"prompt": ask, "completion": sql}).to_string() + "\n");
    fs::write(path("train.jsonl"), learn.collect::<String>()).unwrap();
    write_rows(&path("rows.jsonl"), &ROWS, times);
    let (base, data, out) = (tiny(), text(&path("train.jsonl")), text(&path("adapter")));
    ok(&[
        "sft", "--base", &base, "--data", &data, "--out", &out, "--device", "cpu", "--steps",
        "300", "--batch", "10", "--lr", "0.01", "--rank", "4",
    ]);
    dir
}

/// Training rows whose answers are their references.
pub fn write_rows(path: &Path, rows: &[(&str, &str)], times: usize) {
    let mut lines = String::new();
    for i in 0..times {
        for (at, (ask, sql)) in rows.iter().enumerate() {
            let row = json!({"id": format!("r{i}-{at}"), "domain": ask, "prompt": ask, "completion": sql, "db": "boats"});
            lines += &(row.to_string() + "\n");
        }
    }
    fs::write(path, lines).unwrap();
}
