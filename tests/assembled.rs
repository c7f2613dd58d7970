//! What a run folder is made of, from the stages behind it.

#[path = "common/run_folder.rs"]
mod run_folder;

use factory::recipe::assemble::assemble;
use run_folder::{Fixture, json_of, runs};
use serde_json::json;
use std::fs;
use std::path::Path;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_folder_holds_what_its_stages_say() {
    let fixture = Fixture::new();
    let (folder, _) = fixture.run(&fixture.evidence());
    let expected = [
        ".lock",
        "artifact.json",
        "config.json",
        "cost.json",
        "dataset.json",
        "decision.json",
        "eval-baseline.json",
        "eval-candidate.json",
        "eval-validity.json",
        "evidence.json",
        "gates.json",
        "identity.json",
        "metrics.jsonl",
        "provenance.json",
        "recipe.toml",
        "report.md",
        "rows",
        "run-status.json",
        "slice-metrics.json",
        "stages.jsonl",
        "trace_review.md",
        "train.log",
    ];
    assert_eq!(names(&folder), expected);
    let config = json_of(&folder, "config.json");
    assert_eq!(
        config["base_model"],
        json!({"id": "some/base", "revision": null, "precision": "f32"})
    );
    assert_eq!(config["candidate"]["method"], "dora r4 alpha 8");
    assert_eq!(config["candidate"]["adapter_format"], "peft");
    // The baseline's 1 of 6 and 10 points are less.
    assert_eq!(
        config["eval"]["threshold"],
        json!({"primary_min": 0.5, "breadth_drop_max_pp": 0.0})
    );
    assert_eq!(config["eval"]["regression_slice"], "gate:second");
    let dataset = json_of(&folder, "dataset.json");
    assert_eq!(
        dataset["counts"],
        json!({"train_rows": 9, "heldout_rows": 6, "dropped_rows": 2})
    );
    assert_eq!(dataset["sources"][0]["kind"], "train");
    let [baseline, candidate] =
        ["eval-baseline.json", "eval-candidate.json"].map(|name| json_of(&folder, name));
    assert_eq!(
        (&candidate["n"], &candidate["passed"]),
        (&json!(6), &json!(true))
    );
    assert_eq!(candidate["score"].as_f64().unwrap(), 5.0 / 6.0);
    assert_eq!(baseline["score"].as_f64().unwrap(), 1.0 / 6.0);
    assert_eq!(
        (&candidate["latency_ms"], &candidate["tokens_per_second"]),
        (&json!(250.0), &json!(40.0))
    );
    assert!(
        candidate["command"]
            .as_str()
            .unwrap()
            .contains("generate --data")
    );
    assert_eq!(candidate["model_id"], "some/base + dora r4 alpha 8");
    assert_eq!(baseline["model_id"], "some/base");
    let slices = json_of(&folder, "slice-metrics.json");
    assert_eq!(slices["overall"]["execution_accuracy"], 0.8333);
    assert_eq!(
        slices["slices"]["gate:second"],
        json!({"rows": 3, "execution_accuracy": 0.6667, "exact_match": 0.6667, "spider_ts_execution_accuracy": 0.6667})
    );
    let gates = json_of(&folder, "gates.json");
    assert_eq!(
        (&gates[1]["n"], &gates[1]["paired"]["gained"]),
        (&json!(3), &json!(2))
    );
    let provenance = json_of(&folder, "provenance.json");
    assert_eq!(
        provenance["commands"]["training"],
        config["candidate"]["training_command"]
    );
    assert_eq!(provenance["renderer_command"], "factory run vases.toml");
    assert_eq!(provenance["datasets"].as_array().unwrap().len(), 6);
    let artifact = json_of(&folder, "artifact.json");
    assert_eq!(
        (&artifact["kind"], &artifact["shipped"]),
        (&json!("adapter"), &json!(true))
    );
    assert_eq!(json_of(&folder, "cost.json")["eval_time_seconds"], 10.0);
    let validity = json_of(&folder, "eval-validity.json");
    assert_eq!(validity["overlap_check"]["result"], "no-overlap");
    assert!(
        validity["known_limitations"][0]
            .as_str()
            .unwrap()
            .starts_with("gate own: 6 rows are few")
    );
    let status = json_of(&folder, "run-status.json");
    assert_eq!(
        (&status["phase"], &status["revision"]),
        (&json!("decided"), &json!(10))
    );
    let review = fs::read_to_string(folder.join("trace_review.md")).unwrap();
    assert!(review.starts_with("# Trace review of "), "{review}");
    assert!(
        review.contains("# Failed rows of gate second\n\n1 of 3 rows failed."),
        "{review}"
    );
    assert_eq!(
        fs::read_to_string(folder.join("rows/second.baseline.jsonl"))
            .unwrap()
            .lines()
            .count(),
        3
    );
}

