//! `factory headroom`: what samples of rows say of ways to learn.

#[path = "common/boats.rs"]
mod boats;
mod common;
#[path = "common/scoring.rs"]
mod scoring;

use boats::taught;
use common::{fails, ok, refs, text, tiny};
use scoring::read_rows;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

fn headroom(dir: &Path, more: &[&str]) -> Vec<String> {
    let path = |name: &str| text(&dir.join(name));
    let fixed = [
        "headroom".to_owned(),
        "--data".to_owned(),
        path("rows.jsonl"),
        "--lora".to_owned(),
        path("adapter"),
        "--db-dir".to_owned(),
        path(""),
    ];
    let more = ["--device", "cpu", "--max-tokens", "40", "--samples", "6"]
        .into_iter()
        .chain(more.iter().copied());
    fixed.into_iter().chain(more.map(str::to_owned)).collect()
}

fn passed(value: &Value) -> (u64, u64) {
    (
        value["passed"].as_u64().unwrap(),
        value["n"].as_u64().unwrap(),
    )
}

#[test]
fn shares_are_those_of_the_rows_that_are_written() {
    let dir = taught(4);
    let path = |name: &str| text(&dir.path().join(name));
    let (out, summary) = (path("out.jsonl"), path("summary.json"));
    let flags = ["--out", &out, "--summary-out", &summary, "--seed", "3"];
    let said = ok(&refs(&headroom(dir.path(), &flags)));
    let found: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    let rows = read_rows(&out);
    assert_eq!(rows.len(), 12);

    // Counted again from the rows.
    let right = |row: &Value| row["_verdict"]["right_samples"].as_u64().unwrap();
    let samples = |row: &Value| row["_samples"].as_array().unwrap().clone();
    let (mut all, mut mixed, mut wrong, mut greedy, mut within) = (0, 0, 0, 0, 0);
    for row in &rows {
        let own = samples(row);
        assert_eq!(own.len(), 6);
        let count = own.iter().filter(|one| one["passed"] == true).count() as u64;
        assert_eq!(count, right(row));
        all += u64::from(count == 6);
        wrong += u64::from(count == 0);
        mixed += u64::from((1..6).contains(&count));
        let own = u64::from(row["_verdict"]["passed"] == true);
        greedy += own;
        within += u64::from(own == 0 && count > 0);
        assert!(row["predicted_sql"].is_string() && row["completion"].is_string());
    }
    let overall = &found["overall"];
    assert_eq!(passed(&overall["greedy"]), (greedy, 12));
    assert_eq!(passed(&overall["all_right"]), (all, 12));
    assert_eq!(passed(&overall["mixed"]), (mixed, 12));
    assert_eq!(passed(&overall["all_wrong"]), (wrong, 12));
    assert_eq!(passed(&overall["within_reach"]), (within, 12));
    let mean = rows.iter().map(right).sum::<u64>() as f64 / 72.0;
    let one = overall["pass_at"]["1"]["value"].as_f64().unwrap();
    assert!((one - mean).abs() < 1e-9);
    let any = overall["pass_at"]["6"]["value"].as_f64().unwrap();
    assert!((any - (12 - wrong) as f64 / 12.0).abs() < 1e-9);
    // The question with several answers is mixed, the others are not.
    assert!(
        mixed >= 2 && all >= 3 && wrong >= 4,
        "{all} {mixed} {wrong}"
    );
    let of = |slice: &str, what: &str| passed(&found["slices"][slice][what]);
    assert_eq!(of("domain:many", "all_right"), (all, 4));
    assert_eq!(of("domain:none", "all_wrong").0, 4);
    assert_eq!(of("aggregate", "greedy").1, 8);
    let advice = found["advice"].as_str().unwrap();
    assert!(said.contains(advice) && advice.contains("GRPO"), "{said}");
    for part in [
        "headroom: 12 rows, 6 samples",
        "pass@6",
        "domain:oars",
        "all wrong",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }

    // The same again, whatever the number of threads; and eval-sql finds the same.
    let again = path("again.jsonl");
    let flags = ["--out", &again, "--seed", "3", "--json"];
    let printed: Value = serde_json::from_str(&ok(&refs(&headroom(dir.path(), &flags)))).unwrap();
    assert_eq!(printed["overall"], *overall);
    assert!(fs::read(&again).unwrap() == fs::read(&out).unwrap());
    let one = std::process::Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(headroom(dir.path(), &["--out", &again, "--seed", "3"]))
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert!(one.status.success());
    assert!(fs::read(&again).unwrap() == fs::read(&out).unwrap());
    let with_gold: String = rows
        .iter()
        .map(|row| {
            let mut row = row.clone();
            row["gold_sql"] = row["completion"].clone();
            row.to_string() + "\n"
        })
        .collect();
    fs::write(&again, with_gold).unwrap();
    let scored = ok(&["eval-sql", &again, "--db-dir", &path(""), "--samples"]);
    let line = format!("pass@6={any:.3} mean={mean:.3}");
    assert!(scored.contains(&line), "{line} is not in {scored}");
    let line = format!("execution_accuracy={:.3}", greedy as f64 / 12.0);
    assert!(scored.contains(&line), "{line} is not in {scored}");
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    // Two rows a part, and many of them.
    let dir = taught(30);
    let path = |name: &str| text(&dir.path().join(name));
    let run = |out: &str, more: &[&str]| {
        let (rows, summary) = (path(&format!("{out}.jsonl")), path(&format!("{out}.json")));
        let flags = ["--batch", "1", "--out", &rows, "--summary-out", &summary];
        headroom(dir.path(), &[&flags, more].concat())
    };
    let now = ["--now", "2026-01-02T03:04:05Z"];
    ok(&refs(&run("whole", &now)));
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(run("killed", &now))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let kept = dir.path().join("killed.jsonl.partial");
    let parts = || fs::read_to_string(&kept).map_or(0, |text| text.lines().count());
    while parts() < 4 {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    fails(
        &refs(&run("killed", &now)),
        1,
        &["killed.jsonl.partial", "--resume"],
    );
    fails(
        &refs(&run("killed", &["--resume", "--seed", "9"])),
        1,
        &["of a run with other inputs or flags (--seed)"],
    );
    // The time of day is that of the run that is gone on with.
    ok(&refs(&run("killed", &["--resume"])));
    for ending in ["jsonl", "json"] {
        let [whole, killed] =
            ["whole", "killed"].map(|run| fs::read(path(&format!("{run}.{ending}"))).unwrap());
        assert!(whole == killed, "{ending}");
    }
    assert!(!kept.exists());
    let alone = headroom(dir.path(), &["--resume"]);
    fails(&refs(&alone), 2, &["required arguments"]);
    let (rows, adapter) = (path("rows.jsonl"), path("adapter"));
    let linked = [
        "headroom",
        "--data",
        &rows,
        "--lora",
        &adapter,
        "--follow-links",
    ];
    let linked = [&linked[..], &["--connection", "shop"]].concat();
    fails(&linked, 2, &["--follow-links", "cannot be used with"]);
}

#[test]
fn what_cannot_be_drawn_or_judged_is_refused() {
    let dir = taught(1);
    let path = |name: &str| text(&dir.path().join(name));
    let of = |more: &[&str]| headroom(dir.path(), more);
    fails(
        &refs(&of(&["--temperature", "0"])),
        2,
        &["--samples 6", "--temperature"],
    );
    let (rows, adapter) = (path("rows.jsonl"), path("adapter"));
    let nowhere = ["headroom", "--data", &rows, "--lora", &adapter];
    fails(&nowhere, 2, &["--db-dir or --connection"]);
    fails(
        &refs(&of(&["--out", &rows])),
        2,
        &["rows.jsonl is named twice"],
    );
    let more = "{\"id\":\"x\",\"prompt\":\"a\",\"gold_sql\":\"SELECT nope FROM boats\",\"db\":\"boats\"}\n";
    let good = fs::read_to_string(&rows).unwrap();
    fs::write(&rows, good.clone() + more).unwrap();
    fails(
        &refs(&of(&[])),
        1,
        &["row x", "no such column: nope", "--keep-going"],
    );
    let said = ok(&refs(&of(&["--keep-going"])));
    assert!(said.contains("headroom: 3 rows"), "{said}");
    fs::write(&rows, good + "{\"prompt\":\"a\",\"db\":\"boats\"}\n").unwrap();
    fails(&refs(&of(&[])), 1, &["rows.jsonl:4: no reference"]);
    // The base alone has headroom too.
    fs::write(&rows, more.replace("nope", "name")).unwrap();
    let (base, db) = (tiny(), path(""));
    let said = ok(&[
        "headroom",
        "--data",
        &rows,
        "--base",
        &base,
        "--db-dir",
        &db,
        "--device",
        "cpu",
        "--samples",
        "2",
        "--max-tokens",
        "8",
    ]);
    assert!(said.contains("nothing to gain from here"), "{said}");
}
