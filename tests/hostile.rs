//! Hostile replies: every row is scored, the databases stay as they were, no file appears, time and memory are bounded.

#[path = "common/scoring.rs"]
mod scoring;

use scoring::{ENDLESS, Fixture, STUCK, children, read_rows, row};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE_MS: u64 = 400;
const WORKERS: usize = 2;

/// Predictions and the kind of failure that each is.
fn hostile() -> Vec<(String, &'static str)> {
    let mut rows: Vec<(String, &str)> = [
        ("ATTACH 'made.db' AS made; SELECT 1", "sql_refused"),
        ("WITH c AS (SELECT 1) INSERT INTO items SELECT 3, 'x' FROM c", "sql_refused"),
        ("WITH c AS (SELECT 1) DELETE FROM items", "sql_refused"),
        ("WITH c AS (SELECT 1) UPDATE items SET name = ''", "sql_refused"),
        ("SELECT load_extension('made')", "sql_refused"),
        ("SELECT fts3_tokenizer('simple')", "sql_refused"),
        ("SELECT name FROM items\0; DROP TABLE items", "sql_refused"),
        ("SELECT * FROM pragma_table_info('items')", "sql_refused"),
        ("SELECT writefile('made', 'x')", "sql_wrong_result"),
        ("DROP TABLE items", "sql_refused"),
        (ENDLESS, "sql_timeout"),
        (
            "SELECT count(*) FROM items a, items b, items c, items d, items e, items f, items g, items h, items i,
             items j, items k, items l, items m, items n, items o, items p, items q, items r, items s, items t,
             items u, items v, items w, items x, items y, items z, items a1, items a2, items a3, items a4",
            "sql_timeout",
        ),
        (STUCK, "sql_timeout"),
        ("SELECT hex(zeroblob(40000)) LIKE '%0%0%0%0%0%0%0%1'", "sql_wrong_result"),
        ("SELECT printf('%.*c', 1000000000, 'x')", "sql_resource_limit"),
        ("SELECT randomblob(2000000)", "sql_resource_limit"),
        ("SELECT 1,1,1,1,1,1,1,1,1,1,1,1 FROM items", "sql_wrong_result"),
        ("SELECT CAST(x'ff' AS TEXT)", "sql_wrong_result"),
        ("SELECT name FROM absent", "sql_wrong_schema"),
    ]
    .map(|(sql, kind)| (sql.to_owned(), kind))
    .into();
    rows.push((
        format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000)),
        "sql_resource_limit",
    ));
    rows.push((
        format!("SELECT '{}'", "x".repeat(1 << 20)),
        "sql_resource_limit",
    ));
    let many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 90000) SELECT zeroblob(900000) FROM c";
    rows.push((many.to_owned(), "sql_resource_limit"));
    rows
}

/// Statements that are no queries, for the modes that run a reply as it stands.
const STATEMENTS: [&str; 16] = [
    "ATTACH 'made.db' AS made",
    "VACUUM INTO 'made.db'",
    "VACUUM",
    "PRAGMA journal_mode = WAL",
    "PRAGMA query_only = OFF",
    "INSERT INTO items VALUES (3, 'x')",
    "UPDATE items SET name = ''",
    "DELETE FROM items",
    "DROP TABLE items",
    "CREATE TABLE made(a)",
    "CREATE TEMP TABLE items(a)",
    "CREATE TEMP VIEW items AS SELECT 1",
    "BEGIN",
    "REINDEX",
    "EXPLAIN SELECT name FROM items",
    "SELECT name FROM items; DROP TABLE items",
];

