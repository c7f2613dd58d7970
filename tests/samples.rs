//! `--samples`: several answers of each row, over one computation of its prompt; the first is the one without it.

mod common;

use common::{base, fails, ok, refs, text, tiny};
use factory::generation::engine::Engine;
use factory::generation::sampler::SamplerConfig;
use factory::generation::stop::StopConfig;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ROWS: usize = 9;

/// Rows that ask for a query, with their gold and its database.
fn rows(count: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let row = |i: usize| {
        json!({"id": i, "prompt": format!("how many boats have {i} oars"), "gold_sql": "SELECT 1", "db": "boats"}).to_string() + "\n"
    };
    let rows: String = (0..count).map(row).collect();
    fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
    fs::write(
        dir.path().join("boats.sql"),
        "CREATE TABLE boats (oars INTEGER);",
    )
    .unwrap();
    dir
}

fn command(dir: &Path, out: &str, more: &[&str]) -> Vec<String> {
    let path = |name: &str| text(&dir.join(name));
    let (data, out, base) = (path("rows.jsonl"), path(out), tiny());
    let fixed = [
        "--weights",
        "q8",
        "--max-tokens",
        "12",
        "--seed",
        "4",
        "--finish",
    ];
    let words = common::generate(&base, &data, &out, &[&fixed, more].concat());
    words.into_iter().map(str::to_owned).collect()
}

/// The rows that it writes.
fn answered(dir: &Path, more: &[&str]) -> String {
    ok(&refs(&command(dir, "out.jsonl", more)));
    fs::read_to_string(dir.join("out.jsonl")).unwrap()
}

fn values(rows: &str) -> Vec<Value> {
    rows.lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

const WARM: [&str; 2] = ["--temperature", "1"];

#[test]
fn the_first_is_the_answer_without_others() {
    let dir = rows(ROWS);
    let one = values(&answered(dir.path(), &WARM));
    let many = answered(dir.path(), &[&WARM[..], &["--samples", "5"]].concat());
    for (one, many) in one.iter().zip(values(&many)) {
        let samples = many["_samples"].as_array().unwrap();
        assert_eq!(samples.len(), 5);
        let first = json!({"answer": one["predicted_sql"], "finish": one["_finish"]});
        assert_eq!(samples[0], first);
        let mut rest = many.clone();
        rest.as_object_mut().unwrap().remove("_samples");
        assert_eq!(&rest, one);
        let different: BTreeSet<String> = samples.iter().map(Value::to_string).collect();
        assert_eq!(different.len(), 5, "{many}");
    }
    assert!(one.iter().all(|row| row.get("_samples").is_none()));
    // How many there are changes none of those before.
    let fewer = values(&answered(
        dir.path(),
        &[&WARM[..], &["--samples", "2"]].concat(),
    ));
    for (fewer, many) in fewer.iter().zip(values(&many)) {
        let many = &many["_samples"].as_array().unwrap()[..2];
        assert_eq!(fewer["_samples"].as_array().unwrap(), many);
    }
    // An answered file that is answered again has no sample of its former answers.
    fs::write(dir.path().join("rows.jsonl"), &many).unwrap();
    for row in values(&answered(dir.path(), &WARM)) {
        assert_eq!(row["_samples"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn neighbours_and_parts_change_no_byte() {
    let dir = rows(ROWS);
    let flags = [&WARM[..], &["--samples", "4"]].concat();
    let whole = answered(dir.path(), &flags);
    for batch in ["1", "7", "64"] {
        let batch = [&flags[..], &["--batch", batch]].concat();
        assert_eq!(answered(dir.path(), &batch), whole);
    }
    let part = |part| answered(dir.path(), &[&flags[..], &["--shard", part]].concat());
    assert_eq!(part("1/2") + &part("2/2"), whole);
}

#[test]
fn a_prompt_is_computed_once() {
    let base = base("tiny-llama");
    let prompts: Vec<Vec<u32>> = (0..3u32)
        .flat_map(|row| std::iter::repeat_n((0..50).map(|i| (row * 70 + i) % 250).collect(), 6))
        .collect();
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters: None,
        sampler: SamplerConfig {
            temperature: 1.0,
            samples: 6,
            ..SamplerConfig::default()
        },
        stop: StopConfig {
            max_tokens: 8,
            stop: Vec::new(),
        },
        batch: 16,
        memory: usize::MAX,
        speculation: None,
        grammars: Vec::new(),
    };
    let all: Vec<usize> = (0..prompts.len()).collect();
    let mut cache = engine.cache(&prompts, &all, None).unwrap();
    let (_, usage) = engine.generate_over(&mut cache, &prompts).unwrap();
    // Of each further sample the last token, whose logits are drawn from.
    assert_eq!(usage.prefill.tokens, 3 * (50 + 5));
    assert_eq!(usage.reused, 3 * 5 * 49);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let dir = rows(1);
    let of = |more: &[&str]| command(dir.path(), "out.jsonl", more);
    let greedy = of(&["--samples", "2"]);
    fails(&refs(&greedy), 2, &["--samples 2", "--temperature above 0"]);
    let field = of(&[&WARM[..], &["--samples", "2", "--out-field", "_samples"]].concat());
    fails(&refs(&field), 2, &["--out-field _samples"]);
}

#[test]
fn scores_are_those_of_the_first() {
    let dir = rows(2);
    let mut lines = values(&answered(
        dir.path(),
        &[&WARM[..], &["--samples", "2"]].concat(),
    ));
    // The first row's first sample is right, and the second row's second.
    let right = json!({"answer": "SELECT 1", "finish": "stop"});
    lines[0]["predicted_sql"] = "SELECT 1".into();
    lines[0]["_samples"][0] = right.clone();
    lines[1]["predicted_sql"] = "SELECT 2".into();
    lines[1]["_samples"][1] = right;
    let lines: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    let path = |name: &str| text(&dir.path().join(name));
    fs::write(path("scored.jsonl"), lines).unwrap();
    let said = ok(&[
        "eval-sql",
        &path("scored.jsonl"),
        "--db-dir",
        &text(dir.path()),
    ]);
    assert!(said.contains("execution_accuracy=0.500"), "{said}");
}

#[test]
fn what_was_drawn_is_kept_and_another_number_is_another_run() {
    let dir = rows(300);
    let flags = [&WARM[..], &["--samples", "3"]].concat();
    ok(&refs(&command(dir.path(), "whole.jsonl", &flags)));
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(command(dir.path(), "out.jsonl", &flags))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (partial, begun) = (dir.path().join("out.jsonl.partial"), Instant::now());
    // The first line says what the run depends on.
    while fs::read_to_string(&partial).map_or(0, |kept| kept.lines().count()) < 5 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!dir.path().join("out.jsonl").exists());
    let other = command(
        dir.path(),
        "out.jsonl",
        &["--temperature", "1", "--samples", "4", "--resume"],
    );
    fails(&refs(&other), 1, &["--samples"]);
    let other = [&flags[..], &["--confidence", "--resume"]].concat();
    let other = command(dir.path(), "out.jsonl", &other);
    fails(&refs(&other), 1, &["log-probabilities"]);
    ok(&refs(&command(
        dir.path(),
        "out.jsonl",
        &[&flags[..], &["--resume"]].concat(),
    )));
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    assert!(read("out.jsonl") == read("whole.jsonl"));
}
