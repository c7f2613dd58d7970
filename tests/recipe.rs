//! `factory run`: what runs, what is kept, what is told of it.

mod common;
#[path = "common/place.rs"]
mod place;

use common::{golden, tiny};
use place::{Place, RECIPE, began, errors};
use std::fs;
use std::path::Path;
use std::process::Command;

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

const ALL: [&str; 7] = [
    "answers",
    "base-answers",
    "base-scored",
    "compared",
    "scored",
    "shown",
    "train",
];

#[test]
fn what_is_done_is_kept_and_what_changed_runs_again_with_what_is_behind_it() {
    let place = Place::new(RECIPE);
    assert_eq!(place.ran(&[]), ALL);
    let done = json(&place.stage("runs", "scored").join("stage.json"));
    assert_eq!(done["stage"], "scored");
    assert_eq!(done["command"][1], "eval-sql");
    assert_eq!(done["inputs"].as_array().unwrap().len(), 2);
    for output in [
        "main",
        "summary_out",
        "slices_out",
        "labels_out",
        "review_out",
        "prefs_out",
    ] {
        let path = done["outputs"][output].as_str().unwrap();
        assert!(place.path(path).is_file(), "{output}: {path}");
    }
    let shown = fs::read_to_string(place.stage("runs", "shown").join("inspect.txt")).unwrap();
    assert!(shown.contains("rank 8"), "{shown}");
    assert_eq!(place.ran(&[]), [""; 0]);

    // An input, and back; another spelling of the same path.
    let before = fs::read_to_string(place.path("train.jsonl")).unwrap();
    place.write("train.jsonl", &before.replace("ticket 3", "ticket three"));
    assert_eq!(
        place.ran(&[]),
        ["answers", "compared", "scored", "shown", "train"]
    );
    place.write("train.jsonl", &before);
    assert_eq!(place.ran(&[]), [""; 0]);
    let spelled = RECIPE.replace("\"train.jsonl\"", "\"./db/../train.jsonl\"");
    place.write("r.toml", &spelled.replace("stages.shown", "stages.renamed"));
    assert_eq!(place.ran(&[]), [""; 0]);
    place.write("r.toml", RECIPE);
    place.write("db/desk.sql", "CREATE TABLE tickets (id INTEGER, at TEXT);");
    assert_eq!(place.ran(&[]), ["base-scored", "compared", "scored"]);

    // A flag, a variable, an output that is gone.
    place.write(
        "r.toml",
        &RECIPE.replacen("max-tokens = 8", "max-tokens = 9", 1),
    );
    assert_eq!(place.ran(&[]), ["answers", "compared", "scored"]);
    place.write("r.toml", RECIPE);
    assert_eq!(
        place.ran(&["--set", "steps=7", "--only", "answers"]),
        ["answers", "train"]
    );
    assert_eq!(
        place.ran(&["--from", "answers"]),
        ["answers", "compared", "scored"]
    );
    assert_eq!(place.ran(&[]), [""; 0]);
    fs::remove_file(
        place
            .stage("runs", "base-answers")
            .join("predictions.jsonl"),
    )
    .unwrap();
    assert_eq!(place.ran(&[]), ["base-answers"]);
}

#[test]
fn stages_at_once_and_one_after_the_other_leave_the_same() {
    let place = Place::new(RECIPE);
    assert_eq!(place.ran(&["--jobs", "2", "--runs", "two"]), ALL);
    assert_eq!(
        place.ran(&["--only", "base-scored", "--runs", "one"]),
        ["base-answers", "base-scored"]
    );
    assert_eq!(place.ran(&["--runs", "one"]).len(), 5);
    for (stage, file) in [
        ("train", "adapter/adapter_model.safetensors"),
        ("answers", "predictions.jsonl"),
        ("base-answers", "predictions.jsonl"),
        ("shown", "inspect.txt"),
    ] {
        let [one, two] = ["one", "two"].map(|runs| {
            let content = fs::read(place.stage(runs, stage).join(file)).unwrap();
            String::from_utf8_lossy(&content).replace(&format!("{runs}/"), "")
        });
        assert!(one == two, "{stage}");
    }
}

