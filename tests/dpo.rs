//! `factory dpo` as a user meets it: pairs to an adapter, interrupted runs, guards, and what is no pair.

mod common;

use common::{factory, fails, golden, ok, refs, text, tiny};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// Pairs that differ in their query, and pairs that differ in what stands around it.
fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let rows = |rejected: &dyn Fn(usize) -> String| {
        let row = |i: usize| {
            let (prompt, chosen) = (format!("count {i}"), format!("select {i};"));
            json!({"prompt": prompt, "chosen": chosen, "rejected": rejected(i)}).to_string() + "\n"
        };
        (0..6).map(row).collect::<String>()
    };
    let query = rows(&|i| format!("select {i} from t;"));
    let format = rows(&|i| format!("Answer: select {i};"));
    fs::write(dir.path().join("pairs.jsonl"), query).unwrap();
    fs::write(dir.path().join("format.jsonl"), format).unwrap();
    dir
}

fn words(dir: &Path, data: &str, out: &str, more: &[&str]) -> Vec<String> {
    let (data, out, base) = (text(&dir.join(data)), text(&dir.join(out)), tiny());
    let words = [
        "dpo", "--data", &data, "--base", &base, "--out", &out, "--device", "cpu", "--batch", "2",
    ];
    [&words, more]
        .concat()
        .iter()
        .map(|word| (*word).to_owned())
        .collect()
}

fn dpo(dir: &Path, data: &str, out: &str, more: &[&str]) -> String {
    ok(&refs(&words(dir, data, out, more)))
}

fn metrics(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("adapter_model.safetensors")).unwrap()
}

fn number(line: &Value, name: &str) -> f64 {
    line[name]
        .as_f64()
        .unwrap_or_else(|| panic!("no {name} in {line}"))
}

#[test]
fn pairs_become_an_adapter_that_prefers_the_chosen_answers() {
    let dir = place();
    let flags = ["--loss", "dpo", "--steps", "12", "--lr", "0.002"];
    dpo(dir.path(), "pairs.jsonl", "out", &flags);
    let lines = metrics(&dir.path().join("out"));
    assert!(
        (number(&lines[0], "loss") - 2f64.ln()).abs() < 1e-4,
        "{}",
        lines[0]
    );
    let last = &lines[11];
    assert!(number(last, "rewards/margins") > 0.0, "{last}");
    assert!(number(last, "loss") < number(&lines[0], "loss"), "{last}");
    // It goes on from what it says, and answers.
    let init = text(&dir.path().join("out"));
    let more = ["--init", &init, "--steps", "1", "--loss", "dpo+nll"];
    dpo(dir.path(), "pairs.jsonl", "more", &more);
    let first = &metrics(&dir.path().join("more"))[0];
    assert!(
        number(first, "rewards/margins").abs() < 1e-4,
        "the start is the reference: {first}"
    );
    let config = fs::read_to_string(dir.path().join("more/config.toml")).unwrap();
    for line in [
        "loss = \"dpo+nll\"",
        "beta = 0.1",
        "nll_weight = 1.0",
        "no_guards = false",
    ] {
        assert!(config.contains(line), "{line} is not in {config}");
    }
}

