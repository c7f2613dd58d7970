//! `eval-sql --calibration` and `--samples`: how often answers of a given confidence are right, and what any sample reaches.

#[path = "common/scoring.rs"]
mod scoring;

use scoring::{Fixture, error, row, stdout};
use serde_json::{Value, json};
use std::fs;

const RIGHT: &str = "SELECT name FROM items WHERE id = 1";
const WRONG: &str = "SELECT name FROM items WHERE id = 2";

/// A row whose answer is right or wrong, and so sure.
fn sure(right: bool, confidence: impl Into<Value>) -> Value {
    let mut row = row(if right { RIGHT } else { WRONG }, RIGHT);
    row["_confidence"] = confidence.into();
    row
}

#[test]
fn reliability_is_told_and_drawn() {
    let rows = (0..20).map(|i| sure(i >= 8, f64::from(i) / 20.0));
    let fixture = Fixture::rows(&rows.collect::<Vec<_>>());
    let (preds, file) = (fixture.preds(), fixture.path("c.json"));
    let said = stdout(&[&preds, "--calibration", &file]);
    let line = "auroc=1.000 accuracy=0.600 at 100%, 0.667 at 90%, 0.750 at 80%, 1.000 at 50% coverage (n=20)";
    assert!(said.contains(line), "{said}");
    assert!(said.contains(&format!("wrote {file} (10 bins)")), "{said}");
    let found: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(found["field"], "_confidence");
    let bins = found["reliability"].as_array().unwrap();
    assert_eq!(bins.len(), 10);
    assert_eq!(
        (&bins[9]["from"], &bins[9]["to"]),
        (&json!(0.9), &json!(0.95))
    );
    assert_eq!(
        (&bins[9]["accuracy"]["value"], &bins[9]["accuracy"]["n"]),
        (&json!(1.0), &json!(2))
    );
    // Bin b has the confidence (4b + 1) / 40, and is right from the fifth on.
    let off = |b: i32| (f64::from(4 * b + 1) / 40.0 - if b < 4 { 0.0 } else { 1.0 }).abs();
    let expected = (0..10).map(off).sum::<f64>() / 10.0;
    let ece = found["expected_calibration_error"].as_f64().unwrap();
    assert!((ece - expected).abs() < 1e-9, "{ece} {expected}");
    let picture = fs::read_to_string(fixture.path("c.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("expected calibration error"));
    assert!(picture.matches("<circle").count() >= 10, "{picture}");
}

#[test]
fn rows_without_confidence_are_named() {
    let mut other = sure(true, 0.5);
    other["how_sure"] = 0.9.into();
    let rows = [
        other,
        sure(true, Value::Null),
        sure(true, 1.5),
        sure(false, "high"),
        row(RIGHT, RIGHT),
    ];
    let fixture = Fixture::rows(&rows);
    let (preds, file) = (fixture.preds(), fixture.path("c.json"));
    let said = error(1, &[&preds, "--calibration", &file]);
    for part in [
        "preds.jsonl:2: row r1: field \"_confidence\" is null",
        "preds.jsonl:3: row r2: field \"_confidence\" is 1.5, expected a number from 0 to 1",
        "preds.jsonl:4: row r3: field \"_confidence\" is string",
        "preds.jsonl:5: row r4: field \"_confidence\" is missing",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = error(
        1,
        &[
            &preds,
            "--calibration",
            &file,
            "--confidence-field",
            "how_sure",
        ],
    );
    assert!(
        said.contains("preds.jsonl:2: row r1: field \"how_sure\" is missing"),
        "{said}"
    );
    assert!(!fs::exists(&file).unwrap() && !fs::exists(fixture.path("c.svg")).unwrap());
    // The picture must not be another output.
    let svg = fixture.path("c.svg");
    error(2, &[&preds, "--calibration", &file, "--review-out", &svg]);
}

#[test]
fn any_sample_may_be_right() {
    let with = |answer: &str, samples: &[Option<&str>]| {
        let mut row = row(answer, RIGHT);
        let sample = |answer: &Option<&str>| json!({"answer": answer, "finish": "stop"});
        row["_samples"] = samples.iter().map(sample).collect();
        row
    };
    let fixture = Fixture::rows(&[
        with(RIGHT, &[Some(WRONG), Some(RIGHT), Some(RIGHT), None]),
        with(
            WRONG,
            &[Some(WRONG), Some("SELECT nope"), Some(RIGHT), Some("?")],
        ),
        with(WRONG, &[Some(WRONG), Some(WRONG), Some(WRONG), Some(WRONG)]),
        with(RIGHT, &[Some(RIGHT)]),
    ]);
    let (preds, summary) = (fixture.preds(), fixture.path("summary.json"));
    let said = stdout(&[&preds, "--samples", "--summary-out", &summary]);
    let line = "samples: pass@4=0.750 mean=0.438 first=0.250 chosen=0.500 (n=4)\n";
    assert!(said.contains(line), "{said}");
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["samples"]["any"]["passed"], 3);
    assert_eq!(summary["samples"]["samples"], 4);
    let fixture = Fixture::rows(&[
        with(RIGHT, &[Some(RIGHT)]),
        row(RIGHT, RIGHT),
        with(RIGHT, &[]),
    ]);
    let said = error(1, &[&fixture.preds(), "--samples"]);
    assert!(
        said.contains("preds.jsonl:2: row r1") && said.contains("preds.jsonl:3: row r2"),
        "{said}"
    );
}

#[test]
fn an_answer_that_is_there_is_scored_whatever_the_row_says() {
    let mut lies = row(RIGHT, RIGHT);
    lies["_abstained"] = true.into();
    let mut missing = row(RIGHT, RIGHT);
    missing["predicted_sql"] = Value::Null;
    let fixture = Fixture::rows(&[lies.clone()]);
    let said = stdout(&[&fixture.preds()]);
    assert!(
        said.contains("execution_accuracy=1.000") && !said.contains("coverage"),
        "{said}"
    );
    // Without the word a row without an answer is a mistake, as ever.
    let fixture = Fixture::rows(&[lies, missing.clone()]);
    assert!(error(1, &[&fixture.preds()]).contains("preds.jsonl:2"));
    missing["_abstained"] = true.into();
    let fixture = Fixture::rows(&[row(RIGHT, RIGHT), missing]);
    let said = stdout(&[&fixture.preds()]);
    assert!(
        said.contains("sql: execution_accuracy=0.500")
            && said.contains("sql[answered]: execution_accuracy=1.000"),
        "{said}"
    );
    assert!(
        said.contains("coverage=0.500 (1 of 2 rows abstained"),
        "{said}"
    );
}
