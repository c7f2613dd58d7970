//! `factory rft`: rounds that learn what was right among samples.

#[path = "common/boats.rs"]
mod boats;
mod common;
#[path = "common/scoring.rs"]
mod scoring;

use boats::{BOATS, ROWS, taught, taught_with, write_rows};
use common::{answers, factory, fails, ok, refs, text};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scoring::read_rows;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const NOW: &str = "2026-01-02T03:04:05Z";

fn rft(dir: &Path, out: &str, more: &[&str]) -> Vec<String> {
    let path = |name: &str| text(&dir.join(name));
    let fixed = [
        "rft",
        "--data",
        &path("rows.jsonl"),
        "--init",
        &path("adapter"),
        "--db-dir",
        &path(""),
        "--out",
        &path(out),
        "--device",
        "cpu",
        "--samples",
        "6",
        "--max-tokens",
        "40",
        "--lr",
        "0.001",
        "--now",
        NOW,
    ]
    .map(str::to_owned);
    let more = more.iter().map(|word| word.to_string());
    fixed.into_iter().chain(more).collect()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("adapter_model.safetensors")).unwrap()
}

/// Rows to measure adapters on, as flags.
fn measured(dir: &Path) -> Vec<String> {
    let rows = ROWS.map(|(ask, gold)| {
        json!({"prompt": ask, "gold_sql": gold, "db": "boats"}).to_string() + "\n"
    });
    fs::write(dir.join("eval.jsonl"), rows.concat()).unwrap();
    let (rows, db) = (text(&dir.join("eval.jsonl")), text(dir));
    ["--eval-data", &rows, "--eval-db", &db]
        .map(str::to_owned)
        .into()
}

#[test]
fn a_round_learns_what_was_right() {
    let dir = taught(3);
    let path = |name: &str| dir.path().join(name);
    let flags = ["--replay", "0.5", "--steps", "6", "--keep-solved", "1"];
    let said = ok(&refs(&rft(dir.path(), "out", &flags)));
    let summary = json_of(&path("out/rft.json"));
    let round = &summary["rounds"][0];
    let (samples, rows) = (
        read_rows(path("out/round-1/samples.jsonl")),
        read_rows(path("out/round-1/rows.jsonl")),
    );
    assert_eq!(samples.len(), 9);

    // What is learned of each row: its right samples with different queries, that read a table where the reference does.
    let mut expected = Vec::new();
    for row in &samples {
        let mut queries = BTreeSet::new();
        let all = row["_samples"].as_array().unwrap();
        let solved = all.iter().all(|one| one["passed"] == true);
        let greedy = json!({"answer": row["predicted_sql"], "passed": row["_verdict"]["passed"]});
        for one in [&greedy].into_iter().chain(all) {
            let answer = one["answer"].as_str().unwrap();
            let right = one["passed"] == true && answer.contains("FROM");
            if right && queries.insert(answer.to_owned()) && !(solved && queries.len() > 1) {
                expected.push((row["prompt"].clone(), answer.to_owned()));
            }
        }
    }
    let answer = |row: &Value| row["completion"].as_str().unwrap().to_owned();
    let learned = rows.iter().take(expected.len());
    let learned: Vec<_> = learned
        .map(|row| (row["prompt"].clone(), answer(row)))
        .collect();
    assert_eq!(learned, expected);
    assert!(expected.len() > 3, "{expected:?}");
    let ids: Vec<_> = rows.iter().map(|row| row["id"].to_string()).collect();
    assert!(ids[0].contains("-round-1-1"), "{ids:?}");
    // Beside as many rows of before, as they were written.
    let before = fs::read_to_string(path("rows.jsonl")).unwrap();
    let trained = fs::read_to_string(path("out/round-1/rows.jsonl")).unwrap();
    let replayed: Vec<_> = trained.lines().skip(expected.len()).collect();
    assert_eq!(replayed.len(), expected.len().min(9));
    assert!(
        replayed
            .iter()
            .all(|line| before.lines().any(|own| own == *line))
    );

    let right: usize = samples
        .iter()
        .map(|row| row["_verdict"]["right_samples"].as_u64().unwrap() as usize)
        .sum();
    let one = round["drawn"]["pass_at"]["1"]["value"].as_f64().unwrap();
    assert!((one - right as f64 / 54.0).abs() < 1e-9);
    assert_eq!(round["learned"]["answers"], expected.len());
    assert_eq!(round["learned"]["replayed"], replayed.len());
    assert_eq!(round["learned"]["other_tokens"], 0);
    assert_eq!(
        (&round["trained_from"], &summary["kept"]),
        (&json!(0), &json!(1))
    );
    assert!(
        said.contains("round 1: ") && said.contains("(round 1)"),
        "{said}"
    );

    // The result is an adapter like any other, and is what its settings make again.
    let out = text(&path("out"));
    assert!(weights(&path("out")) == weights(&path("out/round-1/adapter")));
    assert!(weights(&path("out")) != weights(&path("adapter")));
    let answered = answers(&path("rows.jsonl"), &common::tiny(), &["--lora", &out]);
    assert_eq!(answered.lines().count(), 9);
    for (command, config, again) in [
        ("rft", "out/config.toml", "again"),
        ("sft", "out/round-1/adapter/config.toml", "alone"),
    ] {
        let (config, again) = (text(&path(config)), path(again));
        ok(&[command, "--config", &config, "--out", &text(&again)]);
        assert!(weights(&again) == weights(&path("out")), "{command}");
    }
    assert!(!path("out/progress.json").exists());
    assert!(!path("out/round-1/samples.jsonl.partial").exists());
}

