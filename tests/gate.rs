//! Black-box tests of `factory gate`: two scorings of the same rows, a file of gates, exit codes.

mod common;

use common::{factory, fails, ok, text};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// Scorings of ten rows: six are right in the baseline, eight in the candidate; `set.jsonl` says which are of which kind.
fn workplace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let row = |i: usize, exec: bool| {
        json!({
            "index": i, "id": format!("pen-{i}"), "db": "pens", "question": "How many?", "predicted_sql": "select 1",
            "scored_sql": "select 1", "gold_sql": "select 2", "exec_match": exec, "exact_match": false,
            "predicted_error": null, "gold_error": null, "predicted_rows": null, "gold_rows": null,
            "failure_type": (!exec).then_some("sql_wrong_result"), "elapsed_ms": 1,
        })
        .to_string()
            + "\n"
    };
    let rows = |right: fn(usize) -> bool| (0..10).map(|i| row(i, right(i))).collect::<String>();
    let write = |name: &str, content: String| fs::write(dir.path().join(name), content).unwrap();
    write("base.jsonl", rows(|i| i < 6));
    write("cand.jsonl", rows(|i| i > 1));
    write("few.jsonl", row(0, true));
    let kinds = ["old", "new"];
    let kind = |i: usize| json!({"id": format!("pen-{i}"), "kind": kinds[i % 2]});
    write(
        "set.jsonl",
        (0..10).map(|i| kind(i).to_string() + "\n").collect(),
    );
    write("base.json", json!({"loss": 2.0, "steps": 5}).to_string());
    write(
        "cand.json",
        json!({"loss": 1.5, "ppl": 4.5, "steps": 5}).to_string(),
    );
    dir
}

fn path(dir: &TempDir, name: &str) -> String {
    text(&dir.path().join(name))
}

/// Runs `factory gate`: its exit code, what it printed, what it remarked.
fn gate(args: &[&str]) -> (Option<i32>, String, String) {
    let out = factory(&[&["gate"], args].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code(), text(out.stdout), text(out.stderr))
}

#[test]
fn two_scorings_are_judged_and_the_exit_code_says_it() {
    let dir = workplace();
    let (base, cand) = (path(&dir, "base.jsonl"), path(&dir, "cand.jsonl"));
    let both = ["--candidate", &cand, "--baseline", &base];
    let with = |more: &[&str]| gate(&[&both, more].concat());
    let (code, said, remarks) = with(&["--min", "0.8", "--margin", "20", "--max-drop", "0"]);
    assert_eq!((code, remarks.as_str()), (Some(0), ""), "{said}");
    let line = said.lines().last().unwrap();
    assert_eq!(
        line,
        "| gate | execution_accuracy | 0.800 (8/10) [0.490, 0.943] | 0.600 (6/10) [0.313, 0.832] \
         | +0.200, gained 4 lost 2, p 0.6875 | min 0.8, baseline + 20 points = 0.800, baseline - 0 points = 0.600 | pass |"
    );
    let (code, said, remarks) = with(&["--metric", "exec_match", "--min", "0.5", "--margin", "21"]);
    assert_eq!(code, Some(3));
    assert!(
        said.contains("| min 0.5, baseline + 21 points = 0.810 ✗ | FAIL |"),
        "{said}"
    );
    assert_eq!(remarks, "1 of 1 gates not passed: gate\n");
    let (code, said, _) = gate(&["--candidate", &cand, "--min", "0.81"]);
    assert_eq!(code, Some(3), "{said}");
    // A row without a database has no such verdict.
    let rows = fs::read_to_string(&cand).unwrap();
    let less = rows.replacen("\"exec_match\":true", "\"exec_match\":null", 1);
    fs::write(&cand, less).unwrap();
    let (_, said, _) = gate(&["--candidate", &cand, "--min", "0.5"]);
    assert!(said.contains("0.778 (7/9)"), "{said}");
    assert!(
        said.contains("gate: 1 of 10 rows have no \"exec_match\" and are left out"),
        "{said}"
    );
}

#[test]
fn verdicts_are_json_too() {
    let dir = workplace();
    let (base, cand, out) = (
        path(&dir, "base.jsonl"),
        path(&dir, "cand.jsonl"),
        path(&dir, "v.json"),
    );
    let (code, said, _) = gate(&[
        "--candidate",
        &cand,
        "--baseline",
        &base,
        "--max-drop",
        "3",
        "--json",
        "--out",
        &out,
    ]);
    assert_eq!(code, Some(0));
    assert_eq!(said, fs::read_to_string(&out).unwrap());
    let verdict = &serde_json::from_str::<Value>(&said).unwrap()[0];
    assert_eq!(verdict["passed_rows"], 8);
    assert_eq!(verdict["paired"]["gained"], 4);
    assert_eq!(verdict["conditions"][0]["what"], "baseline - 3 points");
    assert_eq!(verdict["role"], "primary");
    // A verdict that fails is written as well.
    let failing = ["--candidate", &cand, "--min", "1", "--out", &out];
    assert_eq!(gate(&failing).0, Some(3));
    assert!(
        fs::read_to_string(&out)
            .unwrap()
            .contains("\"passed\": false")
    );
}

