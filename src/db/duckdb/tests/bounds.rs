//! Results and texts that are too large, and memory.

use super::{BOUNDS, MEMORY, library, made, open, rows};
use crate::db::answer::{Bounds, Cut};
use crate::db::cell::Cell;
use crate::db::duckdb::Connection;
use crate::sql::error::SqlError;
use std::fs;
use std::thread;

fn shop() -> (tempfile::TempDir, std::path::PathBuf) {
    made(&[
        "CREATE TABLE t(a INTEGER, b VARCHAR)",
        "INSERT INTO t VALUES (1, 'x'), (2, NULL)",
    ])
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn a_result_stops_at_its_bounds_and_says_which() {
    let (_folder, file) = shop();
    let connection = open(&file);
    let run = |sql: &str, rows, bytes| connection.run(sql, Bounds { rows, bytes }).unwrap();
    let all = run("SELECT a FROM t", 2, 1 << 20);
    assert_eq!((all.rows.len(), all.cut), (2, None));
    let first = run("SELECT a FROM t", 1, 1 << 20);
    assert_eq!((first.rows.len(), first.cut), (1, Some(Cut::Rows)));
    let none = run("SELECT a FROM t", 0, 1 << 20);
    assert_eq!((none.rows.len(), none.cut), (0, Some(Cut::Rows)));
    // 10^15 rows, of which no more are made than taken.
    let endless = run("SELECT * FROM range(1000000000000000)", 5_000, 1 << 30);
    assert_eq!((endless.rows.len(), endless.cut), (5_000, Some(Cut::Rows)));

    for column in [
        "repeat('x', 1000)",
        "range(100)",
        "{'name': i, 'other': [i, i]}",
        "repeat('x', 300)::BLOB",
        "repeat('1', 300)::BIT",
    ] {
        let sql = format!("SELECT {column}, i FROM range(100000) r(i)");
        let cut = run(&sql, usize::MAX, 1 << 20);
        assert_eq!(cut.cut, Some(Cut::Bytes), "{sql}");
        let bytes = |row: &Vec<Cell>| size_of_val(row) + row.iter().map(Cell::bytes).sum::<usize>();
        let taken: usize = cut.rows.iter().map(bytes).sum();
        let most = cut.rows.iter().map(bytes).max().unwrap();
        assert!(
            taken <= 1 << 20 && taken + 2 * most > 1 << 20,
            "{sql}: {taken}"
        );
    }
    let one = run("SELECT repeat('x', 10000000)", 10, 1 << 20);
    assert_eq!((one.rows.len(), one.cut), (0, Some(Cut::Bytes)));
    assert_eq!(
        rows(&connection, "SELECT count(*) FROM t"),
        [[Cell::Integer(2)]]
    );
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn memory_that_duckdb_counts_is_bounded_and_nothing_is_put_aside() {
    let (folder, file) = shop();
    let connection = Connection::open(library(), &file, 64 << 20).unwrap();
    for sql in [
        "SELECT i, hash(i) AS h FROM range(50000000) r(i) ORDER BY h",
        "SELECT count(*) FROM (SELECT DISTINCT hash(i), i FROM range(50000000) r(i))",
    ] {
        let result = connection.run(sql, BOUNDS);
        assert!(
            matches!(result, Err(SqlError::ResourceLimit(_))),
            "{sql}: {result:?}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(
            rows(&connection, "SELECT count(*) FROM t"),
            [[Cell::Integer(2)]]
        );
    }
}

/// On a stack as the main thread of a process has it.
#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn long_and_deep_texts_give_an_answer_or_an_error() {
    let (_folder, file) = shop();
    let deep = move || {
        let connection = Connection::open(library(), &file, MEMORY).unwrap();
        let nested = |n| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n));
        let functions = |n| format!("SELECT {}1{}", "abs(".repeat(n), ")".repeat(n));
        let lists = |n| format!("SELECT {}1{}", "[".repeat(n), "]".repeat(n));
        let queries = |n| format!("{}SELECT 1{}", "SELECT * FROM (".repeat(n), ")".repeat(n));
        let ctes = |n: usize| {
            let parts: Vec<_> = (1..n)
                .map(|i| format!("c{i} AS (FROM c{})", i - 1))
                .collect();
            format!(
                "WITH c0 AS (SELECT 1), {} FROM c{}",
                parts.join(", "),
                n - 1
            )
        };
        for sql in [
            nested(5_000),
            nested(100_000),
            functions(150),
            functions(100_000),
            lists(150),
            lists(100_000),
            queries(400),
            queries(100_000),
            ctes(100),
            format!("SELECT 1{}", " + 1".repeat(5_000)),
            format!("SELECT 1{}", " + 1".repeat(300_000)),
            format!("SELECT 1 WHERE {}true", "NOT ".repeat(200_000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(2_000)),
            format!("SELECT {}1", "1, ".repeat(100_000)),
            format!("SELECT '{}'", "x".repeat(1 << 20)),
            format!("SELECT 1 -- {}", "x".repeat(1 << 20)),
            format!("{} SELECT 1", "/* */".repeat(200_000)),
            format!("{}SELECT 1", "/*".repeat(500_000)),
            "SELECT 1;".repeat(100_000),
            "(".repeat(1 << 20),
            format!("EXPLAIN {}SELECT 1", "ANALYZE ".repeat(10_000)),
        ] {
            let result = connection.run(&sql, BOUNDS);
            if let Err(error) = result {
                let text = error.to_string();
                assert!(
                    text.len() < 2_000 && !matches!(error, SqlError::Database(_)),
                    "{}: {text}",
                    &sql[..40]
                );
            }
            assert_eq!(
                rows(&connection, "SELECT count(*) FROM t"),
                [[Cell::Integer(2)]]
            );
        }
    };
    let thread = thread::Builder::new()
        .stack_size(8 << 20)
        .spawn(deep)
        .unwrap();
    thread.join().unwrap();
}
