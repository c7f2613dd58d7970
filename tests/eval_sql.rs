//! Black-box tests of `factory eval-sql`.

#[path = "common/scoring.rs"]
mod scoring;

use rusqlite::Connection;
use scoring::{Fixture, error, eval_sql, read_rows, row, stdout};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

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
        (with("db", json!("preds.jsonl")), "file is not a database"),
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
             kept going: 1 rows have a gold_sql that fails\n\
             wrote {out} (2 rows)\n"
        )
    );
    assert_eq!(read_rows(&out)[0]["gold_error"], "no such column: nope");
}

#[test]
fn rows_that_cannot_be_read_stop_or_are_counted() {
    let good = row("SELECT 1", "SELECT 1");
    let lacking = json!({"id": "x", "predicted_sql": "SELECT 1"});
    let fixture = Fixture::new(&format!("{good}\nno JSON\n{good}\n{lacking}\n"));
    let stopped = error(1, &[&fixture.preds()]);
    assert!(
        stopped.contains("preds.jsonl:2: not JSON") && stopped.contains("and 2 more"),
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
}
