//! `factory runs`: the commands that look at a run and decide on it.

#[path = "common/run_folder.rs"]
mod run_folder;

use factory::recipe::identity::Identity;
use factory::recipe::place::{Place, place};
use factory::recipe::status::{Live, Phase};
use run_folder::{Fixture, change, json_of, runs};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

#[test]
fn list_and_show_say_where_runs_are() {
    let fixture = Fixture::new();
    let (code, said, _) = runs(&fixture, &["list"]);
    assert_eq!(
        (code, said.trim()),
        (0, &format!("{} has no runs", fixture.text("runs"))[..])
    );
    let (folder, _) = fixture.run(&fixture.evidence());
    let id = folder.file_name().unwrap().to_str().unwrap();
    let mut other = fixture.evidence();
    other.gates.pop();
    other.training = None;
    other.name = "other".to_owned();
    drop(fixture.begin(&other));
    fs::create_dir_all(fixture.path("runs/newer")).unwrap();
    fs::write(
        fixture.path("runs/newer/run-status.json"),
        "{\"schema_version\":2,\"states\":[]}",
    )
    .unwrap();

    let (code, said, error) = runs(&fixture, &["list"]);
    assert_eq!(code, 0, "{error}");
    let lines: Vec<Vec<&str>> = said
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        ["run", "phase", "decision", "primary", "parent", "age"]
    );
    let line = |id: &str| said.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(
        line(id).contains("decided  ") && line(id).contains("+ own 0.833 [0.436, 0.970] (n=6)"),
        "{said}"
    );
    assert!(said.contains("created (interrupted)"), "{said}");
    assert!(line("newer").contains("unreadable"), "{said}");
    assert!(said.contains("schema_version is 2, and this program reads 1: use the newer factory that wrote the run"), "{said}");
    let (_, json, _) = runs(&fixture, &["list", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let states: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["interrupted", "final", "unreadable"]);

    let (code, page, _) = runs(&fixture, &["show", id]);
    assert_eq!(code, 0);
    for part in [
        "phase      decided since ",
        "candidate  dora r4 alpha 8",
        "data       9 training rows, 6 held out, 2 dropped",
        "gate       own pass: execution_accuracy 0.833 [0.436, 0.970] (n=6)",
        "baseline + 10 points: met",
        "baseline 0.167 [0.030, 0.564] (n=6), +0.667 p=0.1250 gained=4 lost=0",
        "decision   ship: every gate passes: ",
    ] {
        assert!(page.contains(part), "{page:?} lacks {part:?}");
    }
    let (code, _, error) = runs(&fixture, &["show", "nothing"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("nothing is no run folder, nor a run in "),
        "{error}"
    );
}

#[test]
fn formats_are_checked_by_field() {
    let fixture = Fixture::new();
    let (folder, _) = fixture.run(&fixture.evidence());
    let folder_name = folder.to_str().unwrap();
    let (code, said, _) = runs(&fixture, &["validate", folder_name]);
    assert_eq!(code, 0, "{said}");
    fs::write(folder.join("rows/own.baseline.jsonl"), "{\"index\":0}\n").unwrap();
    change(&folder, "cost.json", |cost| {
        cost["training_time_seconds"] = json!("long")
    });
    change(&folder, "decision.json", |decision| {
        decision["decision"] = json!("maybe")
    });
    change(&folder, "config.json", |config| {
        config.as_object_mut().unwrap().remove("target");
    });
    let (code, said, _) = runs(&fixture, &["validate", folder_name]);
    assert_eq!(code, 1);
    for fault in [
        "config.json: missing field `target`",
        "decision.json: unknown variant `maybe`",
        "cost.json: invalid type: string \"long\"",
        "rows/own.baseline.jsonl:1: no row of `eval-sql --out`",
    ] {
        assert!(said.contains(fault), "{said}");
    }
}

#[test]
fn two_runs_are_compared_on_the_rows_that_they_share() {
    let fixture = Fixture::new();
    let (good, _) = fixture.run(&fixture.evidence());
    let mut worse = fixture.evidence();
    worse.name = "worse".to_owned();
    let spec = worse.gates[0].gate.clone();
    worse.gates = vec![fixture.gate(spec, "bad")];
    let (bad, decision) = fixture.run(&worse);
    assert_eq!(decision.decision.to_string(), "retry-eval");
    let (code, said, error) = runs(
        &fixture,
        &["compare", bad.to_str().unwrap(), good.to_str().unwrap()],
    );
    assert_eq!(code, 0, "{error}");
    for part in [
        "gate own\n  a: execution_accuracy 0.167 [0.030, 0.564] (n=6) fail\n  b: execution_accuracy 0.833 [0.436, 0.970] (n=6) pass\n",
        "  difference=+0.667 p=0.1250 gained=4 lost=0 (exact McNemar)\n",
        "gate second\n  a: -\n",
        "no paired test: only one run has the gate",
    ] {
        assert!(said.contains(part), "{said:?} lacks {part:?}");
    }
}

#[test]
fn a_person_may_decide_otherwise_and_it_is_recorded() {
    let fixture = Fixture::new();
    let (folder, proposed) = fixture.run(&fixture.evidence());
    let run = folder.to_str().unwrap();
    let decide = |more: &[&str]| {
        runs(
            &fixture,
            &[
                &[
                    "decide",
                    run,
                    "--decision",
                    "park",
                    "--reason",
                    "too slow to serve",
                ],
                more,
            ]
            .concat(),
        )
    };
    let (code, _, error) = decide(&[]);
    assert_eq!(code, 1);
    assert!(error.contains("say what was learned (--lesson)"), "{error}");
    let (code, said, error) = decide(&["--lesson", "speed is a gate of its own"]);
    assert_eq!(code, 0, "{error}");
    assert!(
        said.ends_with("park by tester: too slow to serve\n"),
        "{said}"
    );
    let decision = json_of(&folder, "decision.json");
    assert_eq!(
        (
            &decision["overruled"]["by"],
            &decision["overruled"]["proposed"]
        ),
        (&json!("tester"), &json!("ship"))
    );
    assert_eq!(decision["overruled"]["proposed_reason"], proposed.reason);
    assert_eq!(decision["failure_reason_confidence"], "inferred");
    assert_eq!(json_of(&folder, "artifact.json")["shipped"], false);
    let status = json_of(&folder, "run-status.json");
    assert_eq!(
        (&status["phase"], &status["revision"]),
        (&json!("decided"), &json!(11))
    );
    assert_eq!(status["last_transition"]["source"], "person");
    let report = fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(report.contains("too slow to serve"), "{report}");
    let (code, said, _) = runs(&fixture, &["publish-check", run]);
    assert_eq!(code, 0, "{said}");
    let (_, page, _) = runs(&fixture, &["show", run]);
    assert!(page.contains("overruled  by tester at "), "{page}");
}

#[test]
fn a_run_that_is_written_is_left_alone() {
    let fixture = Fixture::new();
    let (folder, _) = fixture.run(&fixture.evidence());
    let live = Live::open(&folder).unwrap();
    let run = folder.to_str().unwrap();
    let owner = format!("is being written by process {} on ", std::process::id());
    let decide = [
        "decide",
        run,
        "--decision",
        "park",
        "--reason",
        "r",
        "--lesson",
        "l",
    ];
    for args in [&["publish-check", run][..], &decide] {
        let (code, _, error) = runs(&fixture, args);
        assert_eq!(code, 1);
        assert!(error.contains(&owner), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    drop(live);
}

#[test]
fn interrupted_runs_are_named_and_end_only_when_asked() {
    let fixture = Fixture::new();
    let evidence = fixture.evidence();
    let mut live = fixture.begin(&evidence);
    live.advance(
        Phase::DataReady,
        "factory run",
        Some("factory run vases.toml"),
        None,
    )
    .unwrap();
    let folder = live.folder().to_owned();
    let (_, said, _) = runs(&fixture, &["reconcile", "--fail"]);
    assert!(said.contains("a process works on it"), "{said}");
    drop(live);
    let (code, said, _) = runs(&fixture, &["reconcile"]);
    assert_eq!(code, 0);
    assert!(
        said.contains(
            "interrupted; go on with factory run vases.toml, or end it with factory runs reconcile "
        ),
        "{said}"
    );
    change(&folder, "run-status.json", |status| {
        status["updated_at"] = json!("2020-01-01T00:00:00Z")
    });
    let (_, said, _) = runs(&fixture, &["reconcile", "--fail"]);
    assert!(said.contains("stale; "), "{said}");
    assert_eq!(json_of(&folder, "run-status.json")["phase"], "data-ready");
    let (code, said, _) = runs(
        &fixture,
        &[
            "reconcile",
            folder.to_str().unwrap(),
            "--fail",
            "--reason",
            "the machine is gone",
        ],
    );
    assert_eq!(code, 0);
    assert!(said.ends_with("failed, the machine is gone\n"), "{said}");
    let status = json_of(&folder, "run-status.json");
    assert_eq!(
        (&status["phase"], &status["failure"]["code"]),
        (&json!("failed"), &json!("process-ended"))
    );
    let (_, said, _) = runs(&fixture, &["reconcile"]);
    assert_eq!(said, "no run is open\n");
}

#[test]
fn phases_are_advanced_by_hand_at_a_revision() {
    let fixture = Fixture::new();
    let live = fixture.begin(&fixture.evidence());
    let run = live.folder().to_str().unwrap().to_owned();
    drop(live);
    let advance = |to: &str, revision: &str, more: &[&str]| {
        runs(
            &fixture,
            &[&["advance", &run, "--to", to, "--revision", revision], more].concat(),
        )
    };
    let (code, said, error) = advance("data-ready", "1", &[]);
    assert_eq!(code, 0, "{error}");
    assert!(said.ends_with("data-ready (revision 2)\n"), "{said}");
    for (to, revision, more, code, expected) in [
        ("training", "1", &[][..], 1, "is at revision 2, not 1"),
        (
            "evaluating",
            "2",
            &[],
            1,
            "evaluating follows data-ready only with a reason",
        ),
        (
            "packaged",
            "2",
            &["--reason", "r"],
            1,
            "packaged cannot follow data-ready",
        ),
        ("done", "2", &[], 2, "expected one of created, "),
    ] {
        let (found, _, error) = advance(to, revision, more);
        assert_eq!(found, code, "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let (code, ..) = advance("evaluating", "2", &["--reason", "a base alone"]);
    assert_eq!(code, 0);
    let (code, ..) = advance("failed", "3", &["--reason", "no time"]);
    assert_eq!(code, 0);
}

/// The process that holds a run is killed; the next one goes on.
#[cfg(unix)]
#[test]
fn a_dead_process_holds_no_run() {
    let fixture = Fixture::new();
    let evidence = fixture.evidence();
    let identity = Identity {
        name: evidence.name.clone(),
        keys: [String::from("a")].into(),
    };
    let Place::Begun(live) = place(&identity, &fixture.path("runs"), None, None).unwrap() else {
        panic!("nothing was there");
    };
    let folder = live.folder().to_owned();
    drop(live);
    // Where there is no such program, nothing is shown.
    let mut holder = Command::new("flock")
        .arg("--no-fork")
        .arg(folder.join(".lock"))
        .args(["sleep", "60"])
        .spawn();
    let Ok(holder) = &mut holder else { return };
    let held = || factory::recipe::lock::holder(&folder).unwrap().is_some();
    for _ in 0..200 {
        if held() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(held() && place(&identity, &fixture.path("runs"), None, None).is_err());
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(!held());
    assert!(matches!(
        place(&identity, &fixture.path("runs"), None, None).unwrap(),
        Place::GoOn(_)
    ));
}
