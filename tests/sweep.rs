//! Black-box tests of `factory sweep`: two specialists, each right on rows of its own kind, mixtures and routing between them.

mod common;

use common::{answers, factory, fails, golden, ok, refs, text, tiny};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use tempfile::TempDir;

const GATES: &str = r#"
[[gate]]
name = "a"
data = "rows.jsonl"
where = { source = "a" }
mode = "public-exact"
min = 0.9

[[gate]]
name = "b"
data = "rows.jsonl"
where = { source = "b" }
mode = "public-exact"
metric = "exact_match"
min = 0.9
"#;

/// The specialists are tiny adapters; what is right on a row is what its specialist answers.
fn workplace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut rows = Vec::new();
    for (source, adapter) in [("a", "tiny-llama-lora"), ("b", "tiny-llama-dora")] {
        let prompts: String = (0..4)
            .map(|i| json!({"prompt": format!("{source} {i}")}).to_string() + "\n")
            .collect();
        fs::write(path("prompts.jsonl"), prompts).unwrap();
        let lora = text(&golden(adapter));
        let answered = answers(&path("prompts.jsonl"), &tiny(), &["--lora", &lora]);
        for (i, line) in answered.lines().enumerate() {
            let row: Value = serde_json::from_str(line).unwrap();
            let (prompt, gold) = (&row["prompt"], &row["predicted_sql"]);
            rows.push(json!({"id": format!("{source}{i}"), "source": source, "prompt": prompt, "gold_sql": gold}));
        }
    }
    rows.swap(1, 6);
    let rows: String = rows.iter().map(|row| row.to_string() + "\n").collect();
    fs::write(path("rows.jsonl"), rows).unwrap();
    fs::write(path("gates.toml"), GATES).unwrap();
    let rules = json!({"kind": "rules", "rules": [
        {"field": "prompt", "matches": "^a", "route": "lora"},
        {"field": "prompt", "matches": "^b", "route": "dora"},
    ]});
    fs::write(path("rules.json"), rules.to_string()).unwrap();
    dir
}

/// The flags of a sweep into `out`.
fn sweep(dir: &TempDir, out: &str, more: &[&str]) -> Vec<String> {
    let path = |name: &str| text(&dir.path().join(name));
    let loras = ["lora", "dora"]
        .map(|kind| format!("{kind}={}", text(&golden(&format!("tiny-llama-{kind}")))));
    let (gates, out, base) = (path("gates.toml"), path(out), tiny());
    let fixed = [
        "sweep",
        "--gates",
        &gates,
        "--out",
        &out,
        "--base",
        &base,
        "--device",
        "cpu",
        "--max-tokens",
        "8",
        "--lora",
        &loras[0],
        "--lora",
        &loras[1],
    ];
    [&fixed[..], more]
        .concat()
        .iter()
        .map(|flag| flag.to_string())
        .collect()
}

/// The answer of each row, by its id.
fn predictions(rows: &str) -> BTreeMap<String, String> {
    let rows = rows
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pairs = rows.map(|row| (row["id"].to_string(), row["predicted_sql"].to_string()));
    pairs.collect()
}

