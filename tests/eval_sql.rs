//! Black-box tests of `factory eval-sql`.

#[path = "common/scoring.rs"]
mod scoring;

use rusqlite::Connection;
use scoring::{Fixture, error, eval_sql, read_rows, row, stdout, timeless};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const SET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/evals/sql-poc");

#[test]
fn frozen_predictions_score_as_published() {
    assert_eq!(
        stdout(&[&format!("{SET}/baseline-preds.jsonl")]),
        "sql: execution_accuracy=0.667 exact_match=0.167 (n=6)\n\
         failures: sql_missing_join=1 sql_wrong_schema=1\n"
    );
    assert_eq!(
        stdout(&["--data", &format!("{SET}/candidate-preds.jsonl")]),
        "sql: execution_accuracy=0.833 exact_match=0.833 (n=6)\n\
         failures: sql_wrong_filter=1\n"
    );
}

#[test]
fn the_set_keeps_train_and_dev_apart() {
    let texts = |file: &str, field: &str| -> Vec<String> {
        let rows = read_rows(format!("{SET}/{file}"));
        let text = |row: &Value| row[field].as_str().unwrap().to_owned();
        rows.iter().map(text).collect()
    };
    let (train, dev) = (
        texts("train.jsonl", "response"),
        texts("dev.jsonl", "gold_sql"),
    );
    assert_eq!((train.len(), dev.len()), (12, 6));
    assert!(dev.iter().all(|gold| !train.contains(gold)));
    let asked = texts("train.jsonl", "instruction");
    assert!(
        texts("dev.jsonl", "prompt")
            .iter()
            .all(|prompt| !asked.contains(prompt))
    );
}

#[test]
fn every_query_of_the_set_runs_and_returns_rows() {
    let queries = read_rows(format!("{SET}/train.jsonl"))
        .iter()
        .map(|row| row["response"].clone())
        .chain(
            read_rows(format!("{SET}/dev.jsonl"))
                .iter()
                .map(|row| row["gold_sql"].clone()),
        )
        .collect::<Vec<_>>();
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(&fs::read_to_string(format!("{SET}/company.sql")).unwrap())
        .unwrap();
    for query in queries {
        let query = query.as_str().unwrap();
        assert!(
            connection.prepare(query).unwrap().exists([]).unwrap(),
            "{query}"
        );
    }
}

#[test]
fn outputs_are_the_same_bytes_again_but_for_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let preds = format!("{SET}/baseline-preds.jsonl");
    let run = |name: &str| {
        let path = |end: &str| {
            folder
                .path()
                .join(format!("{name}/{end}"))
                .to_str()
                .unwrap()
                .to_owned()
        };
        let (out, prefs) = (path("rows.jsonl"), path("prefs.jsonl"));
        let text = stdout(&[&preds, "--out", &out, "--prefs-out", &prefs]);
        assert!(text.contains(&format!("wrote {out} (6 rows)\n")), "{text}");
        assert!(
            text.contains(&format!("wrote {prefs} (2 pairs)\n")),
            "{text}"
        );
        let timeless: Vec<String> = fs::read_to_string(out)
            .unwrap()
            .lines()
            .map(|line| line.split_once(",\"elapsed_ms\":").unwrap().0.to_owned())
            .collect();
        (timeless, fs::read(prefs).unwrap())
    };
    let first = run("a");
    assert_eq!(first, run("b"));
    let pairs = read_rows(folder.path().join("a/prefs.jsonl"));
    assert_eq!(pairs[0]["id"], "company-dev-04-failure-pref");
    assert_eq!(pairs[0]["domain"], "company");
}

