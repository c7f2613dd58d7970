//! A run folder as a recipe leaves it: two gates over forty rows, with texts that mean harm.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What a row's texts try.
pub const HOSTILE: [&str; 8] = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\" onmouseover=\"alert(3)",
    "' --> ]]> <!-- {{ 7 * 191 }} {% raw %}",
    "a | b ``` # Decision\n## Eval\n- [x](javascript:alert(4))",
    "\u{2028}\u{202e}\u{0}\u{1b}[31m\r\u{7f}",
    "&lt;b&gt; &amp; <b>bold</b>",
    "naïve 日本 👍🏽",
];

pub fn write(folder: &Path, name: &str, content: &Value) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content.to_string()).unwrap();
}

pub fn write_lines(folder: &Path, name: &str, lines: &[Value]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(path, text).unwrap();
}

/// A scored row whose answer passes or not.
pub fn row(i: usize, passed: bool) -> Value {
    let hostile = HOSTILE[i % HOSTILE.len()];
    let question = format!("How many crates are in hall {i}? {hostile}");
    let gold = format!("SELECT count(*) FROM crates WHERE hall = {i};");
    let (sql, error, failure) = match (passed, i % 3) {
        (true, _) => (gold.clone(), Value::Null, Value::Null),
        (false, 0) => (String::new(), Value::Null, json!("sql_no_select")),
        (false, 1) => (
            format!("SELECT count(*) FROM crates WHERE hal = {i}; {hostile}"),
            json!(format!("no such column: hal {hostile}")),
            json!("sql_unknown_column"),
        ),
        (false, _) => (
            gold.replace("count", "sum"),
            Value::Null,
            json!("sql_wrong_aggregation"),
        ),
    };
    json!({
        "index": i, "id": format!("crate-{i:03}"), "db": "harbour.db", "question": question,
        "predicted_sql": if passed { sql.clone() } else { format!("Certainly {hostile} {sql}") },
        "scored_sql": sql, "gold_sql": gold, "exec_match": passed, "exact_match": passed, "public_exact_match": passed,
        "predicted_error": error, "gold_error": null,
        "predicted_rows": if passed { Value::Null } else { json!([[hostile, null], ["2", "x"]]) },
        "gold_rows": if passed { Value::Null } else { json!([["3"]]) },
        "failure_type": failure, "elapsed_ms": 1,
    })
}

/// Of the baseline, then of the candidate: rows 0, 8, … are lost, 1 and 2 of eight gained, 3 stays wrong.
pub fn answers(i: usize) -> [bool; 2] {
    match i % 8 {
        0 => [true, false],
        1 | 2 => [false, true],
        3 => [false, false],
        _ => [true, true],
    }
}

/// The verdict on `n` rows, which `answers` tells.
pub fn verdict(name: &str, mode: &str, metric: &str, n: usize, passed: bool) -> Value {
    let count = |side: usize| (0..n).filter(|i| answers(*i)[side]).count();
    let measured = |passed: usize| json!({"value": passed as f64 / n as f64, "passed_rows": passed, "n": n, "interval": [0.41, 0.83]});
    let min = if passed { 0.7 } else { 0.8 };
    let mut verdict = measured(count(1));
    let rest = json!({
        "name": name, "role": if name == "own" { "primary" } else { "regression" }, "mode": mode, "metric": metric,
        "conditions": [{"what": format!("min {min}"), "wanted": min, "passed": passed}], "baseline": measured(count(0)),
        "paired": {"difference": 0.125, "p": 0.3018, "gained": n / 4, "lost": n / 8}, "passed": passed,
    });
    let rest = rest.as_object().unwrap().clone();
    verdict.as_object_mut().unwrap().extend(rest);
    verdict
}

