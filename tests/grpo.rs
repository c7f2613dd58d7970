//! `factory grpo` as a user meets it: groups drawn, judged and learned from; interrupted runs; rewards that are wrong.

mod common;

use common::{factory, fails, ok, refs, text, tiny};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// Rows whose reference an adapter half knows, with their database.
fn place() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("pens.sql"), "CREATE TABLE pens (id INTEGER);").unwrap();
    let row = |i: usize, gold: &str| {
        json!({"id": i, "prompt": format!("count {i}"), "gold_sql": gold, "db": "pens", "response": gold}).to_string() + "\n"
    };
    let rows: String = (0..6).map(|i| row(i, &format!("select {i};"))).collect();
    fs::write(at("rows.jsonl"), &rows).unwrap();
    let (data, out, base) = (text(&at("rows.jsonl")), text(&at("start")), tiny());
    ok(&[
        "sft", "--data", &data, "--base", &base, "--out", &out, "--device", "cpu", "--batch", "2",
        "--steps", "24", "--lr", "0.01",
    ]);
    (dir, out)
}

fn words(dir: &Path, init: &str, out: &str, more: &[&str]) -> Vec<String> {
    let (data, out, db, base) = (
        text(&dir.join("rows.jsonl")),
        text(&dir.join(out)),
        text(dir),
        tiny(),
    );
    let words = [
        "grpo",
        "--data",
        &data,
        "--db-dir",
        &db,
        "--base",
        &base,
        "--init",
        init,
        "--out",
        &out,
        "--device",
        "cpu",
        "--batch",
        "3",
        "--samples",
        "4",
        "--max-tokens",
        "12",
        "--lr",
        "0.003",
    ];
    [&words, more]
        .concat()
        .iter()
        .map(|word| (*word).to_owned())
        .collect()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("adapter_model.safetensors")).unwrap()
}

