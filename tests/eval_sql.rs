//! Black-box tests of `factory eval-sql`.

use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const SET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/evals/sql-poc");

fn eval_sql(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_factory"))
        .arg("eval-sql")
        .args(args)
        .output()
        .unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = eval_sql(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one error line of a command that must fail with `code` and print nothing else.
fn error(code: i32, args: &[&str]) -> String {
    let output = eval_sql(args);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(output.stdout.is_empty());
    errors
}

/// A folder with `shop.db` and a predictions file.
struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new(preds: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Connection::open(folder.path().join("shop.db"))
            .unwrap()
            .execute_batch("CREATE TABLE items(id INTEGER, name TEXT); INSERT INTO items VALUES (1, 'pen'), (2, 'ink');")
            .unwrap();
        fs::write(folder.path().join("preds.jsonl"), preds).unwrap();
        Self { folder }
    }

    fn rows(rows: &[Value]) -> Self {
        Self::new(
            &rows
                .iter()
                .map(|row| format!("{row}\n"))
                .collect::<String>(),
        )
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn preds(&self) -> String {
        self.path("preds.jsonl")
    }

    fn names(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| PathBuf::from(entry.unwrap().file_name()))
            .collect();
        names.sort();
        names
    }
}

fn row(predicted: &str, gold: &str) -> Value {
    json!({"id": "r", "db": "shop.db", "prompt": "P", "predicted_sql": predicted, "gold_sql": gold})
}

fn read_rows(path: impl AsRef<Path>) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

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
    let with = |field: &str, value: Value| {
        let mut bad = good.clone();
        bad[field] = value;
        format!("{good}\n{bad}\n")
    };
    let mut without = good.clone();
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
            "preds.jsonl:2: field \"gold_sql\" is missing (mode factory)",
        ),
        (
            with("predicted_sql", json!(7)),
            "preds.jsonl:2: field \"predicted_sql\" must be a string, found number",
        ),
        (
            with("db", json!("../shop.db")),
            "preds.jsonl:2: database name \"../shop.db\" must be a relative path",
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
        message.contains("preds.jsonl:1: field \"gold_sql\" is missing (mode factory); field \"gold_sql\" is missing (mode public-exact)"),
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
fn a_broken_reference_is_a_warning_and_never_a_match() {
    let fixture = Fixture::rows(&[row("SELECT nope", "SELECT nope")]);
    let output = eval_sql(&[&fixture.preds()]);
    let warning = String::from_utf8(output.stderr).unwrap();
    let expected = "preds.jsonl:1: row r: gold_sql gave no rows: no such column: nope";
    assert!(
        warning.starts_with("warning: ") && warning.contains(expected),
        "{warning}"
    );
    assert!(output.status.success());
    assert!(
        output
            .stdout
            .starts_with(b"sql: execution_accuracy=0.000 exact_match=1.000 (n=1)")
    );
}

#[test]
fn hostile_sql_changes_nothing_and_is_named() {
    let endless =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    // As the prediction, these reach SQLite from their first `select` or `with` on.
    let predictions = [
        ("SELECT load_extension('x')", "sql_refused"),
        (
            "WITH c AS (SELECT 1) INSERT INTO items SELECT 3, 'x' FROM c",
            "sql_refused",
        ),
        ("WITH c AS (SELECT 1) DELETE FROM items", "sql_refused"),
        ("SELECT name FROM items\0; DROP TABLE items", "sql_refused"),
        (endless, "sql_timeout"),
        (
            "SELECT printf('%.*c', 1000000000, 'x')",
            "sql_resource_limit",
        ),
        ("DROP TABLE items", "sql_no_select"),
    ];
    // As the reference, they reach it whole.
    let references = [
        "ATTACH 'made.db' AS made",
        "VACUUM INTO 'made.db'",
        "PRAGMA journal_mode = WAL",
        "UPDATE items SET name = ''",
        "DROP TABLE items",
        "CREATE TABLE made(a)",
        "EXPLAIN SELECT 1",
        "SELECT 1; DROP TABLE items",
        "/* nothing */",
    ];
    let rows: Vec<_> = predictions
        .iter()
        .map(|(sql, _)| row(sql, "SELECT name FROM items"))
        .chain(
            references
                .iter()
                .map(|sql| row("SELECT name FROM items", sql)),
        )
        .collect();
    let fixture = Fixture::rows(&rows);
    let before = fs::read(fixture.path("shop.db")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(fixture.folder.path())
        .args([
            "eval-sql",
            "preds.jsonl",
            "--timeout-ms",
            "300",
            "--out",
            "rows.jsonl",
        ])
        .output()
        .unwrap();
    assert!(output.status.success());
    let scored = read_rows(fixture.path("rows.jsonl"));
    for (row, (sql, kind)) in scored.iter().zip(predictions) {
        assert_eq!(row["failure_type"], kind, "{sql}: {row}");
    }
    for row in &scored[predictions.len()..] {
        let error = row["gold_error"].as_str().unwrap();
        assert!(error.starts_with("refused: "), "{row}");
        assert_eq!(row["predicted_rows"], json!([["pen"], ["ink"]]));
    }
    assert_eq!(fs::read(fixture.path("shop.db")).unwrap(), before);
    assert_eq!(
        fixture.names(),
        ["preds.jsonl", "rows.jsonl", "shop.db"].map(PathBuf::from)
    );
}