/// Runs in the fixture's folder; returns the rows, the time, and the largest memory of a scoring process in bytes.
fn run(fixture: &Fixture, flags: &[&str]) -> (Vec<Value>, Duration, u64) {
    let before = fs::read(fixture.path("shop.db")).unwrap();
    let mut names = fixture.names();
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(fixture.folder.path())
        .args(["eval-sql", "preds.jsonl", "--out", "rows.jsonl"])
        .args([
            "--timeout-ms",
            &DEADLINE_MS.to_string(),
            "--workers",
            &WORKERS.to_string(),
        ])
        .args(flags)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(memory_of_children(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let elapsed = start.elapsed();
    assert!(status.success());
    let rows = read_rows(fixture.path("rows.jsonl"));
    assert_eq!(fs::read(fixture.path("shop.db")).unwrap(), before);
    names.push(PathBuf::from("rows.jsonl"));
    names.sort();
    assert_eq!(fixture.names(), names);
    (rows, elapsed, peak)
}

/// The peak of the largest child, as far as Linux tells.
fn memory_of_children(parent: u32) -> u64 {
    let peaks = children(parent).into_iter().filter_map(|(_, peak)| peak);
    peaks.max().unwrap_or(0) * 1024
}

#[test]
fn hostile_predictions_cost_nobody_else_a_result() {
    let cases = hostile();
    let fine = row("SELECT name FROM items", "SELECT name FROM items");
    let mut rows = Vec::new();
    for (sql, _) in &cases {
        rows.push(row(sql, "SELECT name FROM items"));
        rows.push(fine.clone());
    }
    // More than a pipe holds: told to a process that is stuck.
    let long = rows
        .iter()
        .position(|row| row["predicted_sql"] == STUCK)
        .unwrap()
        + 1;
    rows[long]["predicted_sql"] =
        format!("SELECT name FROM items -- {}", "x".repeat(300_000)).into();
    let fixture = Fixture::rows(&rows);
    let (scored, elapsed, peak) = run(&fixture, &[]);
    assert_eq!(scored.len(), rows.len());
    for (pair, (sql, kind)) in scored.chunks(2).zip(&cases) {
        let shown = &sql[..sql.len().min(80)];
        assert_eq!(
            pair[0]["failure_type"], *kind,
            "{shown}: {}",
            pair[0]["predicted_error"]
        );
        let long = pair[1]["predicted_sql"].as_str().unwrap().len() > 100_000;
        assert_eq!(pair[1]["exec_match"], !long, "the row after {shown}");
    }
    // A process that ends is late by the grace and the next one's start; deadlines are processor time, of which a busy machine
    // gives less.
    let slow = cases
        .iter()
        .filter(|(_, kind)| *kind == "sql_timeout")
        .count() as u32;
    let each = Duration::from_millis(DEADLINE_MS + 600);
    let bound = each * slow.div_ceil(WORKERS as u32) + Duration::from_secs(30);
    println!(
        "{} rows in {elapsed:.1?}, largest process {} MB",
        rows.len(),
        peak >> 20
    );
    assert!(elapsed < bound, "{elapsed:?}");
    let seen = !cfg!(target_os = "linux") || peak > 0;
    assert!(seen && peak < 400 << 20, "{peak}");
}

#[test]
fn statements_are_refused_by_the_modes_that_run_replies_as_they_stand() {
    let rows: Vec<_> = STATEMENTS
        .iter()
        .map(|sql| row(sql, "SELECT name FROM items WHERE id > 99"))
        .collect();
    let fixture = Fixture::rows(&rows);
    let modes = ["--mode", "bird-ex,spider-ts,spider-em", "--keep-distinct"];
    let (scored, ..) = run(&fixture, &modes);
    for (row, sql) in scored.iter().zip(STATEMENTS) {
        assert_eq!(row["failure_type"], "sql_refused", "{sql}: {row}");
        for column in ["bird_ex_match", "spider_ts_match", "spider_em_match"] {
            assert_eq!(row[column], false, "{sql}: {column}");
        }
    }
}

#[test]
fn hostile_references_are_counted() {
    let rows: Vec<_> = STATEMENTS
        .iter()
        .chain(&[ENDLESS, STUCK, "/* nothing */", "SELECT a\0"])
        .map(|sql| row("SELECT name FROM items", sql))
        .collect();
    let fixture = Fixture::rows(&rows);
    let (scored, ..) = run(&fixture, &["--keep-going"]);
    for row in &scored {
        assert!(row["gold_error"].is_string(), "{row}");
        assert_eq!(row["exec_match"], false);
        assert_eq!(row["predicted_rows"], json!([["pen"], ["ink"]]));
    }
    assert_eq!(scored.len(), rows.len());
}

#[test]
fn a_mode_says_in_company_what_it_says_alone() {
    let all = [
        "factory",
        "public-exact",
        "spider-ts",
        "spider-em",
        "bird-ex",
    ];
    let columns = [
        &["exec_match", "exact_match"][..],
        &["public_exact_match"],
        &["spider_ts_match"],
        &["spider_em_match"],
        &["bird_ex_match"],
    ];
    let hostile = hostile();
    let predicted = hostile.iter().map(|(sql, _)| sql.as_str());
    let mut rows: Vec<_> = predicted
        .chain(STATEMENTS)
        .map(|sql| row(sql, "SELECT name FROM items"))
        .collect();
    // Each alone takes the whole deadline of a mode; without DISTINCT it is another query.
    rows.push(row(
        &ENDLESS.replace("SELECT count", "SELECT DISTINCT count"),
        "SELECT name FROM items",
    ));
    rows.push(row(
        "SELECT DISTINCT name FROM items",
        "SELECT name FROM items",
    ));
    rows.push(row(
        "SELECT name, id FROM items",
        "SELECT id, name FROM items",
    ));
    let score = |modes: &str| run(&Fixture::rows(&rows), &["--mode", modes]).0;
    let together = score(&all.join(","));
    for (mode, columns) in all.iter().zip(columns) {
        for (alone, together) in score(mode).iter().zip(&together) {
            for column in columns {
                let id = &alone["id"];
                assert!(alone[column].is_boolean(), "{mode}: {alone}");
                assert_eq!(alone[column], together[column], "{mode}, {column}: {id}");
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn databases_outside_the_folder_are_out_of_reach() {
    let outside = Fixture::rows(&[]);
    let mut rows = vec![row("SELECT 1", "SELECT 1")];
    for db in [
        "../shop.db",
        "/etc/passwd",
        "linked.db",
        "linked/shop.db",
        "a/../../shop.db",
    ] {
        let mut bad = row("SELECT name FROM items", "SELECT name FROM items");
        bad["db"] = db.into();
        rows.push(bad);
    }
    let fixture = Fixture::rows(&rows);
    let link = |to: String, name: &str| std::os::unix::fs::symlink(to, fixture.path(name)).unwrap();
    link(outside.path("shop.db"), "linked.db");
    link(outside.path(""), "linked");
    let (scored, ..) = run(&fixture, &["--keep-going"]);
    assert_eq!(scored[0]["exec_match"], true);
    for row in &scored[1..] {
        assert_eq!(row["exec_match"], false, "{row}");
        assert!(
            row["gold_error"]
                .as_str()
                .unwrap()
                .starts_with("database: "),
            "{row}"
        );
    }
}

/// Starts scoring `rows` and waits until one worker is at work on the first of them.
#[cfg(target_os = "linux")]
fn at_work(fixture: &Fixture, timeout_ms: &str) -> (std::process::Child, u32) {
    let child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(fixture.folder.path())
        .args([
            "eval-sql",
            "preds.jsonl",
            "--out",
            "rows.jsonl",
            "--workers",
            "1",
        ])
        .args(["--timeout-ms", timeout_ms])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    // The journal begins when the reference queries are done and rows are told.
    while !fs::exists(fixture.path("rows.jsonl.partial")).unwrap() {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    let workers = children(child.id());
    assert_eq!(workers.len(), 1, "{workers:?}");
    (child, workers[0].0)
}

#[cfg(target_os = "linux")]
#[test]
fn processes_end_with_whoever_started_them() {
    let fixture = Fixture::rows(&[row(STUCK, "SELECT 1")]);
    let (mut child, worker) = at_work(&fixture, "60000");
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    // Ended but not yet asked about by its new parent, it is a zombie.
    let runs = || {
        let status = fs::read_to_string(format!("/proc/{worker}/status"));
        status.is_ok_and(|status| !status.contains("State:\tZ"))
    };
    while runs() {
        assert!(start.elapsed() < Duration::from_secs(5), "it goes on alone");
        std::thread::sleep(Duration::from_millis(20));
    }
}
