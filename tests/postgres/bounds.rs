//! Results and texts that are too large, and time.

use super::{BOUNDS, open, open_for, process, rows, started};
use factory::db::answer::{Bounds, Cut};
use factory::db::cell::Cell;
use factory::db::postgres::{Connection, Timeouts};
use factory::sql::error::SqlError;
use std::time::{Duration, Instant};
use std::{env, fs};

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_result_stops_at_its_bounds_and_says_which() {
    let Some(server) = started() else {
        return;
    };
    server.psql("CREATE TABLE t AS SELECT generate_series(1, 2) AS a");
    let connection = open(&server, "postgres");
    let run = |sql: &str, rows, bytes| connection.run(sql, Bounds { rows, bytes }).unwrap();
    let all = run("SELECT a FROM t", 2, 1 << 20);
    assert_eq!((all.rows.len(), all.cut), (2, None));
    let first = run("SELECT a FROM t", 1, 1 << 20);
    assert_eq!((first.rows.len(), first.cut), (1, Some(Cut::Rows)));
    let none = run("SELECT a FROM t", 0, 1 << 20);
    assert_eq!((none.rows.len(), none.cut), (0, Some(Cut::Rows)));
    let plan = run("EXPLAIN VERBOSE SELECT a FROM t", 1, 1 << 20);
    assert_eq!((plan.rows.len(), plan.cut), (1, Some(Cut::Rows)));
    for rows in [999, 1000, 1001, 2000] {
        let whole = run(
            &format!("SELECT i FROM generate_series(1, {rows}) i"),
            rows,
            1 << 30,
        );
        assert_eq!((whole.rows.len(), whole.cut), (rows, None));
        let cut = run(
            &format!("SELECT i FROM generate_series(1, {}) i", rows + 1),
            rows,
            1 << 30,
        );
        assert_eq!((cut.rows.len(), cut.cut), (rows, Some(Cut::Rows)));
    }
    // 10^15 rows, of which no more are made than taken.
    let endless = run(
        "SELECT x.a + y.a * 0 FROM generate_series(1, 3) z(a), t x, t y, (SELECT 1 FROM generate_series(1, 1000000)) w",
        5_000,
        1 << 30,
    );
    assert_eq!((endless.rows.len(), endless.cut), (5_000, Some(Cut::Rows)));
    for column in [
        "repeat('x', 1000)",
        "ARRAY(SELECT generate_series(1, 100))",
        "ROW(i, ARRAY[i, i])",
        "decode(repeat('ab', 300), 'hex')",
        "1e300::numeric",
    ] {
        let sql = format!("SELECT {column}, i FROM generate_series(1, 100000) i");
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
    super::until("no session is left", || server.sessions() == "0");
}

const LARGE: &str = "FACTORY_TEST_LARGE";

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_large_result_takes_no_memory_beyond_its_bounds() {
    let Some(server) = started() else {
        return;
    };
    let output = process(
        "bounds::takes_a_large_result",
        LARGE,
        &server.url("postgres", "postgres"),
    )
    .output()
    .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let most: u64 = printed
        .split("most memory: ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(most < 100_000, "{most} kB");
}

#[test]
#[ignore = "is a process of the test before it"]
fn takes_a_large_result() {
    let Ok(url) = env::var(LARGE) else {
        return;
    };
    let connection = Connection::new(&url, super::TIMEOUTS).unwrap();
    // 2.3 GB, a thousand rows of 2.3 MB.
    let sql = "SELECT repeat(md5(i::text), 72000) FROM generate_series(1, 1000) i";
    let answer = connection
        .run(
            sql,
            Bounds {
                rows: 1_000,
                bytes: 8 << 20,
            },
        )
        .unwrap();
    assert_eq!((answer.rows.len(), answer.cut), (3, Some(Cut::Bytes)));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("0 kB");
    println!("most memory: {}", most.trim());
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn time_is_bounded() {
    let Some(server) = started() else {
        return;
    };
    let second = Duration::from_secs(1);
    let connection = open_for(&server, "postgres", second);
    for sql in [
        "SELECT pg_sleep(6000)",
        // Each piece is quick.
        "SELECT pg_sleep(0.0001) FROM generate_series(1, 100000000)",
        "SELECT count(*) FROM generate_series(1, 1000000000000)",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c",
        "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b, generate_series(1, 100000) c",
    ] {
        let begun = Instant::now();
        let result = connection.run(
            sql,
            Bounds {
                rows: usize::MAX,
                bytes: 1 << 30,
            },
        );
        assert_eq!(
            result,
            Err(SqlError::ResourceLimit("exceeded 1 s".to_owned())),
            "{sql}"
        );
        assert!(
            // The server counts whole milliseconds, from a moment of its own.
            begun.elapsed() >= second * 9 / 10 && begun.elapsed() < 20 * second,
            "{sql}: {:?}",
            begun.elapsed()
        );
        assert_eq!(rows(&connection, "SELECT 1"), [[Cell::Integer(1)]]);
    }
    super::until("no session is left", || server.sessions() == "0");
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_lock_is_not_waited_for_without_end() {
    let Some(server) = started() else {
        return;
    };
    server.psql("CREATE TABLE t(a int)");
    let mut holder = server.session("postgres", "BEGIN; LOCK TABLE t; SELECT pg_sleep(6000)");
    super::until("the table is locked", || {
        server.psql("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock'") == "1"
    });
    let result = open(&server, "postgres").run("SELECT * FROM t", BOUNDS);
    let told = result.unwrap_err().to_string();
    assert!(
        told.starts_with("resource limit: another session holds a lock") && told.contains("55P03"),
        "{told}"
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn temporary_files_and_memory_are_bounded() {
    let Some(server) = started() else {
        return;
    };
    server.psql("ALTER SYSTEM SET temp_file_limit = '10MB'; SELECT pg_reload_conf()");
    let connection = open(&server, "postgres");
    for sql in [
        "SELECT i, md5(i::text) AS h FROM generate_series(1, 5000000) i ORDER BY h",
        "SELECT repeat('x', 2000000000)",
        "SELECT repeat('x', 900000000) || repeat('x', 900000000)",
    ] {
        let result = connection.run(sql, BOUNDS);
        assert!(
            matches!(result, Err(SqlError::ResourceLimit(_) | SqlError::Sql(_))),
            "{sql}: {result:?}"
        );
    }
    let files = connection.run(
        "SELECT i, md5(i::text) AS h FROM generate_series(1, 5000000) i ORDER BY h",
        BOUNDS,
    );
    assert!(
        matches!(files, Err(SqlError::ResourceLimit(_))),
        "{files:?}"
    );
}

/// On a stack as the main thread of a process has it.
#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn long_and_deep_texts_give_an_answer_or_an_error() {
    let Some(server) = started() else {
        return;
    };
    server.psql("CREATE TABLE t AS SELECT generate_series(1, 2) AS a");
    let url = server.url("postgres", "postgres");
    let deep = move || {
        let timeouts = Timeouts {
            call: Duration::from_secs(20),
            ..super::TIMEOUTS
        };
        let connection = Connection::new(&url, timeouts).unwrap();
        let nested = |n| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n));
        let functions = |n| format!("SELECT {}1{}", "abs(".repeat(n), ")".repeat(n));
        let queries = |n| format!("{}SELECT 1{}", "SELECT * FROM (".repeat(n), ") q".repeat(n));
        for sql in [
            nested(500),
            nested(100_000),
            functions(500),
            functions(100_000),
            queries(100),
            queries(100_000),
            format!(
                "SELECT {}1{}",
                "ARRAY[".repeat(100_000),
                "]".repeat(100_000)
            ),
            format!("SELECT 1{}", " + 1".repeat(1_000)),
            format!("SELECT 1{}", " + 1".repeat(300_000)),
            format!("SELECT 1 WHERE {}true", "NOT ".repeat(200_000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(500)),
            format!("SELECT {}1", "1, ".repeat(1_000)),
            format!("SELECT {}1", "1, ".repeat(100_000)),
            format!("SELECT '{}'", "x".repeat(1 << 20)),
            format!("SELECT 1 -- {}", "x".repeat(1 << 20)),
            format!("{} SELECT 1", "/* */".repeat(200_000)),
            format!("{}SELECT 1", "/*".repeat(500_000)),
            "SELECT 1;".repeat(100_000),
            "(".repeat(1 << 20),
            format!("EXPLAIN {}SELECT 1", "VERBOSE ".repeat(10_000)),
            format!("SELECT {}(1)", "f".repeat(1 << 20)),
            format!(
                "SELECT {}",
                (0..50_000)
                    .map(|i| format!("f{i}(1)"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            "SELECT '".to_owned(),
            "SELECT E'\\".to_owned(),
            "SELECT U&\"\\".to_owned(),
            "SELECT $a$".to_owned(),
        ] {
            if let Err(error) = connection.run(&sql, BOUNDS) {
                let text = error.to_string();
                let start: String = sql.chars().take(40).collect();
                assert!(
                    text.len() < 2_000
                        && !text.contains('\n')
                        && !matches!(error, SqlError::Database(_)),
                    "{start}: {text}"
                );
            }
            assert_eq!(
                rows(&connection, "SELECT count(*) FROM t"),
                [[Cell::Integer(2)]]
            );
        }
    };
    let thread = std::thread::Builder::new()
        .stack_size(8 << 20)
        .spawn(deep)
        .unwrap();
    thread.join().unwrap();
}