#[test]
fn routing_keeps_both_specialists_and_mixtures_do_not() {
    let dir = workplace();
    let rules = text(&dir.path().join("rules.json"));
    let metrics = text(&dir.path().join("metrics.json"));
    let said = ok(&refs(&sweep(
        &dir,
        "out",
        &["--pairs", "3", "--route", &rules, "--metrics-out", &metrics],
    )));
    let took: Value = serde_json::from_slice(&fs::read(metrics).unwrap()).unwrap();
    assert!(took["prefill"]["tokens"].as_u64() > Some(0) && took["steps"].as_u64() > Some(0));
    let table = fs::read_to_string(dir.path().join("out/table.md")).unwrap();
    assert!(
        said.starts_with(table.split("\n\n").next().unwrap()),
        "{said}"
    );
    let line = |name: &str| {
        let line = table
            .lines()
            .find(|line| line.starts_with(&format!("| {name} |")));
        line.unwrap_or_else(|| panic!("{name}: {table}")).to_owned()
    };
    assert_eq!(
        line("routed"),
        "| routed | 1.000 (4/4) | 1.000 (4/4) | Pareto, passes |"
    );
    assert!(
        line("lora 1 + dora 0").starts_with("| lora 1 + dora 0 | 1.000 (4/4) | 0.000 (0/4) ✗ |"),
        "{table}"
    );
    assert!(
        line("lora 0 + dora 1").contains("| 0.000 (0/4) ✗ | 1.000 (4/4) |"),
        "{table}"
    );
    assert!(line("lora 0.5 + dora 0.5").contains('✗'), "{table}");
    assert!(
        said.contains("best that passes every gate: routed (least margin 0.100)"),
        "{said}"
    );
    // The flags of a point make `generate` answer as it did.
    for (point, folder) in [("lora 0.5 + dora 0.5", "0.5+0.5"), ("routed", "routed")] {
        let line = table.split_once(&format!("\n- {point}: `"));
        let flags = line
            .and_then(|(_, rest)| rest.split('`').next())
            .expect(&table);
        let flags = shlex::split(flags).unwrap();
        let answered = answers(&dir.path().join("rows.jsonl"), &tiny(), &refs(&flags));
        let rows = ["a", "b"].map(|gate| {
            let file = dir.path().join(format!("out/{folder}/{gate}.rows.jsonl"));
            fs::read_to_string(file).unwrap()
        });
        assert_eq!(
            predictions(&answered),
            predictions(&rows.concat()),
            "{point}"
        );
    }
    let found: Value =
        serde_json::from_slice(&fs::read(dir.path().join("out/sweep.json")).unwrap()).unwrap();
    assert_eq!(found["best"], "routed");
    assert_eq!(found["points"][0]["gates"]["a"]["passed"], 4);
    let rows = fs::read_to_string(dir.path().join("out/routed/b.rows.jsonl")).unwrap();
    assert_eq!(rows.lines().count(), 4);
    let plot = fs::read_to_string(dir.path().join("out/plot.svg")).unwrap();
    assert!(
        plot.starts_with("<svg") && plot.contains("b: exact_match"),
        "{plot}"
    );
    // The same sweep again: the same files.
    ok(&refs(&sweep(
        &dir,
        "again",
        &["--pairs", "3", "--route", &rules],
    )));
    for file in ["table.md", "sweep.json", "plot.svg"] {
        let read = |out: &str| fs::read(dir.path().join(out).join(file)).unwrap();
        assert_eq!(read("again"), read("out"), "{file}");
    }
}

#[test]
fn a_proxy_spares_what_it_rules_out() {
    let dir = workplace();
    let flags = [
        "--lora-weights",
        "1,0",
        "--lora-weights",
        "0,0",
        "--lora-weights",
        "0,1",
        "--limit",
        "2",
    ];
    let out = factory(&refs(&sweep(&dir, "out", &flags)));
    // Nothing is good enough, and everything is written.
    assert_eq!(out.status.code(), Some(3));
    assert!(dir.path().join("out/1+0/a.rows.jsonl").exists());
    let (said, notes) = (
        String::from_utf8(out.stdout).unwrap(),
        String::from_utf8(out.stderr).unwrap(),
    );
    assert!(notes.contains("2 of 3 points go on to all rows"), "{notes}");
    assert!(
        said.contains("| lora 0 + dora 0 | 0.000 (0/2) ✗ | 0.000 (0/2) ✗ | proxy only |"),
        "{said}"
    );
    assert!(
        said.contains("| lora 1 + dora 0 | 1.000 (4/4) | 0.000 (0/4) ✗ | Pareto |"),
        "{said}"
    );
    assert!(said.contains("no point passes every gate"), "{said}");
    // Weights may be longer than a folder's name.
    let long = sweep(&dir, "long", &["--lora-weights", "1e-300,1"]);
    assert_eq!(factory(&refs(&long)).status.code(), Some(3));
    assert!(dir.path().join("long/point-1/a.rows.jsonl").exists());
}