#[test]
fn modes_have_their_own_columns_lines_and_counts() {
    let public = json!({"predicted_sql": "SELECT a , b FROM t", "gold_sql": "select a,b from t;"});
    let fixture = Fixture::rows(&[row("SELECT 1", "SELECT 2"), public]);
    let out = fixture.path("rows.jsonl");
    let lines = "sql: execution_accuracy=0.000 exact_match=0.000 (n=1)\n\
                 public-exact: exact_match=0.500 (n=2)\n\
                 failures: sql_wrong_result=1\n";
    let both = stdout(&[
        &fixture.preds(),
        "--mode",
        "public-exact,factory",
        "--out",
        &out,
    ]);
    assert_eq!(both, format!("{lines}wrote {out} (2 rows)\n"));
    assert_eq!(
        stdout(&[
            &fixture.preds(),
            "--mode",
            "factory",
            "--mode",
            "public-exact"
        ]),
        lines
    );
    let rows = read_rows(&out);
    assert_eq!(rows[1]["exec_match"], Value::Null);
    assert_eq!(rows[1]["public_exact_match"], true);

    let alone = stdout(&[
        &fixture.preds(),
        "--mode",
        "public-exact",
        "--db-dir",
        "/nonexistent",
    ]);
    assert!(
        alone.starts_with("public-exact: exact_match=0.500 (n=2)\n"),
        "{alone}"
    );
}

#[test]
fn slices_follow_the_whole_sorted_by_name() {
    let sliced = |slice: &str, predicted: &str| {
        let mut row = row(predicted, "SELECT 1");
        row["slice"] = slice.into();
        row
    };
    let fixture = Fixture::rows(&[
        sliced("unseen-shape", "SELECT 2"),
        sliced("seen-shape", "SELECT 1"),
        row("SELECT 1;", "SELECT 1"),
    ]);
    assert_eq!(
        stdout(&[&fixture.preds()]),
        "sql: execution_accuracy=0.667 exact_match=0.333 (n=3)\n\
         sql[seen-shape]: execution_accuracy=1.000 exact_match=1.000 (n=1)\n\
         sql[unseen-shape]: execution_accuracy=0.000 exact_match=0.000 (n=1)\n\
         failures: sql_wrong_result=1\n"
    );
}

