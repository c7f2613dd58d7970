//! What the tests of `factory eval-sql` share. Included by path: not every file uses all of it.
#![allow(dead_code)]

use factory::db::home::Home;
use factory::eval::databases::Databases;
use factory::eval::session::Rules;
use factory::eval::stop::Stop;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
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

pub const ENDLESS: &str =
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
/// Minutes in one operation that looks at no clock.
pub const STUCK: &str = "SELECT instr(hex(zeroblob(499990)), hex(zeroblob(249990)) || '1')";

/// Processes that `parent` started, with their peaks in KiB, as far as Linux tells.
pub fn children(parent: u32) -> Vec<(u32, Option<u64>)> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let child = |entry: fs::DirEntry| {
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let is_child = field("PPid:")? == u64::from(parent);
        is_child.then_some((field("Pid:")? as u32, field("VmHWM:")))
    };
    processes.flatten().filter_map(child).collect()
}

/// A row's bytes without the time that scoring it took.
pub fn timeless(path: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| line.split_once(",\"elapsed_ms\":").unwrap().0.to_owned())
        .collect()
}

/// The databases of a folder, whose queries have 0.3 s.
pub fn databases(folder: &Path) -> Databases {
    Databases {
        home: Home::Folder(folder.to_owned()),
        worker: [env!("CARGO_BIN_EXE_factory"), "sql-worker"]
            .map(PathBuf::from)
            .into(),
        workers: 2,
        timeout: Duration::from_millis(300),
        rules: Rules::default(),
        stop: Stop::default(),
    }
}