/// The runs `whole` and `killed` have the same bytes, of so many rounds.
fn same(dir: &Path, rounds: usize) {
    let all = [
        "rft.json",
        "adapter_model.safetensors",
        "ngrams.safetensors",
    ]
    .map(str::to_owned);
    let round = |number: usize| {
        let files = [
            "rows.jsonl",
            "samples.jsonl",
            "adapter/adapter_model.safetensors",
        ];
        files.map(|file| format!("round-{number}/{file}"))
    };
    for file in all.into_iter().chain((1..=rounds).flat_map(round)) {
        let [whole, killed] = ["whole", "killed"].map(|out| fs::read(dir.join(out).join(&file)));
        assert!(whole.unwrap() == killed.unwrap(), "{file}");
    }
}

/// A query that takes minutes over the numbers of [`NUMBERS`].
const SLOW: (&str, &str) = ("slow", "SELECT COUNT(*) FROM n, n a, n b");
const NUMBERS: &str = "CREATE TABLE n AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 4000) SELECT x FROM c;";

/// The processor time of each process that `parent` started, in hundredths of a second.
#[cfg(target_os = "linux")]
fn used(parent: u32) -> Vec<(u32, u64)> {
    let children = scoring::children(parent).into_iter();
    let time = |(pid, _): (u32, _)| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything.
        let time = stat.rsplit_once(") ")?.1.split(' ').nth(11)?.parse();
        Some((pid, time.ok()?))
    };
    children.filter_map(time).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn killed_while_answers_are_judged_it_leaves_the_same_bytes() {
    let dir = taught_with(4, &[SLOW; 5]);
    let path = |name: &str| dir.path().join(name);
    fs::write(path("boats.sql"), format!("{BOATS}{NUMBERS}")).unwrap();
    // Rows whose answers are slow to judge, behind a part of the others.
    let rows = fs::read_to_string(path("rows.jsonl")).unwrap();
    let slow = json!({"id": "slow", "prompt": "slow", "completion": ROWS[0].1, "db": "boats"});
    fs::write(path("rows.jsonl"), format!("{rows}{slow}\n")).unwrap();
    let flags = ["--draw-batch", "4", "--steps", "4", "--timeout-ms", "3000"];
    ok(&refs(&rft(dir.path(), "whole", &flags)));
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(rft(dir.path(), "killed", &flags))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A second of one process is a third of what the slow query has; nothing else takes near as long. Stopped, it answers no more.
    let judging = loop {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        let busy = used(child.id()).into_iter().find(|(_, time)| *time > 100);
        if let Some((pid, _)) = busy {
            break pid.to_string();
        }
        sleep(Duration::from_millis(5));
    };
    let signal = |what: &str| {
        Command::new("kill")
            .args([what, &judging])
            .status()
            .unwrap()
    };
    assert!(signal("-STOP").success());
    assert!(path("killed.partial/progress.json").exists());
    assert!(!path("killed.partial/round-1/samples.jsonl").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    signal("-KILL");
    ok(&["rft", "--resume", &text(&path("killed"))]);
    same(dir.path(), 1);
}

#[test]
fn killed_at_any_moment_it_leaves_the_same_bytes() {
    let dir = taught(8);
    let path = |name: &str| dir.path().join(name);
    let flags = [
        "--rounds",
        "2",
        "--from-last",
        "--draw-batch",
        "4",
        "--steps",
        "120",
        "--checkpoint-every",
        "5",
    ];
    let more: Vec<String> = flags
        .map(str::to_owned)
        .into_iter()
        .chain(measured(dir.path()))
        .collect();
    let start = |out: &str| rft(dir.path(), out, &refs(&more));
    ok(&refs(&start("whole")));
    let mut rng = StdRng::seed_from_u64(5);
    let (mut kills, mut resumed) = (0, 0);
    while kills < 12 {
        let on = path("killed.partial/progress.json").exists();
        resumed += usize::from(on);
        let again = [
            "rft".to_owned(),
            "--resume".to_owned(),
            text(&path("killed")),
        ];
        let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args(if on { again.to_vec() } else { start("killed") })
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(rng.random_range(50..400)));
        if path("killed").exists() {
            child.wait().unwrap();
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(resumed > 3, "{resumed} of {kills}");
    if !path("killed").exists() {
        ok(&["rft", "--resume", &text(&path("killed"))]);
    }
    same(dir.path(), 2);
    let names = |folder: &Path| -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        entries
            .map(|path| path.strip_prefix(folder).unwrap().to_owned())
            .collect()
    };
    for folder in ["", "round-1", "round-1/adapter"] {
        let [whole, killed] = ["whole", "killed"].map(|out| names(&path(out).join(folder)));
        assert_eq!(whole, killed);
    }
    let summary = json_of(&path("whole/rft.json"));
    let rounds = summary["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    assert!(rounds.iter().all(|round| round["accuracy"].is_number()));
    assert!(summary["start_accuracy"].is_number());
    // Another round draws others, though from the same rows.
    let [one, two] = ["1", "2"]
        .map(|n| fs::read(path("whole").join(format!("round-{n}/samples.jsonl"))).unwrap());
    assert!(one != two);
}

#[test]
fn another_run_is_not_gone_on_with() {
    let dir = taught(8);
    let path = |name: &str| dir.path().join(name);
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(rft(
            dir.path(),
            "out",
            &["--draw-batch", "1", "--steps", "100000"],
        ))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !path("out.partial/progress.json").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let out = text(&path("out"));
    let begun = rft(dir.path(), "out", &[]);
    fails(&refs(&begun), 1, &["is an interrupted run", "--resume"]);
    fails(&["rft", "--resume", &out, "--keep", "2"], 1, &["(keep)"]);
    let rows = fs::read_to_string(path("rows.jsonl")).unwrap();
    fs::write(
        path("rows.jsonl"),
        rows.replacen("\"r0-0\"", "\"other\"", 1),
    )
    .unwrap();
    fails(&["rft", "--resume", &out], 1, &["(content of data)"]);
    fails(
        &["rft", "--resume", &text(&path("none"))],
        1,
        &["no interrupted run"],
    );
}

#[test]
fn an_adapter_that_is_worse_than_its_start_is_not_handed_out() {
    let dir = taught(3);
    let path = |name: &str| dir.path().join(name);
    // It breaks whatever it trains.
    let wild = ["--lr", "0.3", "--steps", "20", "--rounds", "2"];
    let more: Vec<String> = wild
        .map(str::to_owned)
        .into_iter()
        .chain(measured(dir.path()))
        .collect();
    let mut args = rft(dir.path(), "out", &[]);
    let lr = args.iter().position(|word| word == "--lr").unwrap();
    args.drain(lr..lr + 2);
    args.extend(more);
    let run = factory(&refs(&args));
    let (said, noted) = (
        String::from_utf8(run.stdout).unwrap(),
        String::from_utf8(run.stderr).unwrap(),
    );
    assert!(run.status.success(), "{noted}");
    assert!(said.contains("(the start: no round was better)"), "{said}");
    assert!(noted.contains("the start is handed out"), "{noted}");
    let summary = json_of(&path("out/rft.json"));
    assert_eq!(summary["kept"], 0);
    // Every round drew from the start, which stays the best.
    let rounds = summary["rounds"].as_array().unwrap();
    assert!(rounds.iter().all(|round| round["drawn_from"] == 0));
    let start = summary["start_accuracy"].as_f64().unwrap();
    assert!(
        rounds
            .iter()
            .all(|round| round["accuracy"].as_f64().unwrap() < start)
    );
    let rows = path("rows.jsonl");
    let of = |adapter: &str| answers(&rows, &common::tiny(), &["--lora", &text(&path(adapter))]);
    assert_eq!(of("out"), of("adapter"));
    for file in ["ngrams.safetensors", "adapter_config.json", "config.toml"] {
        assert!(path("out").join(file).exists(), "{file}");
    }
}

#[test]
fn where_nothing_is_right_there_is_nothing_to_learn() {
    let dir = taught(2);
    let path = |name: &str| dir.path().join(name);
    let before = weights(&path("adapter"));
    let all = fs::read(path("rows.jsonl")).unwrap();
    write_rows(&path("rows.jsonl"), &ROWS[2..], 3);
    let args = rft(dir.path(), "out", &[]);
    fails(
        &refs(&args),
        1,
        &[
            "round 1: nothing to learn",
            "none of 6 samples of 3 rows is right",
        ],
    );
    assert!(!path("out").exists());
    assert!(weights(&path("adapter")) == before);

    // In a later round the last good adapter is what the run leaves.
    fs::write(path("rows.jsonl"), all).unwrap();
    let mut args = rft(
        dir.path(),
        "broken",
        &["--lr", "0.3", "--steps", "20", "--rounds", "3"],
    );
    let lr = args.iter().position(|word| word == "--lr").unwrap();
    args.drain(lr..lr + 2);
    let run = factory(&refs(&args));
    let noted = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{noted}");
    assert!(noted.contains("round 2: nothing to learn"), "{noted}");
    let summary = json_of(&path("broken/rft.json"));
    assert_eq!(
        (
            &summary["kept"],
            summary["rounds"].as_array().unwrap().len()
        ),
        (&json!(1), 2)
    );
    assert!(weights(&path("broken")) == weights(&path("broken/round-1/adapter")));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let dir = taught(1);
    let of = |more: &[&str]| rft(dir.path(), "out", more);
    fails(&refs(&of(&["--temperature", "0"])), 2, &["--temperature"]);
    fails(&refs(&of(&["--replay", "1"])), 2, &["0 to 0.99"]);
    fails(&["rft", "--data", "x"], 2, &["required arguments"]);
    fails(
        &refs(&of(&["--from-last"])),
        2,
        &["--from-last", "--rounds 2"],
    );
    let (data, init) = (
        text(&dir.path().join("rows.jsonl")),
        text(&dir.path().join("adapter")),
    );
    fails(
        &["rft", "--data", &data, "--init", &init],
        2,
        &["--db-dir or --connection"],
    );
    let none = text(&dir.path().join("none"));
    let mut args = of(&[]);
    args[4] = none;
    fails(&refs(&args), 1, &["none"]);
    assert!(!dir.path().join("out.partial").exists());
}
