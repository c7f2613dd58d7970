//! An adapter that knows one sentence.

use super::common::{ok, tiny};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// An adapter of the tiny base that always says `text`: trained on nothing else.
pub fn parrot(dir: &Path, text: &str) -> String {
    let rows: String = (0..8)
        .map(|i| {
            let prompt = format!("Answer. Schema: buyers(id, name). Question: Who is number {i}?");
            json!({"prompt": prompt, "response": text}).to_string() + "\n"
        })
        .collect();
    let (data, out) = (dir.join("rows.jsonl"), dir.join("parrot"));
    fs::write(&data, rows).unwrap();
    let base = tiny();
    let flags = [
        "--base", &base, "--device", "cpu", "--rank", "8", "--lr", "0.02", "--steps", "250",
        "--batch", "4",
    ];
    let own = [
        "sft",
        "--data",
        data.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    ok(&[&own[..], &flags].concat());
    out.to_str().unwrap().to_owned()
}

/// That an answer is the parrot's "select id, name from buyers;" on two buyers, the second without a name.
#[allow(dead_code)] // not every test file has answers of this form
pub fn answered(answer: &Value) {
    assert_eq!(
        answer["result"],
        json!({"columns": ["id", "name"], "rows": [[1, "Ada"], [2, null]], "total": 2})
    );
    assert_eq!(
        (&answer["confidence"], &answer["sure"], &answer["samples"]),
        (&json!(1.0), &json!(true), &json!(8))
    );
    assert_eq!(answer["adapters"], json!([["parrot", 1.0]]));
}