#[test]
fn answers_that_are_right_become_likelier() {
    let (dir, start) = place();
    ok(&refs(&words(
        dir.path(),
        &start,
        "out",
        &["--steps", "30", "--seed", "3"],
    )));
    let out = dir.path().join("out");
    let metrics = lines(&out.join("metrics.jsonl"));
    let number = |line: &Value, name: &str| {
        line[name]
            .as_f64()
            .unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    let mean = |lines: &[Value]| {
        lines.iter().map(|line| number(line, "reward")).sum::<f64>() / lines.len() as f64
    };
    let (first, last) = (mean(&metrics[..5]), mean(&metrics[25..]));
    assert!(
        last > first + 0.1,
        "rewards {first} at first, {last} at last"
    );
    let line = &metrics[0];
    for name in [
        "reward_std",
        "frac_reward_zero_std",
        "completions/mean_length",
        "completions/ended",
        "rollouts/passed",
        "groups/mixed",
        "groups/distinct_queries",
        "seconds/generation",
        "seconds/scoring",
        "seconds/update",
    ] {
        assert!(number(line, name) >= 0.0, "{name}");
    }
    // Training finds what the sampler found.
    let off = metrics
        .iter()
        .filter_map(|line| line["sampler_difference"].as_f64())
        .fold(0.0, f64::max);
    assert!(off < 1e-3, "{off}");
    let rollouts = lines(&out.join("rollouts.jsonl"));
    assert!(rollouts.len() >= 30 * 3 * 4, "{}", rollouts.len());
    let line = &rollouts[0];
    assert!(
        line["text"].is_string() && line["reward"].is_number() && line["tokens"].is_array(),
        "{line}"
    );
    // The result answers like any other adapter, and repeats from its settings.
    let config = text(&out.join("config.toml"));
    let again = text(&dir.path().join("again"));
    ok(&["grpo", "--config", &config, "--out", &again]);
    assert_eq!(weights(&out), weights(Path::new(&again)));
}

#[test]
fn over_weights_in_8_bits_training_finds_what_the_sampler_found() {
    let (dir, start) = place();
    for temperature in ["1", "0.8"] {
        let flags = ["--steps", "4", "--seed", "3", "--base-weights", "q8"];
        let flags = [&flags[..], &["--temperature", temperature]].concat();
        ok(&refs(&words(dir.path(), &start, temperature, &flags)));
        let metrics = lines(&dir.path().join(temperature).join("metrics.jsonl"));
        let found = metrics
            .iter()
            .filter_map(|line| line["sampler_difference"].as_f64());
        let found: Vec<f64> = found.collect();
        assert!(
            !found.is_empty() && found.iter().all(|off| *off < 1e-4),
            "{temperature}: {found:?}"
        );
    }
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes_with_any_number_of_threads() {
    let (dir, start) = place();
    let more = [
        "--steps",
        "8",
        "--iterations",
        "3",
        "--beta",
        "0.02",
        "--checkpoint-every",
        "1",
        "--no-guards",
    ];
    ok(&refs(&words(dir.path(), &start, "whole", &more)));
    let whole = weights(&dir.path().join("whole"));
    let rollouts = fs::read(dir.path().join("whole/rollouts.jsonl")).unwrap();
    // In the middle of the answers of a step, and between two steps on the same answers.
    for (at, threads) in [(1, "1"), (2, "2"), (5, "1"), (10, "8")] {
        let out = dir.path().join(format!("killed-{at}"));
        let name = format!("killed-{at}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args(words(dir.path(), &start, &name, &more))
            .env("RAYON_NUM_THREADS", threads)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let state = dir
            .path()
            .join(format!("{name}.partial/state-{at}.safetensors"));
        while !state.exists() && !out.exists() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if !out.exists() {
            ok(&["grpo", "--resume", &text(&out)]);
        }
        assert_eq!(weights(&out), whole, "killed behind step {at}");
        assert_eq!(
            fs::read(out.join("rollouts.jsonl")).unwrap(),
            rollouts,
            "killed behind step {at}"
        );
    }
}

/// A reward command that says 1 each time, and waits with the answer of a number that the file `hold` has until that file is gone; `held` is there
/// as soon as it waits.
const HOLDS: &str = r#"cd "$1"; n=0; while read line; do n=$((n + 1));
if [ "$n" = "$(cat hold 2>/dev/null)" ]; then : > held; while [ -e hold ]; do sleep 0.05; done; fi; echo 1; done"#;

#[cfg(unix)]
#[test]
fn killed_while_answers_are_judged_it_goes_on_to_the_same_bytes() {
    let (dir, start) = place();
    let at = |name: &str| dir.path().join(name);
    let here = text(dir.path());
    let command = toml::Value::from(vec!["sh", "-c", HOLDS, "sh", &here]);
    let rewards = format!(
        "[[reward]]\nverifier = \"execution\"\nweight = 0.9\n[[reward]]\ncommand = {command}\nweight = 0.1\n"
    );
    fs::write(at("rewards.toml"), rewards).unwrap();
    let rewards = text(&at("rewards.toml"));
    let more = [
        "--steps",
        "8",
        "--checkpoint-every",
        "1",
        "--no-guards",
        "--rewards",
        &rewards,
    ];
    ok(&refs(&words(dir.path(), &start, "whole", &more)));
    // A step has 12 to 24 answers: these are of the second step or the third, and of the third to the sixth.
    for answer in ["30", "66"] {
        fs::write(at("hold"), answer).unwrap();
        let name = format!("killed-{answer}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args(words(dir.path(), &start, &name, &more))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !at("held").exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_file(at("hold")).unwrap();
        fs::remove_file(at("held")).unwrap();
        let out = at(&name);
        let resume = ["grpo", "--resume", &text(&out)];
        // Answers must be worth what they were.
        let worth = fs::read_to_string(&rewards).unwrap();
        fs::write(&rewards, worth.replace("0.9", "0.8")).unwrap();
        fails(
            &resume,
            1,
            &["other settings, rows, rewards, start or base"],
        );
        fs::write(&rewards, worth).unwrap();
        ok(&resume);
        assert_eq!(weights(&out), weights(&at("whole")), "killed at {answer}");
        let [whole, killed] =
            [at("whole"), out].map(|run| fs::read(run.join("rollouts.jsonl")).unwrap());
        assert_eq!(killed, whole, "killed at {answer}");
    }
}

#[test]
fn rows_are_held_to_a_length_with_their_longest_answers() {
    let (dir, start) = place();
    let path = dir.path().join("rows.jsonl");
    let row = json!({"prompt": "count ".repeat(60), "gold_sql": "select 1;", "db": "pens"});
    let rows = fs::read_to_string(&path).unwrap() + &format!("{row}\n");
    fs::write(&path, rows).unwrap();
    // All rows once.
    let more = ["--max-seq", "50", "--steps", "3", "--no-shuffle"];
    fails(
        &refs(&words(dir.path(), &start, "none", &more)),
        1,
        &["rows.jsonl:7", "--max-seq 50", "--max-tokens 12"],
    );
    for (on_long, drawn) in [("skip", false), ("truncate-prompt", true)] {
        let more = [&more[..], &["--on-long", on_long]].concat();
        ok(&refs(&words(dir.path(), &start, on_long, &more)));
        let rollouts = lines(&dir.path().join(on_long).join("rollouts.jsonl"));
        let long = |line: &Value| line["place"].as_str().unwrap().contains("rows.jsonl:7");
        assert_eq!(rollouts.iter().any(long), drawn, "{on_long}");
        assert!(!rollouts.iter().all(long), "{on_long}");
    }
    let more = ["--max-seq", "13", "--on-long", "skip", "--steps", "1"];
    let none = words(dir.path(), &start, "none", &more);
    fails(&refs(&none), 1, &["all 7 rows", "--max-seq 13"]);
}

#[test]
fn every_loss_runs() {
    let (dir, start) = place();
    for loss in ["grpo", "dapo", "gspo", "cispo", "rloo"] {
        let more = ["--loss", loss, "--steps", "2", "--iterations", "2"];
        ok(&refs(&words(dir.path(), &start, loss, &more)));
    }
}

#[test]
fn rewards_that_are_all_alike_change_no_byte_and_end_the_run_in_time() {
    let (dir, start) = place();
    let rewards = dir.path().join("rewards.toml");
    fs::write(&rewards, "[[reward]]\ncommand = [\"sh\", \"-c\", \"while read line; do echo 0.5; done\"]\nweight = 1.0\n").unwrap();
    let rewards = text(&rewards);
    let more = [
        "--rewards",
        &rewards,
        "--steps",
        "3",
        "--weight-decay",
        "0.1",
    ];
    let out = factory(&refs(&words(dir.path(), &start, "out", &more)));
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{told}");
    assert!(told.contains("nothing was learned"), "{told}");
    assert_eq!(weights(&dir.path().join("out")), weights(Path::new(&start)));
    let metrics = lines(&dir.path().join("out/metrics.jsonl"));
    assert!(
        metrics
            .iter()
            .all(|line| line["frac_reward_zero_std"] == 1.0),
        "{metrics:?}"
    );
    let more = ["--rewards", &rewards, "--steps", "30"];
    fails(
        &refs(&words(dir.path(), &start, "none", &more)),
        1,
        &["10 steps", "nothing to learn", "headroom"],
    );
    assert!(!dir.path().join("none").exists());
    assert!(!dir.path().join("none.partial").exists());
}

/// A reward command whose numbers follow from the answers until the file `enough` is there, and are all the same from then on; where there is a file
/// `broken`, it ends. After so many numbers it makes one of the two, unless there is a file `calm`.
const VARIES: &str = r#"cd "$1"; n=0; while read -r line; do n=$((n + 1)); if [ -e broken ]; then exit 5; fi;
if [ -e enough ]; then echo 0.5; else echo "0.$((${#line} % 7))"; fi;
if [ $n = "$2" ] && [ ! -e calm ]; then : > "$3"; fi; done"#;

fn varying(dir: &Path, after: &str, then: &str) -> String {
    let command = toml::Value::from(vec!["sh", "-c", VARIES, "sh", &text(dir), after, then]);
    let path = dir.join("rewards.toml");
    let reward = format!("[[reward]]\ncommand = {command}\nweight = 1.0\n");
    fs::write(&path, reward).unwrap();
    text(&path)
}

#[test]
fn a_run_that_has_nothing_more_to_learn_hands_out_what_it_learned() {
    let (dir, start) = place();
    let rewards = varying(dir.path(), "40", "enough");
    let (eval, db) = common::answered_rows(dir.path());
    let more = [
        "--rewards",
        &rewards,
        "--steps",
        "40",
        "--eval-data",
        &eval,
        "--eval-db",
        &db,
        "--eval-every",
        "39",
        "--no-guards",
    ];
    let run = factory(&refs(&words(dir.path(), &start, "out", &more)));
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{told}");
    assert!(
        told.contains("ended before its last step: in 10 steps"),
        "{told}"
    );
    // That of what was learned.
    let measured = told
        .lines()
        .filter(|line| line.contains("execution accuracy") && line.contains("/6)"));
    assert_eq!(measured.count(), 1, "{told}");
    let metrics = lines(&dir.path().join("out/metrics.jsonl"));
    assert!(metrics.len() < 40, "{}", metrics.len());
    let step = metrics.last().unwrap()["step"].as_u64().unwrap();
    let kept = format!("kept the adapter after step {step}: ");
    assert!(told.contains(&kept), "{told}");
}

#[test]
fn what_breaks_in_mid_run_loses_no_step() {
    let (dir, start) = place();
    let at = |name: &str| dir.path().join(name);
    let rewards = varying(dir.path(), "50", "broken");
    let more = ["--steps", "8", "--rewards", &rewards];
    fs::write(at("calm"), "").unwrap();
    ok(&refs(&words(dir.path(), &start, "whole", &more)));
    fs::remove_file(at("calm")).unwrap();
    let parts = ["the state after step", "exit status: 5", "--resume"];
    fails(&refs(&words(dir.path(), &start, "out", &more)), 1, &parts);
    fs::remove_file(at("broken")).unwrap();
    fs::write(at("calm"), "").unwrap();
    let out = text(&at("out"));
    // What is refused changes nothing.
    let parts = ["other settings"];
    fails(&["grpo", "--resume", &out, "--lr", "0.5"], 1, &parts);
    ok(&["grpo", "--resume", &out]);
    assert_eq!(weights(&at("out")), weights(&at("whole")));
    let [whole, out] =
        ["whole", "out"].map(|run| fs::read(at(run).join("rollouts.jsonl")).unwrap());
    assert_eq!(out, whole);
    // Steps that had nothing to learn from are gone on behind too.
    fs::write(at("enough"), "").unwrap();
    fs::remove_file(at("calm")).unwrap();
    let parts = ["the state after step", "exit status: 5"];
    fails(&refs(&words(dir.path(), &start, "same", &more)), 1, &parts);
    fs::remove_file(at("broken")).unwrap();
    fs::write(at("calm"), "").unwrap();
    ok(&["grpo", "--resume", &text(&at("same"))]);
    assert_eq!(weights(&at("same")), weights(Path::new(&start)));
}

#[test]
fn a_run_that_was_killed_before_its_first_state_begins_again() {
    let (dir, start) = place();
    let all = words(dir.path(), &start, "out", &["--steps", "3"]);
    ok(&refs(&all));
    let whole = weights(&dir.path().join("out"));
    // As it is left by a kill in the first step: settings, and whatever was drawn.
    let (out, partial) = (dir.path().join("out"), dir.path().join("out.partial"));
    fs::rename(&out, &partial).unwrap();
    fs::write(partial.join(".lock"), "").unwrap();
    ok(&["grpo", "--resume", &text(&out)]);
    assert_eq!(weights(&out), whole);
    assert_eq!(lines(&out.join("metrics.jsonl")).len(), 3);
    fails(&["grpo", "--resume", &text(&out)], 1, &["is whole"]);
}

#[test]
fn what_is_wrong_with_rewards_or_rows_is_one_line() {
    let (dir, start) = place();
    let of = |content: &str, code: i32, parts: &[&str]| {
        let rewards = dir.path().join("rewards.toml");
        fs::write(&rewards, content).unwrap();
        let rewards = text(&rewards);
        let more = ["--rewards", &rewards, "--steps", "2"];
        fails(
            &refs(&words(dir.path(), &start, "none", &more)),
            code,
            parts,
        );
        assert!(!dir.path().join("none").exists());
    };
    let command = |script: &str| {
        format!("[[reward]]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nweight = 1.0\n")
    };
    of(
        &command("while read line; do echo nan; done"),
        1,
        &["answered NaN"],
    );
    of(
        &command("read line; echo 1; exit 4"),
        1,
        &["ended", "exit status: 4"],
    );
    of(
        &command("while read line; do echo 1 2; done"),
        1,
        &["which is no number"],
    );
    of(
        "[[reward]]\nverifier = \"execution\"\nweight = 1.0\n[[penalty]]\nfault = \"cut\"\nweight = 1.0\n",
        1,
        &["rewards.toml", "would pay"],
    );
    let usage = |more: &[&str], parts: &[&str]| {
        fails(&refs(&words(dir.path(), &start, "none", more)), 2, parts);
    };
    usage(&["--temperature", "0"], &["--temperature"]);
    usage(&["--samples", "1"], &["--samples"]);
    usage(&["--epsilon", "2"], &["--epsilon"]);
    usage(&["--loss", "ppo"], &["ppo"]);
    // What would do nothing.
    usage(&["--epsilon", "0.1"], &["--epsilon", "--iterations 2"]);
    usage(
        &["--epsilon-high", "0.3"],
        &["--epsilon-high", "--iterations 2"],
    );
    let cispo = ["--loss", "cispo", "--iterations", "2", "--epsilon", "0.1"];
    usage(&cispo, &["--epsilon", "cispo"]);
    // A database that is gone, and a reference that fails.
    let rows = fs::read_to_string(dir.path().join("rows.jsonl")).unwrap();
    fs::write(
        dir.path().join("rows.jsonl"),
        rows.replacen("\"pens\"", "\"pins\"", 1),
    )
    .unwrap();
    fails(
        &refs(&words(dir.path(), &start, "none", &["--steps", "1"])),
        1,
        &["rows.jsonl:1", "pins"],
    );
    fs::write(
        dir.path().join("rows.jsonl"),
        rows.replacen("select 0", "select x", 2),
    )
    .unwrap();
    fails(
        &refs(&words(dir.path(), &start, "none", &["--steps", "1"])),
        1,
        &["rows.jsonl:1", "--keep-going"],
    );
    assert!(!dir.path().join("none").exists());
}
