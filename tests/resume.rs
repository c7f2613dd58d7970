//! Interrupted runs: killed at any moment, stopped by Ctrl-C, out of disk; what goes on ends as if it had never stopped.

mod common;

use common::{answered_rows, factory, fails, ok, refs, text, tiny, workplace};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A run with all that a state must hold: DoRA, dropout, shuffled rows, a schedule, partial epochs, the best adapter so far.
fn recipe(dir: &Path, out: &str, steps: &str) -> Vec<String> {
    let (data, out, base) = (text(&dir.join("train.jsonl")), text(&dir.join(out)), tiny());
    let (eval, db) = answered_rows(dir);
    [
        "sft",
        "--data",
        &data,
        "--base",
        &base,
        "--out",
        &out,
        "--device",
        "cpu",
        "--dora",
        "--dropout",
        "0.1",
        "--batch",
        "2",
        "--grad-accum",
        "2",
        "--lr",
        "0.01",
        "--steps",
        steps,
        "--val-data",
        &data,
        "--val-every",
        "50",
        "--eval-data",
        &eval,
        "--eval-db",
        &db,
        "--eval-every",
        "100",
        "--checkpoint-every",
        "3",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn start(args: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn resume(dir: &Path, out: &str) -> Vec<String> {
    vec![
        "sft".to_owned(),
        "--resume".to_owned(),
        text(&dir.join(out)),
    ]
}

const RESULTS: [&str; 5] = [
    "step",
    "loss",
    "grad_norm",
    "val_loss",
    "execution_accuracy",
];

/// The adapter's files, and the metrics without what a clock says.
fn result(folder: &Path) -> (Vec<Vec<u8>>, Vec<[String; 5]>) {
    let files = [
        "adapter_model.safetensors",
        "adapter_config.json",
        "config.toml",
        "ngrams.safetensors",
    ];
    let metrics = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let m: serde_json::Value = serde_json::from_str(line).unwrap();
        RESULTS.map(|key| m[key].to_string())
    };
    (
        files
            .map(|file| fs::read(folder.join(file)).unwrap())
            .to_vec(),
        metrics.lines().map(line).collect(),
    )
}

#[test]
fn twenty_kills_at_random_moments_change_no_byte() {
    const STEPS: &str = "1500";
    let dir = workplace();
    let out = |name: &str| dir.path().join(name);
    ok(&refs(&recipe(dir.path(), "whole", STEPS)));
    let mut rng = StdRng::seed_from_u64(11);
    let (mut kills, mut resumed) = (0, 0);
    while kills < 20 {
        let on = out("killed.partial").join("config.toml").exists()
            && fs::read_dir(out("killed.partial")).unwrap().any(|e| {
                e.unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("state-")
            });
        resumed += usize::from(on);
        let mut child = start(&match on {
            true => resume(dir.path(), "killed"),
            false => recipe(dir.path(), "killed", STEPS),
        });
        sleep(Duration::from_millis(rng.random_range(5..120)));
        assert!(
            !out("killed").exists(),
            "the run was over after {kills} kills"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(resumed > 10, "{resumed}");
    ok(&refs(&resume(dir.path(), "killed")));
    assert!(
        result(&out("killed")) == result(&out("whole")),
        "other bytes"
    );
    let left: Vec<_> = fs::read_dir(out("killed"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 6, "{left:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let dir = workplace();
    let args = recipe(dir.path(), "run", "100000");
    let child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(&args[..args.len() - 2])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let metrics = dir.path().join("run.partial/metrics.jsonl");
    let begun = Instant::now();
    while fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < 5 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{said}");
    let error = said
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap();
    let run = text(&dir.path().join("run"));
    assert!(
        error.contains(&format!(
            "go on with: factory sft --resume {run}: interrupted after step"
        )),
        "{error}"
    );
    // What it says works, and a fresh start does not trample on it.
    fails(
        &refs(&args),
        1,
        &["is an interrupted run: go on with --resume"],
    );
    let states = fs::read_dir(dir.path().join("run.partial")).unwrap();
    let states = states.filter(|e| {
        e.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("state-")
    });
    assert_eq!(states.count(), 1);
}

/// Starts a run of 400 steps and kills it when its first state is there.
fn killed(dir: &Path) {
    let mut child = start(&recipe(dir, "run", "400"));
    let begun = Instant::now();
    while !dir.join("run.partial/state-6.safetensors").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!dir.join("run").exists(), "the run was faster");
}

/// The states, oldest first.
fn states(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("run.partial")).unwrap();
    let paths = entries.map(|e| e.unwrap().path());
    let mut states: Vec<(usize, PathBuf)> = paths
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?.to_owned();
            Some((name.strip_prefix("state-")?.parse().ok()?, path))
        })
        .collect();
    states.sort();
    states.into_iter().map(|(_, path)| path).collect()
}

#[test]
fn damaged_states_are_named_and_the_one_before_still_loads() {
    let dir = workplace();
    ok(&refs(&recipe(dir.path(), "whole", "400")));
    killed(dir.path());
    let found = states(dir.path());
    assert_eq!(found.len(), 2, "{found:?}");
    let [older, newer] = [0, 1].map(|i| fs::read(&found[i]).unwrap());
    // A bit of the weights, a bit of the header, a missing end.
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    for (i, damaged) in [
        flipped(&newer, newer.len() - 9),
        flipped(&newer, 60),
        newer[..999].to_vec(),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(&found[1], damaged).unwrap();
        fs::write(&found[0], flipped(&older, older.len() - 9)).unwrap();
        let name = found[1].file_name().unwrap().to_str().unwrap();
        let what = if i == 1 { "run.partial" } else { "damaged" };
        fails(&refs(&resume(dir.path(), "run")), 1, &[name, what]);
        assert_eq!(states(dir.path()), found, "nothing is lost");
    }
    fs::write(&found[0], older).unwrap();
    let out = factory(&refs(&resume(dir.path(), "run")));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{said}");
    assert!(
        said.contains("warning: ") && said.contains("going on after step"),
        "{said}"
    );
    let [run, whole] = ["run", "whole"].map(|name| result(&dir.path().join(name)));
    assert!(run == whole, "other bytes");
}

#[test]
fn a_run_may_go_on_with_settings_that_change_no_byte() {
    let dir = workplace();
    ok(&refs(&recipe(dir.path(), "whole", "400")));
    killed(dir.path());
    let mut other = resume(dir.path(), "run");
    let free = ["--recompute", "on", "--checkpoint-every", "7"];
    other.extend(free.map(str::to_owned));
    ok(&refs(&other));
    let adapter = |out: &str| fs::read(dir.path().join(out).join("adapter_model.safetensors"));
    assert!(adapter("run").unwrap() == adapter("whole").unwrap());
}

#[test]
fn a_state_of_another_run_is_refused() {
    let dir = workplace();
    killed(dir.path());
    let mut other = resume(dir.path(), "run");
    other.extend(["--lr".to_owned(), "0.02".to_owned()]);
    fails(
        &refs(&other),
        1,
        &["of a run with other settings, rows, rewards, start or base"],
    );
    let rows = dir.path().join("train.jsonl");
    let text = fs::read_to_string(&rows).unwrap();
    fs::write(&rows, text.replace("count 3", "count 4")).unwrap();
    fails(
        &refs(&resume(dir.path(), "run")),
        1,
        &["of a run with other settings, rows, rewards, start or base"],
    );
    fails(
        &refs(&resume(dir.path(), "none")),
        1,
        &["none.partial", "no interrupted run"],
    );
    assert_eq!(states(dir.path()).len(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_run_and_spares_its_states() {
    let dir = workplace();
    ok(&refs(&recipe(dir.path(), "whole", "400")));
    killed(dir.path());
    let found = states(dir.path());
    let contents: Vec<_> = found.iter().map(|path| fs::read(path).unwrap()).collect();
    // No file may become as large as a state.
    let blocks = contents[0].len() / 1024 - 1;
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let full = Command::new("bash")
        .args(["-c", &script, "bash", env!("CARGO_BIN_EXE_factory")])
        .args(resume(dir.path(), "run"))
        .output()
        .unwrap();
    let said = String::from_utf8(full.stderr).unwrap();
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(
        said.contains("is kept, go on with: factory sft --resume"),
        "{said}"
    );
    assert!(
        said.contains("cannot write") && said.contains("state-"),
        "{said}"
    );
    assert_eq!(states(dir.path()), found);
    for (path, content) in found.iter().zip(contents) {
        assert!(fs::read(path).unwrap() == content, "{}", path.display());
    }
    ok(&refs(&resume(dir.path(), "run")));
    let [run, whole] = ["run", "whole"].map(|name| result(&dir.path().join(name)));
    assert!(run == whole, "other bytes");
}