#[test]
fn a_plan_is_shown_and_nothing_runs() {
    let place = Place::new(RECIPE);
    let output = place.run(&["--dry-run"]);
    assert!(output.status.success(), "{}", errors(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    let line = |stage: &str| {
        let mut lines = table
            .lines()
            .filter(|line| line.starts_with(&format!("{stage} ")));
        lines.next().unwrap_or_else(|| panic!("{table}")).to_owned()
    };
    let train = line("train");
    assert!(
        train.contains("to run: new") && train.contains("(sft --dry-run)"),
        "{train}"
    );
    assert!(
        train.contains("factory sft --data train.jsonl --base"),
        "{train}"
    );
    assert!(line("answers").contains("unknown"));
    assert!(!place.path("runs").exists());

    place.ran(&[]);
    place.write(
        "dev.jsonl",
        "{\"prompt\":\"x\",\"gold_sql\":\"select 1\",\"db\":\"desk\"}\n",
    );
    let table = String::from_utf8(place.run(&["--dry-run"]).stdout).unwrap();
    let line = |stage: &str| {
        let mut lines = table
            .lines()
            .filter(|line| line.starts_with(&format!("{stage} ")));
        lines.next().unwrap_or_else(|| panic!("{table}")).to_owned()
    };
    assert!(line("train").contains(" done "), "{table}");
    let answers = line("answers");
    assert!(
        answers.contains("dev.jsonl changed") && answers.contains("(last time)"),
        "{answers}"
    );
    assert!(line("scored").contains("behind answers"), "{table}");
}

#[test]
fn a_matrix_makes_a_stage_for_each_combination_that_it_depends_on() {
    let recipe = RECIPE.replace("device", "seed = \"{seed}\"\ndevice");
    // The base's answers depend on a seed alone, training on both.
    let recipe = recipe.replacen("seed = ", "rank = \"{rank}\"\nseed = ", 1)
        + "[matrix]\nrank = [1, 2]\nseed = [0, 1]\n";
    let place = Place::new(&recipe);
    let ran = place.ran(&[]);
    let of = |stage: &str| {
        ran.iter()
            .filter(|name| name.starts_with(&format!("{stage}[")))
            .count()
    };
    assert_eq!(
        (
            of("train"),
            of("answers"),
            of("base-answers"),
            of("compared")
        ),
        (4, 4, 2, 4),
        "{ran:?}"
    );
    assert!(ran.contains(&"train[rank=2,seed=1]".to_owned()), "{ran:?}");
    let config = json(
        &place
            .stage("runs", "train-rank-2-seed-1")
            .join("adapter/adapter_config.json"),
    );
    assert_eq!(config["r"], 2);
    // One value of a variable; a stage of one combination.
    assert_eq!(place.ran(&["--set", "rank=2"]), [""; 0]);
    assert_eq!(
        place.ran(&["--from", "scored[rank=1,seed=0]"]),
        ["compared[rank=1,seed=0]", "scored[rank=1,seed=0]"]
    );
    let other = place.ran(&["--set", "rank=3", "--set", "seed=0", "--only", "train"]);
    assert_eq!(other, ["train[rank=3,seed=0]"]);
}

#[test]
fn paths_and_settings_may_hold_names_variables_and_stages() {
    let place = Place::new(&format!(
        r#"
name = "made"
[vars]
where = {{ help = "folder of adapters" }}
[stages.routes]
command = "route fit"
adapter = {{ one = "train.jsonl", two = "{{more}}/two.jsonl" }}
[stages.more]
command = "data synth"
spec = "spec/set.toml"
[stages.two]
command = "generate"
base = "{base}"
lora = ["a={{where}}/tiny-llama-lora", "b={{where}}/tiny-llama-dora"]
lora_weight = [0.5, -0.25]
data = "dev.jsonl"
max_tokens = 4
device = "cpu"
after = ["more"]
"#,
        base = tiny()
    ));
    let line = place.fails(2, &["--set", "where=nowhere"]);
    for part in [
        "r.toml:7: adapter",
        "--set base: the recipe has no such variable",
        "lora: nowhere/tiny-llama-lora is not there",
        "r.toml:10: spec: spec/set.toml is not there",
    ] {
        let adapters = part == "r.toml:7: adapter";
        assert!(line.contains(part) != adapters, "{part:?} in {line}");
    }
    let recipe = fs::read_to_string(place.path("r.toml")).unwrap();
    let from = recipe.find("[stages.routes]").unwrap();
    let to = recipe.find("[stages.two]").unwrap();
    let recipe = recipe
        .replace(&recipe[from..to], "")
        .replace("after = [\"more\"]\n", "");
    place.write("r.toml", &recipe.replace("where", "base"));
    // As a path on the command line, relative to where the command is given.
    let folder = golden("");
    let link = place.path("linked");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    fs::create_dir(place.path("sub")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(place.path("sub"))
        .args(["run", "../r.toml", "--set", "base=../linked"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        link.display(),
        errors(&output)
    );
    let said = errors(&output).replace('\'', "");
    let line = "--lora a=../linked/tiny-llama-lora --lora-weight 0.5 --lora b=../linked/tiny-llama-dora --lora-weight=-0.25 --data ../dev.jsonl";
    assert!(said.contains(line), "{said}");
}

#[test]
fn a_stage_that_fails_is_told_with_its_log_and_others_finish() {
    let place = Place::new(RECIPE);
    place.write("train.jsonl", "{\"instruction\":\"x\",\"response\":3}\n");
    let output = place.run(&[]);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap();
    for part in [
        "stage train failed: exit code 1: train.jsonl:1: ",
        "/log)",
        "not run for it: answers, scored, compared, shown",
    ] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    assert_eq!(began(&output), ["base-answers", "base-scored", "train"]);
    assert!(!place.stage("runs", "train").join("stage.json").exists());
    let log = fs::read_to_string(place.stage("runs", "train").join("log")).unwrap();
    assert!(log.starts_with("$ factory sft --data train.jsonl"), "{log}");
    // It is begun anew, and the others are kept.
    assert_eq!(began(&place.run(&[])), ["train"]);
}

#[test]
fn a_gate_that_is_red_is_a_result() {
    let recipe = "[stages.judged]\ncommand = \"gate\"\ncandidate = \"{scored}\"\nmin = 1\n";
    let place = Place::new(&(RECIPE.to_owned() + recipe));
    assert_eq!(
        place.ran(&["--only", "judged"]),
        ["answers", "judged", "scored", "train"]
    );
    let verdicts = json(&place.stage("runs", "judged").join("verdicts.json"));
    assert!(
        verdicts.to_string().contains("\"passed\":false"),
        "{verdicts}"
    );
    assert_eq!(place.ran(&["--only", "judged"]), [""; 0]);
}

#[test]
fn what_cannot_go_on_begins_anew() {
    let place = Place::new(RECIPE);
    place.ran(&["--only", "answers"]);
    let folder = place.stage("runs", "answers");
    let before = fs::read(folder.join("predictions.jsonl")).unwrap();
    fs::remove_file(folder.join("stage.json")).unwrap();
    fs::rename(folder.join("predictions.jsonl"), folder.join("old")).unwrap();
    fs::write(
        folder.join("predictions.jsonl.partial"),
        "{\"--seed\":1}\n[0,1]\n",
    )
    .unwrap();
    let output = place.run(&["--only", "answers"]);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(
        errors(&output).contains("answers: goes on: "),
        "{}",
        errors(&output)
    );
    assert!(fs::read(folder.join("predictions.jsonl")).unwrap() == before);
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, [".lock", "log", "predictions.jsonl", "stage.json"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_leaves_no_stage_half_done() {
    let place = Place::new(RECIPE);
    // No file may become as large as an adapter.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$@\"";
    let run = place.command(&["--only", "train"]);
    let full = Command::new("bash")
        .current_dir(place.0.path())
        .args(["-c", script, "bash"])
        .arg(run.get_program())
        .args(run.get_args())
        .output()
        .unwrap();
    let said = errors(&full);
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: stage train failed") && said.contains("cannot write"),
        "{said}"
    );
    let folder = place.stage("runs", "train");
    assert!(!folder.join("stage.json").exists() && !folder.join("adapter").exists());
    assert_eq!(place.ran(&["--only", "train"]), ["train"]);
}

#[test]
fn a_plan_is_json_for_programs() {
    let place = Place::new(RECIPE);
    let plan = |place: &Place| -> serde_json::Value {
        let output = place.run(&["--plan"]);
        assert!(output.status.success(), "{}", errors(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let before = plan(&place);
    let stages = before["stages"].as_array().unwrap();
    let named = |name: &str| stages.iter().find(|stage| stage["name"] == name).unwrap();
    assert_eq!(named("answers")["needs"], serde_json::json!(["train"]));
    assert_eq!(named("train")["state"], "to run");
    assert!(named("train")["seconds"].is_number());
    assert!(named("train")["memory_mb"].as_f64().unwrap() > 0.0);
    assert_eq!(before["runs"], serde_json::json!(["first"]));
    assert!(!place.path("runs").exists());

    // Stage by stage, as a program would, then all of it: nothing is left to do.
    for stage in stages {
        let name = stage["name"].as_str().unwrap();
        assert!(place.run(&["--only", name]).status.success());
    }
    let after = plan(&place);
    assert!(
        after["stages"]
            .as_array()
            .unwrap()
            .iter()
            .all(|stage| stage["state"] == "done")
    );
    assert_eq!(began(&place.run(&[])), [""; 0]);
}
