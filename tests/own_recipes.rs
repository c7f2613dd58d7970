//! The recipes of `evals/`: each makes a plan without a fault.

mod common;

use common::{ok, text, tiny};
use std::fs;
use std::path::Path;

/// Rows of this project where `ladder-b1.toml` and `answers-b1.toml` look for those of another repository, and for what a script makes of them.
fn look_alike(folder: &Path) {
    let mixed = fs::read_to_string("evals/sql-mixed/mixed.jsonl").unwrap();
    let routed = mixed
        .replace("\"source\": \"sql-expanded\"", "\"route\": \"synthetic\"")
        .replace("\"source\": \"sql-created\"", "\"route\": \"public\"");
    assert_ne!(routed, mixed);
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let only = |route: &str| -> String {
        let route = format!("\"route\": \"{route}\"");
        let lines = routed.lines().filter(|line| line.contains(&route));
        lines.map(|line| format!("{line}\n")).collect()
    };
    let files = [
        ("sql-routed-mixed-v1/synthetic50.jsonl", only("synthetic")),
        (
            "made/train.jsonl",
            read("evals/sql-mixed/created-train.jsonl"),
        ),
        ("made/heldout.jsonl", only("public")),
        ("made/public64.jsonl", only("public")),
        (
            "made/synthetic-asked.jsonl",
            read("evals/sql-expanded/train.jsonl"),
        ),
        ("made/schemas/one.sql", "create table t(a);".to_owned()),
        (
            "sql-poc-expanded/train.jsonl",
            read("evals/sql-expanded/train.jsonl"),
        ),
        (
            "sql-poc-expanded/schemas/company.sql",
            read("evals/sql-expanded/schemas/company.sql"),
        ),
        (
            "sql-public-bmc2-train-v4-joinweighted/train.jsonl",
            read("evals/sql-mixed/created-train.jsonl"),
        ),
        ("sql-routed-mixed-v1/mixed114.jsonl", routed.clone()),
    ];
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

#[test]
fn every_recipe_has_a_plan() {
    let dir = tempfile::tempdir().unwrap();
    look_alike(dir.path());
    let recipes = fs::read_dir("evals")
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let recipes = recipes.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let recipes: Vec<String> = recipes.map(|path| text(&path)).collect();
    assert!(recipes.len() >= 5, "{recipes:?}");
    let db = dir.path().join("one.sqlite");
    let table = "create table t(a); insert into t values (1)";
    let made = rusqlite::Connection::open(&db).unwrap();
    made.execute_batch(table).unwrap();
    let db = format!("db={}", text(&db));
    for recipe in recipes {
        let (base, b1) = (
            format!("base={}", tiny()),
            format!("b1={}", text(dir.path())),
        );
        let runs = text(&dir.path().join("runs"));
        let mut words = vec!["run", &recipe, "--dry-run", "--runs", &runs, "--set", &base];
        if recipe.contains("b1") {
            words.extend(["--set", &b1]);
        }
        let made = format!("made={}", text(&dir.path().join("made")));
        if recipe.contains("answers-b1") {
            words.extend(["--set", &made]);
        }
        if recipe.contains("own-database") {
            words.extend(["--set", &db]);
        }
        let plan = ok(&words);
        assert!(
            plan.contains("run ") && plan.contains("gates "),
            "{recipe}: {plan}"
        );
        assert!(!dir.path().join("runs").exists(), "a plan writes nothing");
    }
}
