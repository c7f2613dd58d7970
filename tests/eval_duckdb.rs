//! Black-box tests of scoring over DuckDB files: the same verdicts as over SQLite, and queries that stop nobody.

mod common;
#[path = "common/duckdb_writer.rs"]
mod duckdb_writer;

use common::factory;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

const SHOP: &str = "CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE sales (id INTEGER PRIMARY KEY, buyer INTEGER, amount DECIMAL(10,2), day DATE);
INSERT INTO buyers VALUES (1, 'Ada'), (2, NULL), (3, 'Cy');
INSERT INTO sales VALUES (1, 1, 19.50, '2024-02-29'), (2, 1, 0.05, '2024-03-01'), (3, 3, 7, '2024-03-01');";

/// Reference, prediction, and whether they return the same.
const PAIRS: [(&str, &str, bool); 11] = [
    (
        "select name from buyers",
        "select name from buyers order by id desc",
        true,
    ),
    (
        "select name from buyers order by id",
        "select name from buyers order by id desc",
        true,
    ),
    ("select count(*) from sales", "select 3", true),
    ("select sum(amount) from sales", "select 26.55", true),
    (
        "select buyer, sum(amount) from sales group by 1",
        "select buyer, sum(amount) from sales group by buyer order by 2",
        true,
    ),
    ("select name from buyers where id = 2", "select null", true),
    ("select name from buyers where id = 2", "select ''", false),
    (
        "select max(day) from sales",
        "select day from sales where id = 3",
        true,
    ),
    (
        "select id, name from buyers",
        "select id from buyers",
        false,
    ),
    ("select name from buyers", "select nope from buyers", false),
    ("select name from buyers", "drop table buyers", false),
];

fn shop() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["sqlite", "duckdb"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let file = rusqlite::Connection::open(dir.path().join("sqlite/shop.sqlite")).unwrap();
    file.execute_batch(SHOP).unwrap();
    duckdb_writer::write(&dir.path().join("duckdb/shop.duckdb"), SHOP);
    dir
}

fn scored(dir: &TempDir, folder: &str, rows: &[Value]) -> Vec<Value> {
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, out) = (path("preds.jsonl"), path("rows.jsonl"));
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(&data, lines).unwrap();
    let output = factory(&[
        "eval-sql",
        &data,
        "--db-dir",
        &path(folder),
        "--out",
        &out,
        "--timeout-ms",
        "1000",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = fs::read_to_string(&out).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
#[ignore = "needs FACTORY_DUCKDB_LIB, which scripts/fetch_duckdb.sh fetches"]
fn both_engines_give_the_same_verdicts() {
    let dir = shop();
    let row = |(gold, predicted, _): &(&str, &str, bool)| json!({"db": "shop", "gold_sql": gold, "predicted_sql": predicted});
    let rows: Vec<Value> = PAIRS.iter().map(row).collect();
    for folder in ["sqlite", "duckdb"] {
        let scored = scored(&dir, folder, &rows);
        for ((gold, predicted, same), row) in PAIRS.iter().zip(&scored) {
            assert_eq!(
                row["exec_match"], *same,
                "{folder}: {gold} / {predicted}: {row}"
            );
        }
    }
}

#[test]
#[ignore = "needs FACTORY_DUCKDB_LIB, which scripts/fetch_duckdb.sh fetches"]
fn a_query_without_end_fails_its_own_row_alone() {
    let dir = shop();
    let before = fs::read(dir.path().join("duckdb/shop.duckdb")).unwrap();
    let row =
        |predicted: &str| json!({"db": "shop", "gold_sql": "select 1", "predicted_sql": predicted});
    let rows = [
        row("select 1"),
        row(
            "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
        ),
        row("select length(repeat('x', 1000000000) || repeat('y', 1000000000))"),
        row("select * from range(100000000)"),
        row("select * from read_csv('/etc/passwd')"),
        row("PRAGMA enable_profiling"),
        row("select 1"),
    ];
    let scored = scored(&dir, "duckdb", &rows);
    let right: Vec<bool> = scored.iter().map(|row| row["exec_match"] == true).collect();
    assert_eq!(right, [true, false, false, false, false, false, true]);
    let error = |at: usize| scored[at]["predicted_error"].to_string();
    assert!(error(1).contains("timed out"), "{}", error(1));
    assert!(
        error(4).contains("refused") || error(4).contains("read_csv"),
        "{}",
        error(4)
    );
    assert_eq!(
        fs::read(dir.path().join("duckdb/shop.duckdb")).unwrap(),
        before
    );
}