#[test]
fn a_file_of_gates_keeps_rows_by_the_fields_of_their_set() {
    let dir = workplace();
    let gates = path(&dir, "gates.toml");
    let file = r#"
[[gate]]
name = "new"
candidate = "cand.jsonl"
baseline = "base.jsonl"
data = "set.jsonl"
where = { kind = "new" }
margin = 3
[[gate]]
name = "old"
candidate = "cand.jsonl"
data = "set.jsonl"
where = { kind = "old" }
min = 0.9
db_dir = "unread"
[[gate]]
name = "loss"
candidate = "cand.json"
baseline = "base.json"
metric = "loss"
min = 1.5
margin = 0.5
[[gate]]
name = "ppl"
candidate = "cand.json"
baseline = "base.json"
metric = "ppl"
max_drop = 0
[[gate]]
name = "apart"
candidate = "cand.jsonl"
baseline = "few.jsonl"
max_drop = 100
"#;
    fs::write(&gates, file).unwrap();
    let (code, said, remarks) = gate(&["--gates", &gates]);
    assert_eq!(code, Some(3), "{said}{remarks}");
    assert_eq!(remarks, "1 of 5 gates not passed: old\n");
    for part in [
        "| new | execution_accuracy | 0.800 (4/5)",
        "| old | execution_accuracy | 0.800 (4/5) [0.376, 0.964] | - | - | min 0.9 ✗ | FAIL |",
        "| loss | loss | 1.5 | 2 | -0.500 | at most 1.5, baseline - 0.5 = 1.500 | pass |",
        "| ppl | ppl | 4.5 | - | - | baseline + 0: the baseline has no such metric | pass |",
        "apart: no paired test: row pen-1 is in the second file only",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let again = ok(&["gate", "--gates", &{
        fs::write(&gates, file.replace("min = 0.9", "min = 0.8")).unwrap();
        gates.clone()
    }]);
    assert!(!again.contains("FAIL"), "{again}");
}

#[test]
fn mistakes_are_named() {
    let dir = workplace();
    let (base, cand, gates) = (
        path(&dir, "base.jsonl"),
        path(&dir, "cand.jsonl"),
        path(&dir, "gates.toml"),
    );
    let refused =
        |args: &[&str], code, part: &str| fails(&[&["gate"], args].concat(), code, &[part]);
    let one = ["--candidate", &*cand];
    refused(&one, 2, "give one or more of min, margin and max_drop");
    refused(
        &[&one[..], &["--min", "50"]].concat(),
        2,
        "min is 50, expected 0 to 1",
    );
    refused(
        &[&one[..], &["--min", "0.5", "--metric", "f1"]].concat(),
        2,
        "metric \"f1\" is none of exec_match",
    );
    refused(
        &[&one[..], &["--min", "0.5", "--out", &cand]].concat(),
        2,
        "named twice",
    );
    refused(
        &[&one[..], &["--min", "0.5", "--mode", "bird-ex"]].concat(),
        1,
        "no row of the candidate has \"bird_ex_match\": score it with --mode bird-ex",
    );
    refused(
        &["--candidate", "none.jsonl", "--min", "0.5"],
        1,
        "none.jsonl",
    );
    let prompts = path(&dir, "set.jsonl");
    refused(
        &["--candidate", &prompts, "--min", "0.5"],
        1,
        "set.jsonl:1: no row of `eval-sql --out`",
    );
    let out = factory(&["gate", "--candidate", &cand, "--margin", "3"]);
    assert_eq!(out.status.code(), Some(2));
    let out = factory(&["gate", "--gates", &gates, "--baseline", &base]);
    assert_eq!(out.status.code(), Some(2));
    for (table, part) in [
        ("name = \"a\"\nmin = 0.5", "gate a: give candidate"),
        (
            "name = \"a\"\ncandidate = \"cand.jsonl\"\nmargin = 1",
            "gate a: margin needs a baseline",
        ),
        (
            "name = \"a\"\ncandidate = \"cand.jsonl\"\nminimum = 1",
            "unknown field `minimum`; did you mean min?",
        ),
        (
            "name = \"a\"\ncandidate = \"cand.jsonl\"\nmin = 1\nwhere = { kind = \"new\" }",
            "give data, the set",
        ),
        (
            "name = \"a\"\ncandidate = \"cand.jsonl\"\nbaseline = \"base.jsonl\"\nmin = 1\ndata = \"set.jsonl\"\nwhere = { kind = \"odd\" }",
            "no row is as `where` wants",
        ),
        (
            "name = \"a\"\ncandidate = \"cand.json\"\nbaseline = \"base.jsonl\"\nmetric = \"loss\"\nmin = 1",
            "base.jsonl: a summary (.json) is held against a summary",
        ),
    ] {
        fs::write(&gates, format!("[[gate]]\n{table}\n")).unwrap();
        refused(&["--gates", &gates], 1, part);
    }
}
