//! What happens to a run from outside changes no row: it is stopped for a while, or somebody kills a scoring process.
#![cfg(target_os = "linux")]

#[path = "common/scoring.rs"]
mod scoring;

use scoring::{ENDLESS, Fixture, STUCK, children, read_rows, row, timeless};
use serde_json::Value;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const DEADLINE_MS: u64 = 500;

/// A query of so many steps; 200,000 take some 30 ms.
fn work(count: usize) -> String {
    format!(
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {count}) SELECT max(x) FROM c"
    )
}

/// Starts scoring the rows of a fixture.
fn start(fixture: &Fixture, deadline_ms: u64, workers: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(fixture.folder.path())
        .args(["eval-sql", "preds.jsonl", "--out", "rows.jsonl"])
        .args([
            "--timeout-ms",
            &deadline_ms.to_string(),
            "--workers",
            workers,
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Its rows without times, once it ended.
fn rows(fixture: &Fixture, child: Child) -> Vec<String> {
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    timeless(&fixture.path("rows.jsonl"))
}

fn signal(name: &str, processes: &[u32]) {
    for process in processes {
        // One that has just ended cannot be sent anything.
        let mut kill = Command::new("kill");
        kill.args([name, &process.to_string()]);
        kill.stderr(Stdio::null()).status().unwrap();
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(2));
    }
}

/// Waits until a worker is at a query, and returns the workers. `rows` says whether references are done with.
fn at_work(fixture: &Fixture, child: &Child, rows: bool) -> Vec<u32> {
    until("no journal", || {
        !rows || fs::exists(fixture.path("rows.jsonl.partial")).unwrap()
    });
    let workers = || children(child.id()).into_iter().map(|(worker, _)| worker);
    until("no worker", || workers().next().is_some());
    sleep(Duration::from_millis(150));
    workers().collect()
}

#[test]
fn a_run_that_is_stopped_for_a_while_is_the_same() {
    let work = |i: usize| work(200_000 + i);
    let mut inputs: Vec<Value> = (0..4).map(|i| row(&work(i), &work(i % 2))).collect();
    inputs.insert(1, row(ENDLESS, "SELECT 1"));
    inputs.insert(2, row(STUCK, "SELECT 1"));
    let fixture = Fixture::rows(&inputs);
    let expected = rows(&fixture, start(&fixture, DEADLINE_MS, "2"));
    let late = |row: &&String| row.contains("timed out after 500 ms");
    assert_eq!(expected.iter().filter(late).count(), 2, "{expected:?}");
    type Stopped = fn(u32, &[u32]) -> Vec<u32>;
    let both: Stopped = |parent, workers| [&[parent], workers].concat();
    let stopped: [(&str, Stopped); 3] = [
        ("the program", |parent, _| vec![parent]),
        ("the workers", |_, workers| workers.to_vec()),
        ("all", both),
    ];
    for (what, stopped) in stopped {
        let child = start(&fixture, DEADLINE_MS, "2");
        let workers = at_work(&fixture, &child, true);
        let stopped = stopped(child.id(), &workers);
        signal("-STOP", &stopped);
        sleep(Duration::from_millis(2 * DEADLINE_MS));
        signal("-CONT", &stopped);
        assert_eq!(rows(&fixture, child), expected, "{what} stopped");
    }
}

#[test]
fn a_worker_killed_once_costs_nobody_a_result() {
    // More than a second of work on each side, so that a worker is at a query whenever one is looked for.
    let work = |i: usize| work(1_500_000 + i);
    let inputs: Vec<Value> = (0..12).map(|i| row(&work(i), &work(12 + i))).collect();
    let fixture = Fixture::rows(&inputs);
    let expected = rows(&fixture, start(&fixture, 30_000, "2"));
    for at_rows in [false, true] {
        let child = start(&fixture, 30_000, "2");
        let workers = at_work(&fixture, &child, at_rows);
        assert!(!workers.is_empty());
        signal("-KILL", &workers[..1]);
        let what = ["references", "predictions"][usize::from(at_rows)];
        assert_eq!(rows(&fixture, child), expected, "killed while {what} run");
    }
}

#[test]
fn a_query_that_loses_two_processes_is_blamed_alone() {
    let fine = row("SELECT name FROM items", "SELECT name FROM items");
    let fixture = Fixture::rows(&[row(STUCK, "SELECT 1"), fine.clone(), fine]);
    let child = start(&fixture, 60_000, "1");
    let first = at_work(&fixture, &child, true);
    signal("-KILL", &first);
    until("no other worker", || {
        let workers = children(child.id());
        workers.iter().any(|(worker, _)| !first.contains(worker))
    });
    signal("-KILL", &at_work(&fixture, &child, true));
    rows(&fixture, child);
    let rows = read_rows(fixture.path("rows.jsonl"));
    assert_eq!(rows[0]["failure_type"], "sql_resource_limit");
    let error = "resource limit: its process ended";
    assert_eq!(rows[0]["predicted_error"], error);
    assert!(rows[1..].iter().all(|row| row["exec_match"] == true));
}

#[test]
fn a_run_that_goes_on_keeps_its_time_of_day() {
    let asks = row("SELECT unixepoch()", "SELECT unixepoch()");
    let fixture = Fixture::rows(&[asks, row(STUCK, "SELECT 1")]);
    let journal = fixture.path("rows.jsonl.partial");
    let mut child = start(&fixture, 800, "1");
    until("no row", || {
        fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() == 2)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let text = fs::read_to_string(&journal).unwrap();
    let header: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let now = header
        .pointer("/setup/options/now")
        .unwrap()
        .as_str()
        .unwrap();
    sleep(Duration::from_millis(1_100));
    let go_on = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_factory"))
            .current_dir(fixture.folder.path())
            .args(["eval-sql", "preds.jsonl", "--out", "rows.jsonl", "--resume"])
            .args(["--timeout-ms", "800", "--summary-out", "sum.json"])
            .args(more)
            .output()
            .unwrap()
    };
    let other = go_on(&["--now", "2001-01-01T00:00:00Z"]);
    let message = String::from_utf8(other.stderr).unwrap();
    assert!(message.contains("of a run with other inputs"), "{message}");
    assert!(go_on(&[]).status.success());
    let summary = fs::read_to_string(fixture.path("sum.json")).unwrap();
    assert!(summary.contains(now), "{now}: {summary}");
}
