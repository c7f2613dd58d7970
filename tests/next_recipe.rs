//! The recipe that goes on from a run, as `factory run` reads and runs it.

mod common;

use common::{answered_rows, fails, golden, ok, text, tiny, workplace};
use factory::recipe::next::recipe::{Facts, next_recipe};
use serde_json::{Value, json};
use std::fs;

#[test]
fn what_comes_next_is_a_recipe_that_runs() {
    let dir = workplace();
    let (heldout, db_dir) = answered_rows(dir.path());
    let path = |name: &str| text(&dir.path().join(name));
    let one = fs::read_to_string(path("train.jsonl")).unwrap();
    fs::write(path("targeted.jsonl"), one.lines().next().unwrap()).unwrap();
    let gate =
        "name = \"own\"\nmetric = \"execution_accuracy\"\nmode = \"factory\"\nmax_drop = 100";
    let facts = Facts {
        name: "pens".to_owned(),
        run_id: "2026-01-01-pens".to_owned(),
        target: "counts of pens".to_owned(),
        base: tiny(),
        adapter: text(&golden("tiny-llama-lora")),
        training: "train.jsonl".to_owned(),
        targeted: "targeted.jsonl".to_owned(),
        heldout,
        db_dir: Some(db_dir),
        modes: vec!["factory".to_owned()],
        scoring: [("keep-going".to_owned(), json!(true))].into(),
        settings: [
            ("epochs", json!(1)),
            ("rank", json!(4)),
            ("lr", json!(1e-3)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
        answering: [("max-tokens".to_owned(), json!(8))].into(),
        gates: vec![toml::from_str(gate).unwrap()],
    };
    let recipe = path("next.toml");
    // The tests' training rows are those that are asked.
    let next = next_recipe(&facts).unwrap();
    let next = next.replace(
        "training = \"train\"",
        "training = \"train\"\nallow_overlap = true",
    );
    fs::write(&recipe, next).unwrap();
    // Apart from the databases, which lie in the folder of the rows.
    let apart = tempfile::tempdir().unwrap();
    let runs = text(apart.path());
    let words = ["run", &recipe, "--runs", &runs, "--dry-run"];
    fails(
        &words,
        1,
        &["it follows 2026-01-01-pens, which is no run in"],
    );
    let next = fs::read_to_string(&recipe).unwrap();
    let alone = next.replace("follows = \"2026-01-01-pens\"\n", "");
    assert_ne!(alone, next);
    fs::write(&recipe, alone).unwrap();
    let plan = ok(&["run", &recipe, "--runs", &runs, "--dry-run"]);
    for stage in [
        "rows",
        "train",
        "before-answers",
        "before-scored",
        "answers",
        "scored",
    ] {
        assert!(plan.contains(stage), "{stage}: {plan}");
    }
    ok(&["run", &recipe, "--runs", &runs]);
    let stages = fs::read_dir(apart.path().join("stages")).unwrap();
    let folders: Vec<_> = stages.map(|entry| entry.unwrap().path()).collect();
    let of = |stage: &str| {
        let named = |folder: &&std::path::PathBuf| {
            let name = folder.file_name().unwrap().to_str().unwrap();
            name.rsplit_once('-').is_some_and(|(name, _)| name == stage)
        };
        folders
            .iter()
            .find(named)
            .unwrap_or_else(|| panic!("{stage}: {folders:?}"))
    };
    let blend = fs::read_to_string(of("rows").join("rows.jsonl")).unwrap();
    assert_eq!(blend.lines().count(), one.lines().count() + 1);
    let config: Value =
        serde_json::from_slice(&fs::read(of("train").join("adapter/adapter_config.json")).unwrap())
            .unwrap();
    // It goes on from the adapter that it is given, whose rank stays.
    let before: Value = serde_json::from_slice(
        &fs::read(golden("tiny-llama-lora").join("adapter_config.json")).unwrap(),
    )
    .unwrap();
    assert_eq!(config["r"], before["r"]);
    assert!(of("scored").join("rows.jsonl").exists());
}
