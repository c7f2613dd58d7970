//! `factory run` that is stopped, killed, or not alone: nothing is half done, and what goes on ends as if it had never stopped.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/scoring.rs"]
mod scoring;

use common::tiny;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use scoring::{children, timeless};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Stages of some tenths of a second, each of which can go on.
fn workplace(steps: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let row = |i: usize| {
        let slow = format!(
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {}) SELECT max(x) FROM c",
            20_000 + i
        );
        let row = serde_json::json!({"id": format!("q{i}"), "prompt": format!("lamp {i}"), "response": format!("select {i};"),
            "predicted_sql": slow, "gold_sql": format!("select {i};"), "db": "shed"});
        row.to_string() + "\n"
    };
    fs::write(
        dir.path().join("few.jsonl"),
        (0..6).map(row).collect::<String>(),
    )
    .unwrap();
    fs::write(
        dir.path().join("rows.jsonl"),
        (0..60).map(row).collect::<String>(),
    )
    .unwrap();
    fs::create_dir(dir.path().join("db")).unwrap();
    fs::write(
        dir.path().join("db/shed.sql"),
        "CREATE TABLE lamps (id INTEGER);",
    )
    .unwrap();
    let recipe = format!(
        r#"
name = "lamps"
[stages.train]
command = "sft"
data = "few.jsonl"
base = {base:?}
steps = {steps}
batch = 2
dora = true
dropout = 0.1
checkpoint_every = 3
device = "cpu"
[stages.answers]
command = "generate"
lora = "{{train}}"
data = "rows.jsonl"
max_tokens = 24
batch = 4
device = "cpu"
[stages.scored]
command = "eval-sql"
predictions = "rows.jsonl"
after = "answers"
db_dir = "db"
workers = 1
"#,
        base = tiny()
    );
    fs::write(dir.path().join("r.toml"), recipe).unwrap();
    dir
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.current_dir(dir).args(["run", "r.toml"]).args(args);
    // A group of its own, to be killed as one.
    command.process_group(0);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn start(dir: &Path, args: &[&str]) -> Child {
    command(dir, args).spawn().unwrap()
}

fn ended(child: Child) -> (Output, String) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output, said)
}

fn signal(name: &str, process: &str) {
    // One that has just ended cannot be sent anything.
    let mut kill = Command::new("kill");
    kill.args([name, "--", process])
        .stderr(Stdio::null())
        .status()
        .unwrap();
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(2));
    }
}

fn stage(dir: &Path, runs: &str, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(dir.join(runs).join("stages")).ok()?;
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| {
        let own = path.file_name().unwrap().to_string_lossy().into_owned();
        own.rsplit_once('-').is_some_and(|(own, _)| own == name)
    })
}

/// Whether training has saved a state.
fn saved(dir: &Path, runs: &str) -> bool {
    let Some(folder) = stage(dir, runs, "train") else {
        return false;
    };
    let entries = fs::read_dir(folder.join("adapter.partial"));
    entries.is_ok_and(|mut all| {
        all.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("state-")))
    })
}

/// What all stages left, without times.
fn results(dir: &Path, runs: &str) -> Vec<Vec<u8>> {
    let folder = |name: &str| stage(dir, runs, name).unwrap();
    let mut files: Vec<Vec<u8>> = [
        "adapter_model.safetensors",
        "adapter_config.json",
        "config.toml",
    ]
    .map(|file| fs::read(folder("train").join("adapter").join(file)).unwrap())
    .to_vec();
    files.push(fs::read(folder("answers").join("predictions.jsonl")).unwrap());
    let scored = folder("scored");
    files.push(
        timeless(scored.join("rows.jsonl").to_str().unwrap())
            .join("\n")
            .into_bytes(),
    );
    for file in ["labels.jsonl", "slices.json"] {
        files.push(fs::read(scored.join(file)).unwrap());
    }
    files
}

#[test]
fn twenty_kills_at_random_moments_change_no_byte() {
    let dir = workplace(300);
    let dir = dir.path();
    let begun = Instant::now();
    let (output, said) = ended(start(dir, &["--runs", "whole"]));
    assert!(output.status.success(), "{said}");
    let most = begun.elapsed().as_millis() as u64;
    let whole = results(dir, "whole");
    let mut rng = StdRng::seed_from_u64(5);
    let (mut kills, mut resumed) = (0, 0);
    while kills < 20 {
        let mut child = start(dir, &["--runs", "killed"]);
        sleep(Duration::from_millis(rng.random_range(0..most * 2 / 3)));
        if child.try_wait().unwrap().is_none() {
            kills += 1;
        }
        signal("-KILL", &format!("-{}", child.id()));
        let (output, said) = ended(child);
        resumed += said.matches("goes on: ").count();
        if output.status.success() {
            assert!(results(dir, "killed") == whole, "other bytes");
            fs::remove_dir_all(dir.join("killed")).unwrap();
        }
    }
    let (output, said) = ended(start(dir, &["--runs", "killed"]));
    assert!(output.status.success(), "{said}");
    assert!(results(dir, "killed") == whole, "other bytes");
    assert!(resumed > 0, "nothing went on");
}

#[test]
fn a_run_that_is_asked_to_stop_saves_and_goes_on() {
    let dir = workplace(400);
    let dir = dir.path();
    let (output, said) = ended(start(dir, &["--runs", "whole"]));
    assert!(output.status.success(), "{said}");
    let child = start(dir, &[]);
    until("no state", || saved(dir, "runs"));
    signal("-TERM", &child.id().to_string());
    let (output, said) = ended(child);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said.lines().last().unwrap();
    assert!(
        line.contains("interrupted") && line.contains("go on with the same command"),
        "{said}"
    );
    let folder = stage(dir, "runs", "train").unwrap();
    assert!(!folder.join("stage.json").exists() && saved(dir, "runs"));
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("interrupted after step"), "{log}");
    let (output, said) = ended(start(dir, &[]));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("train: goes on: "), "{said}");
    assert!(results(dir, "runs") == results(dir, "whole"), "other bytes");
}

#[test]
fn a_killed_stage_is_told_and_a_second_run_waits_for_none() {
    let dir = workplace(100_000);
    let dir = dir.path();
    let child = start(dir, &[]);
    until("no state", || saved(dir, "runs"));
    // Another run, while this one lives.
    let (output, said) = ended(start(dir, &[]));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another process works here"), "{said}");
    // The system takes the stage's process away.
    let processes = children(child.id());
    assert_eq!(processes.len(), 1, "{processes:?}");
    signal("-KILL", &processes[0].0.to_string());
    let (output, said) = ended(child);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let error =
        "error: stage train failed: killed by the system (signal 9), perhaps for want of memory";
    assert!(said.contains(error), "{said}");
    assert!(said.contains("not run for it: answers, scored"), "{said}");
    assert!(saved(dir, "runs"), "its state is lost");
    // Killed itself, a run takes its stage with it.
    let child = start(dir, &[]);
    until("no process", || children(child.id()).len() == 1);
    let process = children(child.id())[0].0;
    signal("-KILL", &child.id().to_string());
    ended(child);
    until("the stage lives on", || {
        !Path::new(&format!("/proc/{process}")).exists()
    });
    assert!(saved(dir, "runs"), "its state is lost");
}
