//! What the tests of `factory eval-sql` share. Included by path: not every file uses all of it.
#![allow(dead_code)]

use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub fn eval_sql(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_factory"))
        .arg("eval-sql")
        .args(args)
        .output()
        .unwrap()
}

pub fn stdout(args: &[&str]) -> String {
    let output = eval_sql(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one error line of a command that must fail with `code` and print nothing else.
pub fn error(code: i32, args: &[&str]) -> String {
    let output = eval_sql(args);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(output.stdout.is_empty());
    errors
}

/// A folder with `shop.db` and a predictions file.
pub struct Fixture {
    pub folder: TempDir,
}

impl Fixture {
    pub fn new(preds: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Connection::open(folder.path().join("shop.db"))
            .unwrap()
            .execute_batch("CREATE TABLE items(id INTEGER, name TEXT); INSERT INTO items VALUES (1, 'pen'), (2, 'ink');")
            .unwrap();
        fs::write(folder.path().join("preds.jsonl"), preds).unwrap();
        Self { folder }
    }

    /// Rows with ids of their own: r0, r1 and so on.
    pub fn rows(rows: &[Value]) -> Self {
        let line = |(i, row): (usize, &Value)| {
            let mut row = row.clone();
            row["id"] = format!("r{i}").into();
            format!("{row}\n")
        };
        Self::new(&rows.iter().enumerate().map(line).collect::<String>())
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn preds(&self) -> String {
        self.path("preds.jsonl")
    }

    pub fn names(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| PathBuf::from(entry.unwrap().file_name()))
            .collect();
        names.sort();
        names
    }
}

pub fn row(predicted: &str, gold: &str) -> Value {
    json!({"id": "r", "db": "shop.db", "prompt": "P", "predicted_sql": predicted, "gold_sql": gold})
}

pub fn read_rows(path: impl AsRef<Path>) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
