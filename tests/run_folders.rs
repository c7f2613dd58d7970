//! What `factory run` makes of a recipe's runs: folders that are decided, checked, gone on with and followed.

mod common;
#[path = "common/place.rs"]
mod place;

use place::{Place, RECIPE, began, errors};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        .unwrap()
}

/// The run folders, oldest first.
fn runs(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path("runs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut runs: Vec<PathBuf> = paths
        .filter(|path| path.join("run-status.json").exists())
        .collect();
    runs.sort();
    runs
}

fn publish_check(place: &Place, run: &std::path::Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(place.0.path())
        .args(["runs", "publish-check"])
        .arg(run)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_recipe_ends_with_a_run_that_is_decided_and_sound() {
    let place = Place::new(RECIPE);
    let output = place.run(&[]);
    assert!(output.status.success(), "{}", errors(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("run first: ship: all execution_accuracy="),
        "{said}"
    );
    let [run] = &runs(&place)[..] else { panic!() };
    let status = json(run.join("run-status.json"));
    assert_eq!(status["phase"], "decided");
    let html = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(html.contains("ticket 3") && html.len() < 2_000_000);
    let report = fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains("Next Action"), "{report}");
    let labels = fs::read_to_string(run.join("next/labels.jsonl")).unwrap();
    assert!(labels.lines().count() > 0);
    assert_eq!(
        publish_check(&place, run),
        (Some(0), publish_check(&place, run).1)
    );

    // Nothing changed: nothing runs, and the run stands.
    let before = fs::read(run.join("decision.json")).unwrap();
    let again = place.run(&[]);
    assert_eq!(began(&again), [""; 0]);
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(said.contains("(decided before)"), "{said}");
    assert_eq!(runs(&place).len(), 1);
    assert_eq!(fs::read(run.join("decision.json")).unwrap(), before);

    // Another setting is another run, which follows this one.
    assert!(place.run(&["--set", "steps=5"]).status.success());
    let [first, second] = &runs(&place)[..] else {
        panic!()
    };
    let status = json(second.join("run-status.json"));
    let id = first.file_name().unwrap().to_str().unwrap();
    assert_eq!(status["parent_run_id"], id);
    assert_eq!(
        json(second.join("config.json"))["target"],
        "tickets, 5 steps"
    );
}

#[test]
fn a_run_of_another_recipe_may_follow() {
    let place = Place::new(RECIPE);
    assert!(place.run(&[]).status.success());
    let [first] = &runs(&place)[..] else { panic!() };
    let id = first.file_name().unwrap().to_str().unwrap().to_owned();
    let recipe = RECIPE.replace("[runs.first]", &format!("[runs.later]\nfollows = \"{id}\""));
    place.write(
        "r.toml",
        &recipe.replace("runs.first.gates", "runs.later.gates"),
    );
    assert!(place.run(&[]).status.success());
    let [first, later] = &runs(&place)[..] else {
        panic!()
    };
    let status = json(later.join("run-status.json"));
    assert_eq!(status["parent_run_id"], id.as_str());
    let status = json(first.join("run-status.json"));
    assert_eq!(
        status["successor_run_id"],
        later.file_name().unwrap().to_str().unwrap()
    );
}

#[test]
fn a_red_gate_is_exit_code_3_and_a_decision_against_shipping() {
    let place = Place::new(&RECIPE.replace("max_drop = 3", "margin = 3"));
    let red = || {
        let output = place.run(&[]);
        assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
        errors(&output)
    };
    assert!(red().contains("the run does not pass its gates"));
    let [run] = &runs(&place)[..] else { panic!() };
    let decision = json(run.join("decision.json"));
    assert_ne!(decision["decision"], "ship");
    let (code, said) = publish_check(&place, run);
    assert_eq!(code, Some(0), "{said}");
    // It stays so.
    red();
}

#[test]
fn rows_in_training_and_held_out_data_are_named_before_the_first_stage() {
    let direct = RECIPE.replace("allow_overlap = true", "");
    let blended = direct.replace("data = \"train.jsonl\"", "data = \"{rows}\"")
        + "[stages.rows]\ncommand = \"data blend\"\nsource = [\"train.jsonl\"]\n";
    for recipe in [direct, blended] {
        let place = Place::new(&recipe);
        let error = place.fails(1, &[]);
        for part in [
            "run first: 6 held-out rows",
            "train.jsonl:1 and dev.jsonl:1",
            "allow_overlap",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!place.path("runs/stages").exists() && runs_of(&place).is_empty());
    }
}

fn runs_of(place: &Place) -> Vec<PathBuf> {
    match place.path("runs").exists() {
        true => runs(place),
        false => Vec::new(),
    }
}

#[test]
fn a_run_whose_stage_fails_is_failed_and_followed_by_another() {
    let place = Place::new(RECIPE);
    let sound = fs::read_to_string(place.path("dev.jsonl")).unwrap();
    place.write("dev.jsonl", &sound.replace("select 4;", "select nothing;"));
    let error = place.fails(1, &[]);
    assert!(error.contains("stage base-scored failed"), "{error}");
    let [failed] = &runs(&place)[..] else {
        panic!()
    };
    let status = json(failed.join("run-status.json"));
    assert_eq!(status["phase"], "failed");
    let summary = status["failure"]["summary"].as_str().unwrap();
    assert!(!summary.contains("nothing"), "no text of a row: {summary}");

    place.write("dev.jsonl", &sound);
    assert!(place.run(&[]).status.success());
    let [failed, run] = &runs(&place)[..] else {
        panic!()
    };
    let status = json(run.join("run-status.json"));
    assert_eq!(status["phase"], "decided");
    assert_eq!(
        status["parent_run_id"],
        failed.file_name().unwrap().to_str().unwrap()
    );
}

#[test]
fn a_matrix_and_what_others_report_are_one_page() {
    let recipe = RECIPE.replacen(
        "steps = \"{steps}\"",
        "steps = \"{steps}\"\nseed = \"{seed}\"\nrank = \"{rank}\"",
        1,
    ) + "[stages.geometry]\ncommand = \"adapter inspect\"\nadapter = \"{train}\"\ngeometry = true\njson = true\n"
        + "[matrix]\nrank = [1, 2]\nseed = [0, 1]\n"
        + "[reference.\"somebody else\"]\n\"first[rank=1,seed=0]\" = { all = 0.25 }\n";
    let place = Place::new(&recipe);
    let output = place.run(&[]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(runs(&place).len(), 4);
    let text = fs::read_to_string(place.path("runs/tickets.md")).unwrap();
    for part in [
        "somebody else",
        "0.250 all",
        "| 2 | 0.000 ± 0.000",
        "stable rank",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(place.path("runs/tickets.html").exists());

    let wrong = recipe.replace("{ all = 0.25 }", "0.25");
    place.write("r.toml", &wrong);
    let error = place.fails(2, &[]);
    assert!(error.contains("reference"), "{error}");
}

#[test]
fn a_run_that_is_left_out_of_is_not_begun() {
    let place = Place::new(RECIPE);
    assert_eq!(place.ran(&["--only", "train"]), ["train"]);
    assert!(runs(&place).is_empty());
}

#[test]
fn what_a_run_cannot_rest_on_is_named_before_the_first_stage() {
    let place = Place::new(RECIPE);
    let dev = fs::read_to_string(place.path("dev.jsonl")).unwrap();
    place.write("some.jsonl", dev.lines().next().unwrap());
    let other = "data = \"dev.jsonl\"\nmax_tokens";
    for (from, to, fault) in [
        (
            other,
            "data = \"some.jsonl\"\nmax_tokens",
            "both must answer the same rows",
        ),
        (
            other,
            "shard = \"1/2\"\ndata = \"dev.jsonl\"\nmax_tokens",
            "both must answer the same rows",
        ),
        (
            "predictions = \"{answers}\"",
            "predictions = \"{answers}\"\nshard = \"1/2\"",
            "both must score the same rows",
        ),
        (
            "candidate = \"scored\"",
            "candidate = \"base-scored\"",
            "does not rest on what the run makes",
        ),
        (
            "baseline = \"base-scored\"\nmax_drop = 3",
            "min = 0.0",
            "give a baseline",
        ),
    ] {
        let recipe = RECIPE.replace(from, to);
        assert_ne!(recipe, RECIPE, "{from}");
        place.write("r.toml", &recipe);
        for args in [&["--dry-run"][..], &[]] {
            let error = place.fails(1, args);
            assert!(
                error.contains("run first: gate all: ") && error.contains(fault),
                "{error}"
            );
        }
    }
    // What is scored is looked at, whatever is called held out.
    let apart = RECIPE.replace("allow_overlap = true", "heldout = \"other.jsonl\"");
    place.write(
        "other.jsonl",
        "{\"prompt\":\"apart\",\"gold_sql\":\"select 1\"}\n",
    );
    place.write("r.toml", &apart);
    let error = place.fails(1, &[]);
    assert!(
        error.contains("6 held-out rows have the prompt of a training row"),
        "{error}"
    );
    assert!(!place.path("runs/stages").exists());

    for (from, to, fault) in [
        (
            "[matrix]\nseed = [0]",
            &*format!(
                "[matrix]\nseed = {:?}\nx = {:?}",
                (0..30).collect::<Vec<_>>(),
                (0..30).collect::<Vec<_>>()
            ),
            "[matrix] has 900 combinations",
        ),
        (
            "steps = 6",
            &*(0..40).fold("v0 = \"xx\"\n".to_owned(), |all, i| {
                all + &format!("v{} = \"{{v{i}}}{{v{i}}}\"\n", i + 1)
            }),
            "longer than 65536 bytes",
        ),
        (
            "[matrix]\nseed = [0]",
            "[reference.us]\nfrist = { all = 0.5 }",
            "no run is called frist; did you mean first?",
        ),
        (
            "[matrix]\nseed = [0]",
            "[reference.us]\nfirst = { al = 0.5 }",
            "run first has no gate al; did you mean all?",
        ),
    ] {
        let recipe = format!("{RECIPE}[matrix]\nseed = [0]\n");
        place.write("r.toml", &recipe.replace(from, to));
        let error = place.fails(2, &[]);
        assert!(error.contains(fault), "{fault}: {error}");
    }
}

#[test]
fn what_a_stage_left_is_taken_only_as_it_left_it() {
    let place = Place::new(RECIPE);
    assert!(place.run(&[]).status.success());
    let [run] = &runs(&place)[..] else { panic!() };
    let answers = place.stage("runs", "answers").join("predictions.jsonl");
    let text = fs::read_to_string(&answers).unwrap();
    fs::write(&answers, text.replace("select", "Select")).unwrap();
    let adapter = place
        .stage("runs", "train")
        .join("adapter/adapter_model.safetensors");
    let bytes = fs::read(&adapter).unwrap();
    fs::write(&adapter, &bytes[..bytes.len() - 1]).unwrap();
    let (code, said) = publish_check(&place, run);
    assert_eq!(code, Some(1));
    for stage in ["train", "answers"] {
        assert!(
            said.contains(&format!("is not what stage {stage} left")),
            "{said}"
        );
    }
    // Both are made again, and what they made before is there again.
    assert_eq!(place.ran(&[]), ["answers", "train"]);
    assert_eq!(fs::read(&adapter).unwrap(), bytes);
    // Only the times in the adapter's folder are others.
    let (_, said) = publish_check(&place, run);
    assert!(!said.contains("stage answers left"), "{said}");
}

#[test]
fn a_run_of_a_matrix_has_a_recipe_that_follows_it() {
    let recipe = RECIPE.replacen(
        "steps = \"{steps}\"",
        "steps = \"{steps}\"\nseed = \"{seed}\"",
        1,
    );
    let place = Place::new(&(recipe + "[matrix]\nseed = [0]\n"));
    // Targeted rows are never held-out ones.
    let train = fs::read_to_string(place.path("train.jsonl")).unwrap();
    place.write(
        "train.jsonl",
        &(train + "{\"instruction\":\"sum\",\"response\":\"select 1 + 1\"}\n"),
    );
    assert!(place.run(&[]).status.success());
    let [run] = &runs(&place)[..] else { panic!() };
    let next = fs::read_to_string(run.join("next/next.toml")).unwrap();
    assert!(
        next.contains("name = \"first-seed-0-next\"") && next.contains("max-tokens = 8"),
        "{next}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(place.0.path())
        .arg("run")
        .arg(run.join("next/next.toml"))
        .arg("--dry-run")
        .output()
        .unwrap();
    let said = errors(&output);
    // Its rows are those that were learned: that alone is wrong with it.
    assert!(
        output.status.success() || said.contains("the prompt of a training row"),
        "{said}"
    );
}
