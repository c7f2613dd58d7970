//! `factory data synth`, and what it wrote.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

pub fn synth(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command
        .args(["data", "synth"])
        .args(arguments)
        .output()
        .unwrap()
}

pub fn rows(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}
