//! Black-box tests of `factory route` and of routed generation.

mod common;

use common::{answers, fails, golden, ok, text, tiny};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

const NAMES: [&str; 6] = ["pens", "rooks", "ships", "roads", "songs", "lamps"];

fn compact(i: usize) -> String {
    let (a, b) = (NAMES[i % 6], NAMES[i / 6 % 6]);
    format!("Schema: {a}(id, cost); {b}(id, size)\nQuestion: How many {a} cost more than {i}?")
}

fn public(i: usize) -> String {
    let (a, b) = (NAMES[i % 6], NAMES[i / 6 % 6]);
    format!("CREATE TABLE {a} (name VARCHAR, {b} INTEGER)\nWhat is the name when {b} is {i}?")
}

/// Training rows of two kinds, the router that was fitted from them, and mixed rows with one of neither kind.
fn workplace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let rows = |of: fn(usize) -> String| -> String {
        (0..60)
            .map(|i| json!({"instruction": of(i), "response": "select 1"}).to_string() + "\n")
            .collect()
    };
    fs::write(dir.path().join("compact.jsonl"), rows(compact)).unwrap();
    fs::write(dir.path().join("public.jsonl"), rows(public)).unwrap();
    let mixed = [
        json!({"id": 0, "prompt": public(70), "label": "public"}),
        json!({"id": 1, "prompt": compact(71), "label": "compact"}),
        json!({"id": 2, "prompt": "How are you today?", "label": "public"}),
        json!({"id": 3, "prompt": public(72), "label": "public"}),
    ];
    fs::write(
        dir.path().join("mixed.jsonl"),
        mixed.map(|row| row.to_string() + "\n").concat(),
    )
    .unwrap();
    dir
}

fn fit(dir: &TempDir) -> String {
    let path = |name: &str| text(&dir.path().join(name));
    let router = path("router.json");
    let adapters =
        ["compact", "public"].map(|name| format!("{name}={}", path(&format!("{name}.jsonl"))));
    let said = ok(&[
        "route",
        "fit",
        "--adapter",
        &adapters[0],
        "--adapter",
        &adapters[1],
        "--out",
        &router,
    ]);
    assert!(
        said.starts_with("held out: accuracy=1.000 unsure=0.000 (n=24)\n"),
        "{said}"
    );
    router
}

fn rows(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn rows_are_routed_by_their_prompts_alone() {
    let dir = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let (router, data, out) = (fit(&dir), path("mixed.jsonl"), path("routed.jsonl"));
    let route = [
        "route",
        "--router",
        &router,
        "--data",
        &data,
        "--routes-out",
        &out,
    ];
    let said = ok(&route);
    assert!(
        said.starts_with("routes: compact=1 public=2 abstained=1 (n=4)\n"),
        "{said}"
    );
    let routes = |out: &str| {
        rows(out)
            .iter()
            .map(|row| row["_route"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        routes(&out),
        [
            json!("public"),
            json!("compact"),
            json!(null),
            json!("public")
        ]
    );
    let first = &rows(&out)[0];
    assert!(
        first["_route_confidence"].as_f64().unwrap() > 0.9,
        "{first}"
    );
    assert!(
        first["_route_reason"]
            .as_str()
            .unwrap()
            .starts_with("like public: "),
        "{first}"
    );
    // The label that all rows have decides nothing unless it is trusted.
    ok(&[&route[..], &["--default-route", "compact"]].concat());
    assert_eq!(routes(&out)[2], "compact");
    ok(&[&route[..], &["--trust-route-field", "label"]].concat());
    assert_eq!(routes(&out)[2], "public");
}

#[test]
fn a_routed_batch_answers_as_each_adapter_alone() {
    let dir = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let (router, data) = (fit(&dir), path("mixed.jsonl"));
    let [lora, dora] = ["lora", "dora"].map(|kind| text(&golden(&format!("tiny-llama-{kind}"))));
    let base = tiny();
    let answers = |flags: &[&str]| -> Vec<Value> {
        let text = answers(&dir.path().join("mixed.jsonl"), &base, flags);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (compact, public) = (format!("compact={lora}"), format!("public={dora}"));
    let routed = answers(&["--route", &router, "--lora", &compact, "--lora", &public]);
    let alone = [
        answers(&["--lora", &dora]),
        answers(&["--lora", &lora]),
        answers(&[]),
    ];
    for (i, (route, alone)) in [
        (json!("public"), &alone[0]),
        (json!("compact"), &alone[1]),
        (json!(null), &alone[2]),
        (json!("public"), &alone[0]),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(routed[i]["_route"], route);
        assert_eq!(
            routed[i]["predicted_sql"], alone[i]["predicted_sql"],
            "row {i}"
        );
        assert_eq!(routed[i]["id"], i);
    }
    fails(
        &[
            "generate",
            "--base",
            &base,
            "--route",
            &router,
            "--lora",
            &compact,
            "--data",
            &data,
            "--out",
            &path("x"),
        ],
        1,
        &["decides for public"],
    );
}

#[test]
fn bad_routers_and_flags_are_named() {
    let dir = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let (router, data, out) = (fit(&dir), path("mixed.jsonl"), path("routed.jsonl"));
    let route = |flags: &[&str], code, parts: &[&str]| {
        fails(
            &[&["route", "--data", &data, "--routes-out", &out][..], flags].concat(),
            code,
            parts,
        );
    };
    route(&[], 2, &["give --router"]);
    route(&["--router", &data], 1, &["mixed.jsonl", "no router"]);
    route(
        &["--router", &router, "--default-route", "none"],
        2,
        &["none of compact, public"],
    );
    route(
        &["--router", &router, "--min-confidence", "2"],
        2,
        &["not from 0 to 1"],
    );
    route(
        &["--router", &router, "--trust-route-field", "id"],
        1,
        &["mixed.jsonl:1: field \"id\""],
    );
    fails(
        &["generate", "--prompt", "x", "--min-confidence", "0.9"],
        2,
        &["--min-confidence needs --route"],
    );
    fails(
        &["route", "fit", "--adapter", "x", "--out", &out],
        2,
        &["NAME=TRAIN.jsonl"],
    );
    let train = path("compact.jsonl");
    let named = format!("a={train}");
    let fit = |out: &str, code, part| {
        fails(
            &["route", "fit", "--adapter", &named, "--out", out],
            code,
            &[part],
        );
    };
    fit(&out, 1, "at least two routes");
    fit(&train, 2, "named twice");
    assert!(!fs::exists(&out).unwrap());
}
