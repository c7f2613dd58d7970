//! What `factory sft --dry-run` estimates, beside what the run then takes.
#![cfg(target_os = "linux")]

mod common;

use common::text;
use serde_json::Value;
use std::env::var;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Runs the binary and returns what it said and its peak memory in bytes, as Linux counts it.
fn measured(args: &[&str]) -> (String, f64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes =
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = kilobytes.map_or(peak, |kb| kb * 1024.0);
        sleep(Duration::from_millis(10));
    }
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    (String::from_utf8(out.stdout).unwrap(), peak)
}

#[test]
#[ignore = "needs the base that scripts/fetch_base.sh fetches; scripts/test.sh runs it"]
fn a_dry_run_knows_memory_and_time_to_a_quarter() {
    let base = var("FACTORY_BASE").expect("FACTORY_BASE names the SmolLM2 GGUF file");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = text(&root.join("evals/sql-expanded/train.jsonl"));
    let dir = tempfile::tempdir().unwrap();
    // Other work on the machine between the two measurements is nobody's fault.
    let mut found = Vec::new();
    for attempt in 0..4 {
        let out = text(&dir.path().join(attempt.to_string()));
        let run = [
            "sft", "--base", &base, "--data", &data, "--out", &out, "--steps", "12", "--batch", "4",
        ];
        let (said, _) = measured(&[&run[..], &["--dry-run"]].concat());
        let (_, peak) = measured(&run);
        let between = |before: &str, after: &str| -> &str {
            let rest = &said[said.find(before).unwrap() + before.len()..];
            rest[..rest.find(after).unwrap()].trim()
        };
        let memory = match between("for training, ", " in all").split_once(' ') {
            Some((number, "GB")) => number.parse::<f64>().unwrap() * 1e9,
            Some((number, "MB")) => number.parse::<f64>().unwrap() * 1e6,
            other => panic!("{other:?}"),
        };
        let time: f64 = between("time: ", " s").parse().unwrap();
        let metrics =
            fs::read_to_string(dir.path().join(attempt.to_string()).join("metrics.jsonl")).unwrap();
        let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
        let ratios = [memory / peak, time / last["elapsed_s"].as_f64().unwrap()];
        found.push(ratios);
        if ratios.iter().all(|ratio| (0.75..1.25).contains(ratio)) {
            println!("estimated over measured, memory and time: {found:.2?}");
            return;
        }
    }
    panic!("estimated over measured, memory and time: {found:?}");
}
