//! An adapter that knows one sentence.

use super::common::{ok, tiny};
use serde_json::json;
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