#[test]
fn bad_inputs_are_one_error_that_names_the_place() {
    let good = row("SELECT 1", "SELECT 1");
    let second = |row: &Value| {
        let mut row = row.clone();
        row["id"] = "s".into();
        row
    };
    let with = |field: &str, value: Value| {
        let mut bad = second(&good);
        bad[field] = value;
        format!("{good}\n{bad}\n")
    };
    let mut without = second(&good);
    without.as_object_mut().unwrap().remove("gold_sql");
    for (preds, expected) in [
        (String::new(), "preds.jsonl has no rows"),
        (format!("{good}\nSELECT 1\n"), "preds.jsonl:2: not JSON"),
        (
            format!("{good}\n\n[]\n"),
            "preds.jsonl:3: must be a JSON object, found array",
        ),
        (
            format!("{good}\n{without}\n"),
            "preds.jsonl:2: row s: field \"gold_sql\" is missing (mode factory)",
        ),
        (
            with("predicted_sql", json!(7)),
            "preds.jsonl:2: field \"predicted_sql\" must be a string, found number",
        ),
        (
            with("db", json!("../shop.db")),
            "preds.jsonl:2: row s: gold_sql gave no rows: database: database name \"../shop.db\" must be a relative path",
        ),
        (with("db", json!("absent.db")), "absent.db not found"),
        (with("db", json!("preds.jsonl")), "not a SQLite database"),
    ] {
        let fixture = Fixture::new(&preds);
        let out = fixture.path("rows.jsonl");
        let message = error(1, &[&fixture.preds(), "--out", &out]);
        assert!(message.starts_with("error: "), "{message}");
        assert!(message.contains(expected), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert_eq!(
            fixture.names(),
            ["preds.jsonl", "shop.db"].map(PathBuf::from)
        );
    }
    let missing = error(1, &["/nonexistent/preds.jsonl"]);
    assert!(missing.contains("/nonexistent/preds.jsonl"), "{missing}");
}

#[test]
fn a_row_that_no_mode_can_score_is_an_error() {
    let fixture = Fixture::rows(&[json!({"predicted_sql": "SELECT 1", "db": "shop.db"})]);
    let message = error(1, &[&fixture.preds(), "--mode", "factory,public-exact"]);
    assert!(
        message.contains("preds.jsonl:1: row r0: field \"gold_sql\" is missing (mode factory); field \"gold_sql\" is missing (mode public-exact)"),
        "{message}"
    );
}

#[test]
fn outputs_are_checked_before_anything_is_scored() {
    let fixture = Fixture::rows(&[row("SELECT 1", "SELECT 1")]);
    let preds = fixture.preds();
    let inside_file = fixture.path("shop.db/rows.jsonl");
    assert!(error(1, &[&preds, "--out", &inside_file]).contains(&inside_file));
    assert!(error(2, &[&preds, "--out", &preds]).contains("named twice"));
    let (out, same) = (fixture.path("rows.jsonl"), fixture.path("./rows.jsonl"));
    assert!(error(2, &[&preds, "--out", &out, "--prefs-out", &same]).contains("named twice"));
    assert_eq!(
        fixture.names(),
        ["preds.jsonl", "shop.db"].map(PathBuf::from)
    );
}

#[test]
fn usage_errors_exit_with_two() {
    assert!(error(2, &["x.jsonl", "--mode", "nope"]).contains("factory, public-exact"));
    assert!(error(2, &[]).contains("PREDS"));
    assert!(error(2, &["x.jsonl", "--data", "y.jsonl"]).contains("cannot be used with"));
    assert!(error(2, &["x.jsonl", "--timeout-ms", "0"]).contains("0 is not in"));
}

#[test]
fn a_broken_reference_stops_or_is_counted_and_never_a_match() {
    let fixture = Fixture::rows(&[
        row("SELECT nope", "SELECT nope"),
        row("SELECT 1", "SELECT 1"),
    ]);
    let out = fixture.path("rows.jsonl");
    let expected = "preds.jsonl:1: row r0: gold_sql gave no rows: no such column: nope";
    let stopped = error(1, &[&fixture.preds(), "--out", &out]);
    assert!(stopped.contains(expected), "{stopped}");
    assert!(!Path::new(&out).exists());
    let output = eval_sql(&[&fixture.preds(), "--keep-going", "--out", &out]);
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(
        warning.starts_with("warning: ") && warning.contains(expected),
        "{warning}"
    );
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!(
            "sql: execution_accuracy=0.500 exact_match=1.000 (n=2)\n\
             failures: sql_wrong_schema=1\n\
             kept going: 1 rows have a reference that fails\n\
             wrote {out} (2 rows)\n"
        )
    );
    assert_eq!(read_rows(&out)[0]["gold_error"], "no such column: nope");
}

#[test]
fn a_row_names_one_database() {
    let row = |other: &str| json!({"id": "x", "db": "s", "db_id": other, "predicted_sql": "SELECT 1", "gold_sql": "SELECT 1"});
    let two = error(1, &[&Fixture::new(&format!("{}\n", row("t"))).preds()]);
    assert!(
        two.contains("preds.jsonl:1: fields \"db\" and \"db_id\""),
        "{two}"
    );
    let same = error(1, &[&Fixture::new(&format!("{}\n", row("s"))).preds()]);
    assert!(!same.contains("db_id"), "{same}");
}