#[test]
fn every_loss_runs_and_repeats_from_its_config() {
    let dir = place();
    for loss in [
        "hinge", "ipo", "robust", "dpo-norm", "dpop", "cpo", "simpo", "orpo", "kto",
    ] {
        let more = ["--loss", loss, "--steps", "2", "--lr", "0.001"];
        dpo(dir.path(), "pairs.jsonl", loss, &more);
        let config = text(&dir.path().join(loss).join("config.toml"));
        let again = text(&dir.path().join(format!("{loss}-again")));
        ok(&["dpo", "--config", &config, "--out", &again]);
        assert_eq!(
            weights(&dir.path().join(loss)),
            weights(Path::new(&again)),
            "{loss}"
        );
    }
    // Answers that were judged alone.
    let rows = concat!(
        "{\"prompt\": \"count\", \"completion\": \"select 1;\", \"label\": true}\n",
        "{\"prompt\": \"sum\", \"completion\": \"select 2;\", \"label\": false}\n"
    );
    fs::write(dir.path().join("judged.jsonl"), rows).unwrap();
    dpo(
        dir.path(),
        "judged.jsonl",
        "judged",
        &["--loss", "kto", "--steps", "1"],
    );
    let refused = words(dir.path(), "judged.jsonl", "none", &["--steps", "1"]);
    fails(&refs(&refused), 1, &["judged.jsonl:1", "chosen"]);
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes_with_any_number_of_threads() {
    let dir = place();
    let more = [
        "--steps",
        "60",
        "--lr",
        "0.001",
        "--checkpoint-every",
        "2",
        "--no-guards",
    ];
    dpo(dir.path(), "pairs.jsonl", "whole", &more);
    let killed = words(dir.path(), "pairs.jsonl", "killed", &more);
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(&killed)
        .env("RAYON_NUM_THREADS", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let partial = dir.path().join("killed.partial");
    let has_state = || {
        let files = fs::read_dir(&partial).into_iter().flatten().flatten();
        files
            .into_iter()
            .any(|file| file.file_name().to_string_lossy().starts_with("state-"))
    };
    while !has_state() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let out = dir.path().join("killed");
    if !out.exists() {
        ok(&["dpo", "--resume", &text(&out)]);
    }
    assert_eq!(weights(&out), weights(&dir.path().join("whole")));
}

/// An adapter that knows the answers of `format.jsonl`.
fn taught(dir: &Path) -> String {
    let rows: String = fs::read_to_string(dir.join("format.jsonl")).unwrap();
    fs::write(dir.join("train.jsonl"), rows).unwrap();
    let (data, out, base) = (
        text(&dir.join("train.jsonl")),
        text(&dir.join("start")),
        tiny(),
    );
    ok(&[
        "sft",
        "--data",
        &data,
        "--field",
        "response=chosen",
        "--base",
        &base,
        "--out",
        &out,
        "--device",
        "cpu",
        "--batch",
        "2",
        "--steps",
        "60",
        "--lr",
        "0.01",
    ]);
    out
}

#[test]
fn over_weights_in_8_bits_training_finds_what_the_reference_found() {
    let dir = place();
    let start = taught(dir.path());
    let flags = [
        "--loss",
        "dpo",
        "--steps",
        "1",
        "--init",
        &start,
        "--base-weights",
        "q8",
    ];
    dpo(dir.path(), "pairs.jsonl", "out", &flags);
    let line = &metrics(&dir.path().join("out"))[0];
    let off = number(line, "loss") - 2f64.ln();
    assert!(off.abs() < 1e-6, "{off}");
}

#[test]
fn a_run_that_collapses_is_ended_and_leaves_the_start_as_it_was() {
    let dir = place();
    let start = taught(dir.path());
    let before = weights(Path::new(&start));
    // The first factory's recipe, at a rate at which a tiny model shows it soon.
    let recipe = [
        "--init",
        &start,
        "--format-pairs",
        "--loss",
        "simpo",
        "--beta",
        "0.1",
        "--gamma",
        "1",
        "--steps",
        "40",
        "--lr",
        "0.003",
    ];
    let simpo = words(dir.path(), "format.jsonl", "simpo", &recipe);
    fails(
        &refs(&simpo),
        1,
        &["guard", "nats a token less likely", "--no-guards"],
    );
    assert!(!dir.path().join("simpo").exists());
    assert_eq!(weights(Path::new(&start)), before);
    let tripped = metrics(&dir.path().join("simpo.partial"));
    assert!(tripped.len() <= 20, "{} steps", tripped.len());
    // What is left over is no obstacle to the next run, and DPO with the answers' own loss learns the same pairs.
    let recipe = [
        "--init",
        &start,
        "--format-pairs",
        "--loss",
        "dpo+nll",
        "--steps",
        "40",
        "--lr",
        "0.003",
    ];
    dpo(dir.path(), "format.jsonl", "simpo", &recipe);
    let kept = metrics(&dir.path().join("simpo"));
    let last = kept.last().unwrap();
    assert!(
        number(last, "logps/chosen_minus_reference") > -0.05,
        "{last}"
    );
    assert!(number(last, "rewards/accuracies") > 0.9, "{last}");
}

#[test]
fn the_best_adapter_by_execution_is_kept_and_no_worse_one_than_the_start() {
    let dir = place();
    let start = taught(dir.path());
    let (eval, db) = common::answered_rows(dir.path());
    let more = [
        "--init",
        &start,
        "--format-pairs",
        "--loss",
        "simpo",
        "--beta",
        "0.1",
        "--steps",
        "40",
        "--lr",
        "0.02",
        "--eval-data",
        &eval,
        "--eval-db",
        &db,
        "--eval-every",
        "1",
    ];
    let run = factory(&refs(&words(dir.path(), "format.jsonl", "out", &more)));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("execution accuracy"), "{said}");
    // Nothing can be better than all rows.
    assert!(said.contains("fell from 1.000"), "{said}");
    let first = &metrics(&dir.path().join("out.partial"))[0];
    assert_eq!(number(first, "execution_accuracy_at_start"), 1.0);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(!dir.path().join("out").exists());
}

#[test]
fn what_is_no_pair_is_named() {
    let dir = place();
    let of = |rows: &str, more: &[&str], code: i32, parts: &[&str]| {
        fs::write(dir.path().join("bad.jsonl"), rows).unwrap();
        fails(
            &refs(&words(dir.path(), "bad.jsonl", "none", more)),
            code,
            parts,
        );
        assert!(!dir.path().join("none").exists() && !dir.path().join("none.partial").exists());
    };
    of(
        r#"{"prompt": "q", "chosen": "a", "rejected": "a"}"#,
        &[],
        1,
        &["bad.jsonl:1", "nothing to prefer"],
    );
    of(
        r#"{"prompt": "q", "chosen": "", "rejected": "a"}"#,
        &[],
        1,
        &["bad.jsonl:1", "chosen"],
    );
    of(
        r#"{"prompt": "q", "chosen": "a"}"#,
        &[],
        1,
        &["bad.jsonl:1", "rejected"],
    );
    let other = r#"{"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "rejected": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "b"}]}"#;
    of(
        other,
        &[],
        1,
        &["bad.jsonl:1", "starts with another prompt"],
    );
    let format = fs::read_to_string(dir.path().join("format.jsonl")).unwrap();
    of(
        &format,
        &[],
        1,
        &["all 6 pairs", "format alone", "--format-pairs"],
    );
    let pairs = fs::read_to_string(dir.path().join("pairs.jsonl")).unwrap();
    of(&pairs, &["--gamma", "1"], 2, &["--gamma"]);
    of(&pairs, &["--beta", "0"], 2, &["--beta"]);
    of(&pairs, &["--dropout", "0.1"], 2, &["--dropout"]);
    of(&pairs, &["--on-long", "truncate-prompt"], 2, &["--on-long"]);
    of(
        &pairs,
        &["--max-seq", "4"],
        1,
        &["bad.jsonl:1", "more than 4"],
    );
    of(&pairs, &["--loss", "ppo"], 2, &["ppo"]);
    let qwen = text(&golden("tiny-qwen3-lora"));
    of(&pairs, &["--init", &qwen], 1, &["tiny-qwen3-lora"]);
}

#[test]
fn own_answers_that_pass_are_preferred_to_own_answers_that_fail() {
    let dir = place();
    let start = taught(dir.path());
    let (eval, db) = common::answered_rows(dir.path());
    let base = tiny();
    let out = text(&dir.path().join("own"));
    let words = [
        "dpo",
        "--on-policy",
        "--data",
        &eval,
        "--db-dir",
        &db,
        "--base",
        &base,
        "--init",
        &start,
        "--out",
        &out,
        "--device",
        "cpu",
        "--steps",
        "3",
        "--temperature",
        "1.5",
        "--samples",
        "6",
        "--no-guards",
    ];
    ok(&words);
    let pairs = fs::read_to_string(dir.path().join("own/pairs.jsonl")).unwrap();
    let pairs: Vec<Value> = pairs
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!pairs.is_empty());
    for pair in &pairs {
        let row = pair["row"].as_u64().unwrap();
        assert!(
            pair["chosen"]
                .as_str()
                .unwrap()
                .contains(&format!("select {row}")),
            "{pair}"
        );
        assert_ne!(pair["chosen"], pair["rejected"]);
    }
    // Stopped in drawing it begins anew.
    let partial = dir.path().join("stopped.partial");
    fs::create_dir(&partial).unwrap();
    fs::copy(format!("{out}/config.toml"), partial.join("config.toml")).unwrap();
    fs::write(partial.join(".lock"), "").unwrap();
    let stopped = text(&dir.path().join("stopped"));
    ok(&["dpo", "--resume", &stopped]);
    assert_eq!(weights(Path::new(&out)), weights(Path::new(&stopped)));
    let again = text(&dir.path().join("again"));
    ok(&[
        "dpo",
        "--config",
        &format!("{out}/config.toml"),
        "--out",
        &again,
    ]);
    assert_eq!(weights(Path::new(&out)), weights(Path::new(&again)));
    fails(
        &["dpo", "--on-policy", "--data", &eval, "--base", &base],
        2,
        &["--db-dir"],
    );
    // What says how own answers are drawn and judged is nothing without them.
    for (flag, value) in [
        ("--db-dir", db.as_str()),
        ("--connection", "shop"),
        ("--timeout-ms", "100"),
        ("--now", "2026-01-02T03:04:05Z"),
        ("--keep-going", ""),
        ("--samples", "4"),
        ("--temperature", "0.5"),
        ("--per-row", "1"),
        ("--extract", "first-select"),
        ("--follow-links", ""),
    ] {
        let all = ["dpo", "--data", &eval, "--base", &base, flag, value];
        let all = &all[..all.len() - usize::from(value.is_empty())];
        let run = factory(all);
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(2), "{flag}: {said}");
        assert!(
            said.contains("--on-policy") || said.contains("--eval-db"),
            "{flag}: {said}"
        );
    }
}