#[test]
fn gates_may_be_held_against_the_base_alone() {
    let dir = workplace();
    let path = dir.path().join("gates.toml");
    let file = GATES.replacen("min = 0.9", "margin = 50", 1).replacen(
        "min = 0.9",
        "max_drop = 0\nrole = \"regression\"",
        1,
    );
    fs::write(&path, file).unwrap();
    fails(
        &refs(&sweep(&dir, "out", &["--lora-weights", "1,0"])),
        2,
        &["gate a: margin and max_drop are held against the base alone: add --lora-weights 0,0"],
    );
    let points = [
        "--lora-weights",
        "1,0",
        "--lora-weights",
        "0,0",
        "--limit",
        "1",
    ];
    let said = ok(&refs(&sweep(&dir, "out", &points)));
    for part in [
        "| point | a: exact_match (baseline + 50 points) | b: exact_match (baseline - 0 points) | |",
        "| lora 1 + dora 0 | 1.000 (4/4) | 0.000 (0/4) | Pareto, passes |",
        // It is measured on all rows, though another point beats it.
        "| lora 0 + dora 0 | 0.000 (0/4) ✗ | 0.000 (0/4) |  |",
        "best that passes every gate: lora 1 + dora 0 (least margin 0.000)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let found: Value =
        serde_json::from_slice(&fs::read(dir.path().join("out/sweep.json")).unwrap()).unwrap();
    let gates = json!([
        {"name": "a", "metric": "exact_match", "min": null, "margin": 50.0},
        {"name": "b", "metric": "exact_match", "min": null, "max_drop": 0.0},
    ]);
    assert_eq!(found["gates"], gates);
}

#[test]
fn mistakes_are_named_before_anything_is_written() {
    let dir = workplace();
    let refused = |flags: &[&str], code, parts: &[&str]| {
        fails(&refs(&sweep(&dir, "out", flags)), code, parts);
        assert!(!dir.path().join("out").exists());
    };
    let both = ["--lora-weights", "1,nan", "--lora-weights", "1"];
    refused(
        &both,
        2,
        &["--lora-weights 1,nan: give 2 finite numbers; --lora-weights 1: give 2"],
    );
    refused(
        &["--lora", &text(&golden("tiny-llama-lora"))],
        2,
        &["3 adapters are no pair"],
    );
    let missing = text(&dir.path().join("none.json"));
    refused(&["--route", &missing], 1, &["none.json"]);
    fs::write(
        dir.path().join("gates.toml"),
        GATES
            .replace("\"b\"\ndata", "\"a\"\ndata")
            .replace("0.9", "1.5"),
    )
    .unwrap();
    refused(
        &[],
        1,
        &[
            "gate a: the name is there twice",
            "min is 1.5, expected 0 to 1",
        ],
    );
    for (from, to, part) in [
        (
            "exact_match",
            "accuracy",
            "metric \"accuracy\" is none of exact_match",
        ),
        (
            "public-exact",
            "exact",
            "mode \"exact\" is none of factory, ",
        ),
        (
            "source = \"b\"",
            "source = \"c\"",
            "no row is as `where` wants",
        ),
        ("min = 0.9", "minimum = 0.9", "unknown field `minimum`"),
    ] {
        fs::write(dir.path().join("gates.toml"), GATES.replace(from, to)).unwrap();
        refused(&[], 1, &["gates.toml", part]);
    }
}

#[test]
fn a_row_that_is_too_long_is_named_or_counts_as_wrong() {
    let dir = workplace();
    let path = dir.path().join("rows.jsonl");
    let mut rows = fs::read_to_string(&path).unwrap();
    let long =
        json!({"id": "long", "source": "a", "prompt": "a ".repeat(300), "gold_sql": "select 1"});
    rows += &format!("{long}\n");
    fs::write(&path, rows).unwrap();
    let once = |more: &[&str]| sweep(&dir, "out", &[&["--lora-weights", "1,0"], more].concat());
    fails(
        &refs(&once(&[])),
        1,
        &["rows.jsonl:9: the prompt has 601 tokens", "--on-long skip"],
    );
    let out = factory(&refs(&once(&["--on-long", "skip"])));
    assert_eq!(out.status.code(), Some(3));
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.contains("0.800 (4/5)"), "{said}");
}