#[test]
fn rows_that_cannot_be_read_stop_or_are_counted() {
    let good = row("SELECT 1", "SELECT 1");
    let lacking = json!({"id": "x", "predicted_sql": "SELECT 1"});
    let fixture = Fixture::new(&format!("{good}\nno JSON\n{good}\n{lacking}\n"));
    let stopped = error(1, &[&fixture.preds()]);
    assert!(
        stopped.contains("3 rows are wrong: ")
            && stopped.contains("preds.jsonl:2: not JSON")
            && stopped.contains("preds.jsonl:4: row x: field"),
        "{stopped}"
    );
    let output = eval_sql(&[&fixture.preds(), "--keep-going"]);
    let warnings = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "preds.jsonl:2: not JSON",
        "preds.jsonl:3: id \"r\" is that of line 1 too",
        "preds.jsonl:4: row x: field \"gold_sql\" is missing",
    ] {
        assert!(warnings.contains(expected), "{warnings}");
    }
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.ends_with("(n=1)\nkept going: 3 rows cannot be scored\n"),
        "{text}"
    );
    let summary = fixture.path("summary.json");
    stdout(&[&fixture.preds(), "--keep-going", "--summary-out", &summary]);
    assert_eq!(
        json_of(&summary)["dropped_rows"],
        json!({
            "count": 3,
            "reasons": {"a field that is missing": 1, "an id that another row has": 1, "not a JSON object": 1}
        })
    );
}