/// Writes the folder of a run with `n` rows a gate.
pub fn fill(folder: &Path, n: usize) {
    let gates = [
        ("own", "factory", "execution_accuracy", true),
        ("kept", "public-exact", "exact_match", false),
    ];
    let verdicts = gates.map(|(name, mode, metric, passed)| verdict(name, mode, metric, n, passed));
    write(folder, "gates.json", &json!(verdicts));
    for (name, ..) in gates {
        for (side, who) in ["baseline", "candidate"].into_iter().enumerate() {
            let rows: Vec<Value> = (0..n).map(|i| row(i, answers(i)[side])).collect();
            write_lines(folder, &format!("rows/{name}.{who}.jsonl"), &rows);
        }
    }
    write(
        folder,
        "config.json",
        &json!({
            "run_id": "2026-03-04-harbour", "target": "questions about a harbour <b>", "owner_goal": "answers for the desk",
            "base_model": {"id": "small.gguf", "revision": null, "precision": "f32"},
            "candidate": {"method": "lora r8", "adapter_format": "peft", "training_command": "factory sft"},
            "eval": {"primary": "own", "regression": "kept", "primary_slice": null, "regression_slice": null,
                "threshold": {"primary_min": 0.7, "breadth_drop_max_pp": null}},
        }),
    );
    write(
        folder,
        "run-status.json",
        &json!({
            "schema_version": 1, "run_id": "2026-03-04-harbour", "revision": 7, "phase": "decided", "updated_at": "2026-03-04T05:06:07Z",
            "last_transition": {"source": "run", "command": "factory run", "reason": null}, "parent_run_id": "2026-03-03-base",
            "successor_run_id": null, "failure": null,
        }),
    );
    write(
        folder,
        "decision.json",
        &json!({
            "decision": "retry-data", "reason": "gate own passes, gate kept does not", "failure_reason": "rows of kept were unlearned",
            "failure_reason_confidence": "inferred", "lesson": "sets forget each other", "next_action": "blend both sets | and train again",
            "evidence_sources": ["gates.json", "rows/own.candidate.jsonl"], "blocked_by": ["gate kept: 0.750, min 0.8"],
            "overruled": {"by": "ada", "date": "2026-03-04", "proposed": "reject", "proposed_reason": "kept lost"},
        }),
    );
    let evaluation = |score: f64, passed: Value, notes: &str| {
        json!({
            "model_id": "small.gguf", "command": "factory generate", "suite": "own: factory execution_accuracy", "score": score,
            "passed": passed, "date": "2026-03-04", "latency_ms": 120.5, "peak_rss_mb": null, "tokens_per_second": 31.0,
            "notes": notes, "n": n, "interval": [0.4, 0.8],
        })
    };
    let notes = "latency_ms: derived from the rows a second; peak_rss_mb: missing, it was not measured; greedy";
    write(
        folder,
        "eval-baseline.json",
        &evaluation(0.5, Value::Null, notes),
    );
    write(
        folder,
        "eval-candidate.json",
        &evaluation(0.625, json!(true), notes),
    );
    write(
        folder,
        "slice-metrics.json",
        &json!({
            "overall": {"rows": n, "execution_accuracy": 0.625, "exact_match": 0.6},
            "slices": {"domain:harbour <i>": {"rows": n, "execution_accuracy": 0.625}, "join": {"rows": 4, "exact_match": 0.25}},
        }),
    );
    write(
        folder,
        "dataset.json",
        &json!({
            "dataset_id": "harbour", "sources": [
                {"kind": "train", "path": "harbour/train.jsonl", "rows": 200, "sha256": "ab".repeat(32)},
                {"kind": "heldout", "path": "harbour/dev.jsonl", "rows": n, "sha256": "cd".repeat(32)}],
            "processing": {"dedupe": "none", "quality_filter": "none", "heldout_split": "files of their own"},
            "counts": {"train_rows": 200, "heldout_rows": n, "dropped_rows": 0},
        }),
    );
    write(
        folder,
        "provenance.json",
        &json!({
            "schema_version": 1, "renderer": "factory", "renderer_command": "factory run", "git": {"commit": "c0ffee", "branch": "main", "dirty": true},
            "commands": {"baseline": "factory generate --data 'it''s'", "candidate": "factory generate --lora a", "training": "factory sft --rank 8", "publish_check": "factory runs publish-check"},
            "datasets": [{"path": "harbour/dev.jsonl", "rows": n, "sha256": "cd".repeat(32)}],
        }),
    );
    write(
        folder,
        "artifact.json",
        &json!({
            "artifact_id": "a", "kind": "adapter", "path": "train/adapter", "base_model": "small.gguf", "format": "peft", "package_dir": null,
            "shipped": false, "routing_constraint": null,
        }),
    );
    write(
        folder,
        "eval-validity.json",
        &json!({
            "frontier": {"model": "large <b>", "command": "ask", "date": "2026-01-02", "by_suite": {"own": 0.91}}, "frozen_eval": {"id": "dev", "rows": n, "sha256": "cd".repeat(32), "note": ""},
            "overlap_check": {"result": "no-overlap", "command": "factory run", "note": "by the prompt"}, "known_limitations": ["few rows"],
        }),
    );
    write(
        folder,
        "cost.json",
        &json!({"training_time_seconds": 245.0, "training_cost_usd_note": "skipped: an own machine", "eval_time_seconds": 31.0}),
    );
    write(
        folder,
        "sweep.json",
        &json!({
            "gates": [{"name": "own", "metric": "execution_accuracy", "min": 0.7}],
            "points": [{"name": "own 0.5 + kept 0.5", "weights": [0.5, 0.5], "flags": "--lora own=a", "whole": true, "pareto": true, "passes": false,
                "gates": {"own": {"value": 0.5, "passed": 20, "n": 40, "wilson95": [0.35, 0.65]}}}],
            "best": null,
        }),
    );
    let step = |step: usize| json!({"step": step, "loss": 2.0 / step as f64, "lr": 0.001, "tokens_per_s": 500.0, "val_loss": if step == 20 { json!(0.4) } else { Value::Null }});
    write_lines(
        folder,
        "metrics.jsonl",
        &(1..=40).map(step).collect::<Vec<_>>(),
    );
    write_lines(
        folder,
        "stages.jsonl",
        &[json!({
            "stage": "train", "key": "0123456789ab", "command": ["factory", "sft", "--stop", "it's\n<b>"], "version": "0.1.0",
            "program_sha256": "ef".repeat(32), "inputs": [{"path": "harbour/train.jsonl", "sha256": "ab".repeat(32), "rows": 200}],
            "outputs": {"main": "adapter"}, "seconds": 245.0, "peak_rss_mb": 1800.0, "finished": "2026-03-04T05:00:00Z",
        })],
    );
    fs::write(
        folder.join("recipe.toml"),
        "name = \"harbour\" # </pre><script>\n",
    )
    .unwrap();
    write_lines(folder, "next/targeted.jsonl", &[json!({}), json!({})]);
}
