//! Black-box tests of `factory mcp`: the server as clients meet it, by the program's own client and by lines of the protocol.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/duckdb_writer.rs"]
mod duckdb_writer;
// Its answers have another form here.
#[allow(dead_code)]
#[path = "../common/parrot.rs"]
mod parrot;
// Other tests stop servers and start them again.
#[allow(dead_code)]
#[path = "../common/pg_server.rs"]
mod pg_server;

mod alchemy;
mod calls;
mod hostile;
mod http;
mod session;
mod specialist;
mod tools;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const SHOP: &str = "CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'nobody', home TEXT);
CREATE TABLE sales (id INTEGER PRIMARY KEY, buyer INTEGER REFERENCES buyers(id), amount DECIMAL(10,2), day DATE);
CREATE VIEW totals AS SELECT buyer, sum(amount) AS total FROM sales GROUP BY buyer;
INSERT INTO buyers VALUES (1, 'Ada', 'London'), (2, 'Grace', NULL);
INSERT INTO sales VALUES (1, 1, 19.50, '2024-02-29'), (2, 1, 0.05, '2024-03-01');";

/// A query without end.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

/// A folder with the shop as a SQLite file, and connections to it and to what this build does not reach.
fn shop() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(dir.path().join("shop.sqlite")).unwrap();
    file.execute_batch(SHOP).unwrap();
    let settings = "[shop]\npath = \"shop.sqlite\"\n[lake]\ndriver = \"duckdb\"\npath = \"shop.duckdb\"\n\
                    [warehouse]\ndriver = \"snowflake\"\n[wiki]\ndriver = \"metabase\"\n";
    fs::write(dir.path().join("connections.toml"), settings).unwrap();
    dir
}

/// `factory mcp call`, of a server in `folder` with more flags.
fn call(folder: &Path, flags: &[&str], tool: &str, arguments: &Value, json: bool) -> Output {
    let program = env!("CARGO_BIN_EXE_factory");
    let mut command = Command::new(program);
    command
        .args([
            "mcp",
            "call",
            "--tool",
            tool,
            "--args",
            &arguments.to_string(),
        ])
        .args(json.then_some("--json"))
        .args(["--", program, "mcp", "serve"])
        .args(flags)
        .current_dir(folder)
        .env_remove("DB_URL")
        .output()
        .unwrap()
}

/// What a tool says, as a text.
fn text(folder: &Path, flags: &[&str], tool: &str, arguments: Value) -> String {
    let output = call(folder, flags, tool, &arguments, false);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments}: {stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.strip_suffix('\n').unwrap().to_owned()
}

/// What a tool says, as an object, which is also its text.
fn object(folder: &Path, flags: &[&str], tool: &str, arguments: Value) -> Value {
    let output = call(folder, flags, tool, &arguments, true);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments}: {stderr}");
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(whole["isError"], false);
    let text = whole["content"][0]["text"].as_str().unwrap();
    assert_eq!(text, whole["structuredContent"].to_string());
    whole["structuredContent"].clone()
}

/// The message of a tool that fails.
fn error(folder: &Path, flags: &[&str], tool: &str, arguments: Value) -> String {
    let output = call(folder, flags, tool, &arguments, true);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{tool} {arguments}: {output:?}"
    );
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(whole["isError"], true);
    let text = whole["content"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}