fn json_of(path: &str) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn rows_without_an_answer_stop_or_count_as_failed_everywhere() {
    let good = row("SELECT name FROM items", "SELECT name FROM items");
    let mut rows = vec![good.clone(); 4];
    rows[1]["predicted_sql"] = Value::Null;
    rows[2].as_object_mut().unwrap().remove("predicted_sql");
    rows[3].as_object_mut().unwrap().remove("gold_sql");
    for row in &mut rows {
        row["slice"] = "s".into();
    }
    let fixture = Fixture::rows(&rows);
    let stopped = error(1, &[&fixture.preds()]);
    assert!(
        stopped.contains("3 rows are wrong")
            && stopped
                .contains("preds.jsonl:2: row r1: field \"predicted_sql\" is null (mode factory);"),
        "{stopped}"
    );
    let [out, summary, slices, prefs, labels] = [
        "rows.jsonl",
        "sum.json",
        "slices.json",
        "prefs.jsonl",
        "labels.jsonl",
    ]
    .map(|name| fixture.path(name));
    let text = stdout(&[
        &fixture.preds(),
        "--keep-going",
        "--mode",
        "factory,public-exact,spider-ts,spider-em,bird-ex",
        "--out",
        &out,
        "--summary-out",
        &summary,
        "--slices-out",
        &slices,
        "--prefs-out",
        &prefs,
        "--labels-out",
        &labels,
    ]);
    for line in [
        "sql: execution_accuracy=0.333 exact_match=0.333 (n=3)\n",
        "public-exact: exact_match=0.333 (n=3)\n",
        "spider-em: exact_match=0.333 (n=3)\n",
        "bird-ex[s]: execution_accuracy=0.333 (n=3)\n",
        "failures: sql_no_answer=2\n",
        "kept going: 1 rows cannot be scored\n",
        "kept going: 2 rows have no predicted_sql and count as failed\n",
        "(0 pairs; dropped 2: without an answer)\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let summary = json_of(&summary);
    assert_eq!(summary["rows"], 3);
    assert_eq!(summary["unanswered_rows"], 2);
    assert_eq!(summary["dropped_rows"]["count"], 1);
    for mode in ["factory", "spider-ts", "bird-ex"] {
        assert_eq!(
            summary["modes"][mode]["execution_accuracy"]["n"], 3,
            "{mode}"
        );
    }
    let slices = json_of(&slices);
    assert_eq!(slices["slices"]["s"]["rows"], 3);
    assert_eq!(slices["slices"]["s"]["bird_ex_execution_accuracy"], 0.3333);
    let rows = read_rows(out);
    assert_eq!(rows[2]["failure_type"], "sql_no_answer");
    assert_eq!(rows[2]["spider_ts_match"], false);
    assert_eq!(read_rows(labels).len(), 2);
}

#[test]
fn a_value_that_json_lacks_is_named() {
    for (value, name) in [
        ("NaN", "NaN"),
        ("[1, -Infinity]", "-Infinity"),
        ("Infinity", "Infinity"),
    ] {
        let fixture = Fixture::new(&format!(
            "{{\"predicted_sql\": \"Infinity\", \"score\": {value}}}\n"
        ));
        let message = error(1, &[&fixture.preds()]);
        let expected = format!("preds.jsonl:1: not JSON: {name} at column ");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn both_sides_of_a_row_and_the_whole_run_see_one_time() {
    let asks = [
        "SELECT strftime('%f', 'now')",
        "SELECT unixepoch('subsec')",
        "SELECT CURRENT_TIMESTAMP, date(), time('now', 'localtime')",
        "SELECT julianday('now')",
        // Some time passes in between.
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200000) SELECT max(x), strftime('%J', 'now') FROM c",
    ];
    let mut rows: Vec<_> = asks.map(|sql| row(sql, sql)).into();
    rows.push(row(
        "SELECT datetime('now'), datetime('now', 'localtime')",
        "SELECT 1",
    ));
    rows.push(row(
        "SELECT datetime('now'), unixepoch('subsec')",
        "SELECT 2",
    ));
    let fixture = Fixture::rows(&rows);
    let (out, summary) = (fixture.path("rows.jsonl"), fixture.path("sum.json"));
    let score = |more: &[&str]| {
        let flags = [&fixture.preds(), "--out", &out, "--summary-out", &summary];
        stdout(&[&flags[..], more].concat());
        let rows = read_rows(&out);
        assert!(
            rows[..asks.len()]
                .iter()
                .all(|row| row["exec_match"] == true)
        );
        let now = json_of(&summary)["now"].as_str().unwrap().to_owned();
        (
            rows[5]["predicted_rows"].clone(),
            rows[6]["predicted_rows"].clone(),
            now,
        )
    };
    let (local, seconds, now) = score(&["--now", "2024-02-29T23:59:58+00:30"]);
    assert_eq!(
        local,
        json!([["2024-02-29 23:29:58", "2024-02-29 23:29:58"]])
    );
    assert_eq!(seconds, json!([["2024-02-29 23:29:58", "1709249398.0"]]));
    assert_eq!(now, "2024-02-29T23:29:58Z");
    // What a run says of its time repeats it.
    let first = score(&[]);
    assert_eq!(score(&["--now", &first.2]), first);
    assert!(error(2, &[&fixture.preds(), "--now", "yesterday"]).contains("2026-01-02T03:04:05Z"));
}

#[test]
fn what_rows_show_is_bounded_and_said() {
    // 20 rows of 50 cells of 200 characters of four bytes.
    let big = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20), \
               s AS (SELECT replace(hex(zeroblob(100)), '0', char(128512)) e) SELECT "
        .to_owned()
        + &["e"; 50].join(",")
        + " FROM c, s";
    let count = 150;
    let rows = vec![row(&big, "SELECT name FROM items"); count];
    let fixture = Fixture::rows(&rows);
    let (out, summary) = (fixture.path("rows.jsonl"), fixture.path("sum.json"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args([
            "eval-sql",
            &fixture.preds(),
            "--out",
            &out,
            "--summary-out",
            &summary,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(peak_of(child.id()));
        thread::sleep(Duration::from_millis(2));
    }
    let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let said = format!("results of {count} rows are cut to 16384 bytes (rows_cut)\n");
    assert!(text.contains(&said), "{text}");
    assert_eq!(json_of(&summary)["cut_rows"], count);
    assert!(fs::metadata(&out).unwrap().len() < (count * 20_000) as u64);
    let one = fixture.path("one.jsonl");
    stdout(&[&fixture.preds(), "--out", &one, "--workers", "1"]);
    assert!(timeless(&one) == timeless(&out), "by any number of workers");
    let rows = read_rows(out);
    assert_eq!(rows[0]["rows_cut"], true);
    assert_eq!(rows[0]["gold_rows"], json!([["pen"], ["ink"]]));
    assert!(!rows[0]["predicted_rows"][0].as_array().unwrap().is_empty());
    // Whole, the results of all rows are 120 MB.
    assert!(peak < 100 << 20, "{peak}");
}

/// The peak memory of a process in bytes, as far as Linux tells.
fn peak_of(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