#[test]
fn a_route_says_how_it_is_served_and_what_its_adapters_learned_from() {
    let fixture = Fixture::new();
    let mut evidence = fixture.evidence();
    let train = fixture.text("train.jsonl");
    fs::create_dir_all(fixture.path("stages/router")).unwrap();
    fs::write(fixture.path("stages/router/router.json"), "{}").unwrap();
    let mut router = fixture.trained();
    router.stage = "router".to_owned();
    router.key = "key-router".to_owned();
    let command = [
        "factory",
        "route",
        "fit",
        "--adapter",
        &format!("vases={train}"),
        "--out",
        "router.json",
    ];
    router.command = command.map(str::to_owned).to_vec();
    router.outputs = [("main".to_owned(), fixture.path("stages/router/router.json"))].into();
    evidence.training = None;
    evidence.artifact = Some(router);
    evidence.behind = vec![fixture.trained()];
    for gate in &mut evidence.gates {
        let serving = [
            "--route",
            "router.json",
            "--lora",
            "vases=adapter",
            "--default-route=vases",
        ];
        let answers = gate.answers.as_mut().unwrap();
        answers.command.extend(serving.map(str::to_owned));
    }
    let (folder, _) = fixture.run(&evidence);
    let artifact = json_of(&folder, "artifact.json");
    assert_eq!(
        (&artifact["kind"], &artifact["format"]),
        (&json!("router"), &json!("router"))
    );
    assert_eq!(
        artifact["routing_constraint"],
        "--lora vases=adapter --route router.json --default-route vases"
    );
    assert_eq!(artifact["package_dir"], fixture.text("stages/router"));
    let config = json_of(&folder, "config.json");
    assert_eq!(
        (&config["base_model"]["id"], &config["candidate"]["method"]),
        (&json!("some/base"), &json!("route fit"))
    );
    assert_eq!(json_of(&folder, "dataset.json")["counts"]["train_rows"], 9);
    assert_eq!(json_of(&folder, "cost.json")["training_time_seconds"], 5.0);
    let stages = fs::read_to_string(folder.join("stages.jsonl")).unwrap();
    assert_eq!(stages.lines().count(), 6, "{stages}");
    let (code, said, _) = runs(&fixture, &["publish-check", folder.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn assembling_again_gives_the_same_bytes() {
    let fixture = Fixture::new();
    let evidence = fixture.evidence();
    let (folder, _) = fixture.run(&evidence);
    let files = || -> Vec<(String, Vec<u8>)> {
        let named = |name: String| (name.clone(), fs::read(folder.join(&name)).unwrap());
        names(&folder)
            .into_iter()
            .filter(|name| name != "rows" && name != "artifact.json")
            .map(named)
            .collect()
    };
    let before = files();
    assemble(&evidence, &folder).unwrap();
    assert_eq!(files(), before);
}

#[test]
fn rows_in_both_sets_are_refused_unless_allowed() {
    let fixture = Fixture::new();
    let row = json!({"prompt": "Table vases(name, colour, height)\nHow many vases are  there at all?", "completion": "SELECT 1"});
    fixture.write("train.jsonl", std::iter::once(row));
    let mut evidence = fixture.evidence();
    let live = fixture.begin(&evidence);
    let error = assemble(&evidence, live.folder()).unwrap_err().to_string();
    let named = format!(
        "1 held-out rows have the prompt of a training row: {}:1 and {}:2",
        fixture.text("train.jsonl"),
        fixture.text("dev.jsonl")
    );
    assert!(error.starts_with(&named), "{error}");
    assert_eq!(
        names(live.folder()),
        [".lock", "identity.json", "run-status.json"],
        "nothing is half-written"
    );
    evidence.allow_overlap = true;
    assemble(&evidence, live.folder()).unwrap();
    let check = json_of(live.folder(), "eval-validity.json")["overlap_check"].clone();
    assert_eq!(check["result"], "overlap-detected");
    assert_eq!(
        check["note"],
        "1 of 6 held-out rows have the prompt of a training row, 0 of these its answer too"
    );
}

#[test]
fn a_file_that_changed_behind_its_stage_is_refused() {
    let fixture = Fixture::new();
    let evidence = fixture.evidence();
    fixture.write(
        "train.jsonl",
        std::iter::once(json!({"prompt": "a", "completion": "b"})),
    );
    let live = fixture.begin(&evidence);
    let error = assemble(&evidence, live.folder()).unwrap_err().to_string();
    assert!(
        error.contains("train.jsonl has changed since stage train read it"),
        "{error}"
    );
}
