//! Mode spider2-lite over gold results in files: which file counts, which columns, and what is said of files that cannot.

#[path = "common/scoring.rs"]
mod scoring;

use scoring::{Fixture, error, read_rows, stdout};
use serde_json::{Value, json};
use std::fs;

const SCHEMA: &str = "
CREATE TABLE t(name TEXT, n INTEGER, share REAL);
INSERT INTO t VALUES ('a', 1, 0.25), ('b', 2, 0.75);
";

struct Golds(Fixture);

impl Golds {
    fn new(rows: &[Value], files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::rows(&[]);
        fs::write(fixture.path("x.sql"), SCHEMA).unwrap();
        fs::create_dir(fixture.path("golds")).unwrap();
        for (name, content) in files {
            fs::write(fixture.path(&format!("golds/{name}")), content).unwrap();
        }
        let line = |(number, row): (usize, &Value)| {
            let mut row = row.clone();
            row["db"] = "x".into();
            row["id"] = format!("r{number}").into();
            row.to_string() + "\n"
        };
        let lines: String = rows.iter().enumerate().map(line).collect();
        fs::write(fixture.preds(), lines).unwrap();
        Self(fixture)
    }

    fn args<'a>(&'a self, more: &[&'a str]) -> Vec<String> {
        let own = ["--mode", "spider2-lite", "--gold-dir"].map(str::to_owned);
        let mut args = vec![self.0.preds()];
        args.extend(own);
        args.push(self.0.path("golds"));
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    }
}

fn run(golds: &Golds, more: &[&str]) -> String {
    let args = golds.args(more);
    stdout(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn fails(golds: &Golds, more: &[&str]) -> String {
    let args = golds.args(more);
    error(1, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn any_gold_file_matches_in_the_columns_that_count() {
    let files = [
        ("one.csv", "n\n1\n2\n"),
        ("several_a.csv", "n,x\n1,p\n2,q\n"),
        ("several_c.csv", "who,part\nb,0.751\na,0.25\n"),
    ];
    let row = |name: &str, sql: &str, more: Value| {
        let mut row = json!({"gold_csv": name, "predicted_sql": sql});
        let fields = more.as_object().unwrap().clone();
        row.as_object_mut().unwrap().extend(fields);
        row
    };
    let all = "SELECT * FROM t";
    let rows = [
        row("one", all, json!({})),
        row("one", "SELECT n FROM t ORDER BY n DESC", json!({})),
        row(
            "one",
            "SELECT n FROM t ORDER BY n DESC",
            json!({"ignore_order": true}),
        ),
        row("several", all, json!({})),
        row("several", all, json!({"ignore_order": true})),
        row("several", all, json!({"condition_cols": [0]})),
        row("several", all, json!({"condition_cols": [[1], [0]]})),
        row(
            "several",
            all,
            json!({"condition_cols": [[1], [0]], "ignore_order": true}),
        ),
    ];
    let golds = Golds::new(&rows, &files);
    let out = golds.0.path("rows.jsonl");
    let said = run(&golds, &["--out", &out]);
    assert!(
        said.contains("spider2-lite: execution_accuracy=0.625 (n=8)"),
        "{said}"
    );
    let scored = read_rows(out);
    let found: Vec<bool> = scored
        .iter()
        .map(|row| row["spider2_lite_match"].as_bool().unwrap())
        .collect();
    assert_eq!(found, [true, false, true, false, true, true, false, true]);
    assert_eq!(scored[6]["condition_cols"], json!([[1], [0]]));
    assert_eq!(scored[6]["gold_rows"], json!([["1", "p"], ["2", "q"]]));
    assert_eq!(scored[6]["failure_type"], "sql_wrong_result");
}

#[test]
fn gold_files_that_cannot_be_used_are_named() {
    let row = |name: &str| json!({"gold_csv": name, "predicted_sql": "SELECT 1"});
    let rows = [row("absent"), row("ragged"), row("narrow")];
    let mut rows = rows.to_vec();
    rows[2]["condition_cols"] = json!([4]);
    let files = [("ragged.csv", "a\n1\n1,2\n"), ("narrow_a.csv", "a\n1\n")];
    let golds = Golds::new(&rows, &files);
    let said = fails(&golds, &[]);
    for part in [
        ":1: row r0: no gold result absent.csv or absent_a.csv in ",
        "ragged.csv:3: 2 cells under 1 columns",
        ":3: row r2: condition_cols names a column that no gold result has",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let kept = run(&golds, &["--keep-going"]);
    assert!(
        kept.contains("kept going: 3 rows have a reference that fails"),
        "{kept}"
    );
    assert!(kept.contains("execution_accuracy=0.000 (n=3)"), "{kept}");
}

#[test]
fn fields_that_are_not_understood_are_refused_by_name() {
    let mut row = json!({"gold_csv": "../x", "predicted_sql": "SELECT 1"});
    let golds = Golds::new(&[row.clone()], &[]);
    assert!(fails(&golds, &[]).contains(":1: field \"gold_csv\" must be a name"));
    row["gold_csv"] = Value::Null;
    let golds = Golds::new(&[row], &[]);
    let said = fails(&golds, &[]);
    assert!(
        said.contains("field \"gold_sql\" is missing (mode spider2-lite)"),
        "{said}"
    );
}

#[test]
fn audits_look_at_gold_files_too() {
    let row = |name: &str| json!({"gold_csv": name});
    let golds = Golds::new(&[row("x"), row("y")], &[("x.csv", "a\n1\n")]);
    let said = run(&golds, &["--audit-gold"]);
    assert!(
        said.contains("row r1: gold_fails: no gold result y.csv"),
        "{said}"
    );
    assert!(
        said.contains("gold: sound=1 odd=1 (n=2) gold_fails=1"),
        "{said}"
    );
}
